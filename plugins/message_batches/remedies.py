"""What to do in Airflow when a task fails, by the code of the error.

The core's messages say what is wrong and whether it costs money, without words of Airflow. This module adds which
task to clear.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from nightpress.errors import (
    RETRY_CANNOT_HELP,
    NightpressError,
)
from nightpress.plain_text import without_queries

FAILURE = "failure"
"""XCom key under which a failing task keeps what the Batches page shows of it."""

_MAX_TOLD_CHARS = 1_000

log = logging.getLogger(__name__)

_NO_RETRY_CODES = frozenset({"shards_without_results", "would_lose_answers"})

_STAGE_AGAIN = (
    "Clear the task {group}read_articles with its downstream tasks: it stages the shards again and pays nothing "
    "twice."
)

REMEDIES = {
    "account_trouble": "Then clear the task {task}, with its downstream tasks.",
    "account_trouble_again": "Then clear {group}second_round.submit_batch with its downstream tasks: only what has no "
    "answer is sent and paid. Or clear the task {task} to publish the day without those articles.",
    "request_refused": "When that is fixed, clear the task {task}.",
    "missing_day": "When the articles are there, clear the task {task}.",
    "other_workspace": "When the connection is right again, clear the task {task}: it looks for the batch first.",
    "api_time_unknown": "When the API answers again, clear the task {task}: it looks for the batch first.",
    "list_unreadable": "If the retries end, clear the task {task}: it looks for the batch first.",
    "api_unreachable": "If the retries end, clear the task {task}; nothing is paid twice.",
    **dict.fromkeys(
        ("body_gone", "sent_body_gone", "articles_gone", "articles_changed", "reused_gone"), _STAGE_AGAIN
    ),
    "newer_schema": "Upgrade Nightpress on every worker, then clear the task {task}.",
    "unsafe_store": "When the store is chosen, clear the task {task}.",
    "unrequested_run": "If they are to be sent, clear the task {task}.",
    "receipt_damaged": "Then clear the task {task}.",
    "budget_lowered": "Then clear the task {group}read_articles with its downstream tasks. In the second round, "
    "clearing {group}collect_failures instead leaves those articles as they ended.",
    "sent_meanwhile": "Clear the task {group}read_articles with its downstream tasks.",
    "damaged_day": "When the file can be read again, clear the task {task}.",
    "would_lose_answers": "When more is answered, clear the task {task}.",
    "results_gone": "Clear the task write_results of that shard; it pays nothing.",
    "shards_without_results": "Look at the tasks {group}shard.submit_batch and {group}second_round.submit_batch; when "
    "the reason is fixed, clear those that are skipped or failed, with their downstream tasks.",
}
"""By :attr:`NightpressError.code`: ``{task}`` is the failing task, ``{group}`` the pipeline's task group and a dot."""


@contextmanager
def fail_without_retry() -> Iterator[None]:
    """Fail a task at once if a retry cannot help, and add to every error what to do.

    :raises AirflowFailException: for an error that a retry cannot fix.
    """
    try:
        yield
    except NightpressError as error:
        error.args = (without_queries(str(error)),)
        message = with_remedy(error, _current_task_id())
        _tell_page(error, message)
        if isinstance(error, RETRY_CANNOT_HELP) or error.code in _NO_RETRY_CODES:
            raise AirflowFailException(f"{type(error).__name__}: {message}") from error
        error.args = (message,)
        raise
    except AirflowFailException as error:
        _tell_page(error, str(error))
        raise
    except AirflowException:
        # A task that is skipped, deferred or rescheduled has not failed.
        raise
    except Exception as error:
        _tell_page(error, describe_foreign(error))
        raise


def describe_foreign(error: Exception) -> str:
    """Return what may be shown of an error of another library, whose text may quote an article, an address or a key."""
    name = type(error).__name__
    reason = f" ({error.strerror})" if isinstance(error, OSError) and error.errno and error.strerror else ""
    return f"{name}{reason}. The task's log has the rest; nothing is paid twice by clearing the task."


def _tell_page(error: Exception, message: str) -> None:
    """Keep the beginning of the message for the Batches page; it never contains an article's text."""
    try:
        code = error.code if isinstance(error, NightpressError) else ""
        told = {"kind": type(error).__name__, "code": code, "message": message[:_MAX_TOLD_CHARS]}
        get_current_context()["ti"].xcom_push(key=FAILURE, value=told)
    except Exception:
        # The failure itself is what must be raised, even if reporting it fails.
        log.debug("the failure could not be kept for the page", exc_info=True)


def with_remedy(error: NightpressError, task_id: str) -> str:
    """Return an error's message and what to do.

    :param task_id: of the task that failed, with its task groups.
    """
    remedy = REMEDIES.get(error.code)
    if remedy is None:
        return str(error)
    return f"{error} {remedy.format(task=task_id, group=_pipeline_group(task_id))}"


def _pipeline_group(task_id: str) -> str:
    """Return the task group of a pipeline inside a comparison, with a dot; empty outside one."""
    groups = task_id.split(".")[:-1]
    if groups and groups[-1] in {"shard", "second_round"}:
        groups = groups[:-1]
    return "".join(f"{group}." for group in groups)


def _current_task_id() -> str:
    try:
        return str(get_current_context()["ti"].task_id)
    except (RuntimeError, KeyError):  # outside a task: a test, or the preview of a plan
        return "that failed"
