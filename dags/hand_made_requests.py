"""# Hand-made requests

Requests of your own, in half a page: a function yields them, one batch is paid for exactly once whatever is retried
or cleared, and the answers come out as Parquet. Requests that may cost more than the budget are refused before
anything is sent.

    SELECT article_id, text, cost_usd FROM 'data/runs/hand_made_requests/*/*/results-*.parquet'

`article_id` is the `custom_id` of the request. `requests` may also be a list, the path of a file with one request a
line, or what a `@task` returned: such a path. What was staged at first is what every try sends; a new run asks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow.sdk import DAG, task

from message_batches import send_requests

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


@task
def count_answers(results: dict[str, Any]) -> int:
    """Tell how many were answered; `results["uri"]` is where the answers are, below the data root."""
    return int(results["by_status"].get("succeeded", 0))


NAME = "hand_made_requests"
TAGS = ["nightpress", "example", "requests"]
with DAG(NAME, schedule=None, catchup=False, is_paused_upon_creation=True, doc_md=__doc__, tags=TAGS) as dag:
    count_answers(send_requests(NAME, ask_for_slogans, max_cost_usd=0.10))
