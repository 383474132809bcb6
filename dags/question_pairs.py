"""# Question and answer pairs

Training data out of articles: three to five pairs of each, as a list column of the day's Parquet. A last
step drops repeated questions and answers that are too short, and writes the rest as `training.jsonl` beside
it: one conversation a line, `{"messages": [{"role": "user", …}, {"role": "assistant", …}]}`.

**Articles**: the day's inbox, or what the trigger form names.
"""

from __future__ import annotations

from typing import Any, Literal

from airflow.sdk import DAG, ObjectStoragePath, task
from pydantic import BaseModel, Field

from message_batches import message_batch_pipeline


class Pair(BaseModel):
    """A question and its answer."""

    question: str = Field(min_length=10, max_length=300)
    answer: str = Field(max_length=1_000)
    difficulty: Literal["easy", "medium", "hard"]
    quote: str | None = Field(description="The words of the article that prove the answer")


class QuestionSet(BaseModel):
    """One row of the day's Parquet."""

    pairs: list[Pair] = Field(min_length=3, max_length=5)


@task(retries=3)
def write_training_file(published: dict[str, Any]) -> dict[str, int]:
    """Clean the pairs of a published day; return how many were kept and dropped."""
    from nightpress.days.training import write_conversations

    answers = ObjectStoragePath(published["uri"])
    return write_conversations(answers, answers.parent / "training.jsonl", shortest_answer=20)


TAGS = ["nightpress", "example", "training"]
with DAG("question_pairs", schedule=None, is_paused_upon_creation=True, doc_md=__doc__, tags=TAGS) as dag:
    message_batch_pipeline(
        "question_pairs",
        system="You write questions and answers to train a model. Each question stands alone, and each answer is "
        "found in the article.",
        prompt="Write three to five pairs.\n\n<title>{title}</title>\n<article>\n{content}\n</article>",
        output=QuestionSet,
        max_tokens=1_200,
    )
    write_training_file(dag.get_task("publish").output)  # type: ignore[arg-type]
