"""# Digest of the day

All summaries that `article_summaries` published for a day, read as one text and told in a headline, a lead
and up to seven themes. It follows the published day by itself, and `daily_report` follows it: the day's
report is written once more, and opens with the digest.

**How much is read**: the first 200,000 characters of the day, about 50,000 tokens of English.
"""

from __future__ import annotations

from typing import Literal

import pendulum
from airflow.sdk import DAG, Asset, PartitionedAssetTimetable
from pydantic import BaseModel, Field

from message_batches import message_batch_pipeline, published


class Theme(BaseModel):
    """What several articles have in common."""

    name: str = Field(max_length=60)
    articles: int = Field(ge=1, description="How many of the summaries belong to it")
    gist: str


class Digest(BaseModel):
    """The one row of the day's Parquet."""

    headline: str = Field(max_length=100)
    lead: str = Field(description="Three sentences on the day")
    themes: list[Theme] = Field(min_length=1, max_length=7)
    tone: Literal["calm", "mixed", "tense"]


with DAG(
    "digest_of_the_day",
    schedule=PartitionedAssetTimetable(assets=Asset("article_summaries")),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    is_paused_upon_creation=True,
    doc_md=__doc__,
    tags=["nightpress", "example", "daily"],
) as dag:
    message_batch_pipeline(
        "digest_of_the_day",
        system="You write the opening of a newspaper's daily report. You know the day from its summaries alone.",
        prompt="The {articles} summaries of {day}:\n\n<article>\n{content}\n</article>\n\nWrite the digest.",
        output=Digest,
        max_tokens=1_500,
        max_content_chars=200_000,
        source=published("article_summaries", whole=True),
    )
