"""What a failing task says to press, and whether it is tried again."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from message_batches.remedies import REMEDIES, fail_without_retry, with_remedy
from nightpress.errors import AccountTroubleError, InputError, NightpressError, ResultsError, SubmitLaterError


@pytest.mark.parametrize("code", REMEDIES)
def test_every_remedy_names_a_task_that_exists_in_a_pipeline(code: str) -> None:
    said = with_remedy(NightpressError("It is wrong.", code=code), "plain.collect_failures")
    assert said.startswith("It is wrong. ")
    assert "{" not in said
    named = [word.strip(",;.:") for word in said.split() if "_" in word]
    assert all(word.removeprefix("plain.") in {
        "collect_failures", "publish", "shard.submit_batch", "second_round.submit_batch", "write_results",
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


def test_an_error_that_a_retry_may_help_stays_what_it_is() -> None:
    with pytest.raises(SubmitLaterError, match=r"^later$"), fail_without_retry():
        raise SubmitLaterError("later")
    with pytest.raises(ResultsError, match=r"gone\. Clear the task write_results"), fail_without_retry():
        raise ResultsError("gone.", code="results_gone")
