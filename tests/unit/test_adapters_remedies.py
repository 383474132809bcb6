"""What a failing task says to press, and whether it is tried again."""

from __future__ import annotations

import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from message_batches import remedies
from message_batches.remedies import FAILURE, REMEDIES, fail_without_retry, with_remedy
from nightpress.errors import AccountTroubleError, InputError, NightpressError, ResultsError, SubmitLaterError


@pytest.mark.parametrize("code", REMEDIES)
def test_every_remedy_names_a_task_that_exists_in_a_pipeline(code: str) -> None:
    said = with_remedy(NightpressError("It is wrong.", code=code), "plain.collect_failures")
    assert said.startswith("It is wrong. ")
    assert "{" not in said
    named = [word.strip(",;.:") for word in said.split() if "_" in word]
    assert all(word.removeprefix("plain.") in {
        "collect_failures", "publish", "shard.submit_batch", "second_round.submit_batch", "write_results",
        "read_articles",
    } for word in named)  # fmt: skip


@pytest.mark.parametrize(
    ("task_id", "group"),
    [
        ("publish", ""),
        ("plain.publish", "plain."),
        ("plain.shard.submit_batch", "plain."),
        ("shard.submit_batch", ""),
    ],
)
def test_the_tasks_of_a_comparison_are_named_with_their_group(task_id: str, group: str) -> None:
    said = with_remedy(ResultsError("x", code="shards_without_results"), task_id)
    assert f"the tasks {group}shard.submit_batch and" in said


def test_an_error_that_a_retry_cannot_help_fails_at_once_with_its_kind() -> None:
    with pytest.raises(AirflowFailException, match="InputError: no article"), fail_without_retry():
        raise InputError("no article")
    with pytest.raises(AirflowFailException, match="clear the task"), fail_without_retry():
        raise AccountTroubleError("no credit.")
    with pytest.raises(AirflowFailException, match="submit_batch"), fail_without_retry():
        raise ResultsError("gone", code="shards_without_results")


def test_no_key_of_a_signed_address_is_in_an_error() -> None:
    address = "https://example.org/a.csv?sig=s3cret&x=1"
    for kind in (InputError, SubmitLaterError):
        with pytest.raises(Exception, match=r"a\.csv\?… is not there") as caught, fail_without_retry():
            raise kind(f"{address} is not there")
        assert "s3cret" not in "".join(traceback.format_exception_only(caught.value))
        assert "s3cret" not in str(caught.value.__cause__)


def test_an_error_that_a_retry_may_help_stays_what_it_is() -> None:
    with pytest.raises(SubmitLaterError, match=r"^later$"), fail_without_retry():
        raise SubmitLaterError("later")
    with pytest.raises(ResultsError, match=r"gone\. Clear the task write_results"), fail_without_retry():
        raise ResultsError("gone.", code="results_gone")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device", "/secret/path"), "OSError (No space left on device)."),
        (OSError("https://key@store/secret"), "OSError."),
        (ValueError("secret text of an article"), "ValueError."),
        (AirflowFailException("Nobody answered."), "Nobody answered."),
    ],
)
def test_the_page_is_told_of_every_failure_and_of_no_text_that_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}), task_id="publish")
    monkeypatch.setattr(remedies, "get_current_context", lambda: {"ti": ti})
    with pytest.raises(type(error)), fail_without_retry():
        raise error
    assert pushed[FAILURE]["kind"] == type(error).__name__
    assert pushed[FAILURE]["message"].startswith(told)
    assert "secret" not in str(pushed)


def test_a_task_that_is_skipped_or_waits_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[str] = []
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.append(key), task_id="publish")
    monkeypatch.setattr(remedies, "get_current_context", lambda: {"ti": ti})
    for error in (AirflowSkipException("s"), TaskDeferred(trigger=None, method_name="m")):
        with pytest.raises(type(error)), fail_without_retry():
            raise error
    assert pushed == []
