"""# Compare prompts

The same articles asked in three ways, side by side: a bare prompt, the newsroom's style guide as the system prompt,
and a larger model. Each variant is a whole pipeline, `compare_prompts_<variant>`; when all have published the
day, `comparisons/compare_prompts/day=…/comparison.parquet` has one row for each article and one column for each
variant, and the page behind *Comparison* (in *Details* of `compare`) says what each costs and where they agree:

    SELECT title, plain.tone, guided.tone FROM 'data/comparisons/compare_prompts/day=*/comparison.parquet'
    WHERE plain.tone <> guided.tone

**Before you pay for three**: *Only the first* takes a few articles; *Budget* is for each variant.

**The style guide** is long and the same for all articles, so it is kept in the prompt cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from airflow.sdk import DAG
from pydantic import BaseModel, Field

from message_batches import message_batch_comparison

STYLE_GUIDE = (
    Path(__file__).parents[1].joinpath("include/examples/style_guide.md").read_text(encoding="utf-8")
)


class Notice(BaseModel):
    """The answer of each variant."""

    headline: str = Field(max_length=100)
    summary: str
    section: Literal["politics", "economy", "science", "culture", "sport", "other"]
    tone: Literal["calm", "mixed", "tense"]


with DAG(
    "compare_prompts",
    schedule=None,
    is_paused_upon_creation=True,
    doc_md=__doc__,
    tags=["nightpress", "example", "comparison"],
) as dag:
    message_batch_comparison(
        "compare_prompts",
        prompt="Write the notice.\n\n<title>{title}</title>\n<article>\n{content}\n</article>",
        output=Notice,
        model="claude-haiku-5-5",
        max_tokens=400,
        variants={
            "plain": {},
            "guided": {"system": STYLE_GUIDE, "cache": True},
            "larger_model": {"model": "claude-sonnet-5-5"},
        },
    )
