"""# Hand-made requests

Requests of your own, in half a page: a function yields them, one batch is paid for exactly once whatever is retried
or cleared, and the answers come out as Parquet. No articles, no plan, no budget: what you yield is what you pay.

    SELECT article_id, text, cost_usd FROM 'data/runs/hand_made_requests/*/*/results-*.parquet'

`article_id` is the `custom_id` of the request. `requests=` also takes a list, or the path of a file with one request
a line. What was staged at first is what every try sends; a new run asks anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow.sdk import DAG

from message_batches import MessageBatchSensor, SubmitBatchOperator, WriteResultsOperator

LANGUAGES = ("Chinese", "French", "German", "Spanish")


def ask_for_slogans(context: Any) -> Iterator[dict[str, Any]]:  # noqa: ARG001 - Airflow's context, not needed here
    """One request for each language."""
    for language in LANGUAGES:
        question = f"Write a slogan in {language} for a newspaper that is made overnight."
        yield {
            "custom_id": f"slogan-{language.lower()}",
            "params": {
                "model": "claude-haiku-4-5",
                "max_tokens": 100,
                "messages": [{"role": "user", "content": question}],
            },
        }


NAME = "hand_made_requests"
TAGS = ["nightpress", "example", "requests"]
with DAG(NAME, schedule=None, catchup=False, is_paused_upon_creation=True, doc_md=__doc__, tags=TAGS) as dag:
    batch = SubmitBatchOperator(task_id="submit_batch", pipeline=NAME, requests=ask_for_slogans, retries=5)
    ended = MessageBatchSensor(task_id="wait_for_batch", batch_id=batch.output, retries=5)
    WriteResultsOperator(
        task_id="write_results",
        pipeline=NAME,
        shard=batch.staged_shard,
        batch_id=ended.output,
        retries=5,
    )
