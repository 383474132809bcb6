from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import pytest

from nightpress.batches.batch import Batch, RequestCounts
from nightpress.batches.polling import (
    BatchWait,
    Look,
    PollOutcome,
    describe_ended,
    next_look_seconds,
)
from nightpress.batches.refusals import MAX_RETRY_AFTER_SECONDS

CREATED = datetime(2026, 11, 22, tzinfo=UTC)
DEADLINE = 1_000.0


def batch(name: str, status: str = "in_progress", **counts: int) -> Batch:
    return Batch(name, status, CREATED, RequestCounts(**counts))


def wait(*names: str) -> BatchWait:
    return BatchWait(names or ("a",), DEADLINE)


def look(*batches: Batch, at: float = 0.0, absent: Collection[str] = ()) -> Look:
    return Look(at, {seen.id: seen for seen in batches}, absent)


def status(outcome: PollOutcome | None) -> str | None:
    return outcome and outcome.status


def failed(at: float = 0.0, *, refused: bool = False) -> Look:
    return Look(at, error="HTTP 401" if refused else "timeout", refused=refused)


def test_the_wait_ends_with_the_batch_and_says_its_counts() -> None:
    waiting = wait()
    assert waiting.on_look(look(batch("a"))) is None
    outcome = waiting.on_look(look(batch("a", "ended", succeeded=1_200, errored=3)))
    assert outcome == PollOutcome("ended", "batch a ended: 1,200 succeeded, 3 errored")
    assert waiting.seen["a"].ended


def test_a_batch_that_is_canceling_has_not_ended() -> None:
    assert wait().on_look(look(batch("a", "canceling"))) is None


def test_all_batches_have_to_end_in_any_order() -> None:
    waiting = wait("a", "b")
    assert waiting.on_look(look(batch("b", "ended", expired=1), batch("a"))) is None
    assert waiting.open == {"a"}
    # What has ended is not asked for again, so a later look need not show it.
    outcome = waiting.on_look(look(batch("a", "ended", canceled=2)))
    assert status(outcome) == "ended"
    assert outcome is not None
    assert "batch a ended: 2 canceled" in outcome.message
    assert "batch b ended: 1 expired" in outcome.message


def test_a_look_that_does_not_show_the_batch_says_nothing() -> None:
    waiting = wait()
    for _ in range(100):
        assert waiting.on_look(look(batch("other", "ended"))) is None


def test_a_failed_look_is_never_a_failed_batch() -> None:
    waiting = wait()
    for n in range(100):
        assert waiting.on_look(failed(float(n))) is None
    assert status(waiting.on_look(look(batch("a", "ended")))) == "ended"


def test_one_404_is_not_absence_and_five_in_a_row_are() -> None:
    waiting = wait()
    for _ in range(4):
        assert waiting.on_look(look(absent=["a"])) is None
    outcome = waiting.on_look(look(absent=["a"]))
    assert outcome is not None
    assert outcome.status == "gone"
    assert "batch a was not found 5 times in a row" in outcome.message
    assert "Nothing is sent again by itself" in outcome.message


def test_absences_count_only_in_a_row() -> None:
    waiting = wait()
    for _ in range(10):
        for _ in range(4):
            assert waiting.on_look(look(absent=["a"])) is None
        assert waiting.on_look(look(batch("a"))) is None


def test_failed_looks_between_absences_neither_count_nor_clear() -> None:
    waiting = wait()
    for _ in range(4):
        assert waiting.on_look(look(absent=["a"])) is None
        assert waiting.on_look(failed()) is None
    assert status(waiting.on_look(look(absent=["a"]))) == "gone"


def test_the_absence_of_a_batch_that_has_ended_is_nothing() -> None:
    waiting = wait("a", "b")
    waiting.on_look(look(batch("a", "ended"), batch("b")))
    for _ in range(10):
        assert waiting.on_look(look(batch("b"), absent=["a", "other"])) is None


def test_refused_credentials_are_told_after_three_looks_in_a_row() -> None:
    waiting = wait()
    assert waiting.on_look(failed(refused=True)) is None
    assert waiting.on_look(failed(refused=True)) is None
    assert waiting.on_look(failed()) is None
    assert waiting.on_look(failed(refused=True)) is None
    assert waiting.on_look(failed(refused=True)) is None
    outcome = waiting.on_look(failed(refused=True))
    assert outcome is not None
    assert outcome.status == "refused"
    assert "refused 3 polls in a row (HTTP 401)" in outcome.message
    assert "still bills" in outcome.message


def test_a_good_look_clears_refusals() -> None:
    waiting = wait()
    for _ in range(10):
        assert waiting.on_look(failed(refused=True)) is None
        assert waiting.on_look(failed(refused=True)) is None
        assert waiting.on_look(look(batch("a"))) is None


@pytest.mark.parametrize("last", [look(batch("a"), at=DEADLINE), failed(DEADLINE)])
def test_the_deadline_is_a_wall_clock_and_names_what_is_open(last: Look) -> None:
    waiting = wait("a", "b")
    waiting.on_look(look(batch("b", "ended"), at=DEADLINE - 1))
    outcome = waiting.on_look(last)
    assert outcome is not None
    assert outcome.status == "deadline"
    assert "batch a had not ended" in outcome.message
    assert "expire after 24 hours" in outcome.message


def test_a_batch_that_ends_in_the_last_look_has_ended() -> None:
    assert status(wait().on_look(look(batch("a", "ended"), at=DEADLINE + 1))) == "ended"


def test_waiting_for_nothing_is_over_at_once() -> None:
    assert status(BatchWait((), DEADLINE).on_look(look())) == "ended"


def test_a_batch_without_results_is_described() -> None:
    assert describe_ended(batch("a", "ended")) == "batch a ended: no results"
    counts = {"succeeded": 1, "errored": 2, "canceled": 3, "expired": 4}
    assert (
        describe_ended(batch("a", "ended", **counts))
        == "batch a ended: 1 succeeded, 2 errored, 3 canceled, 4 expired"
    )


def test_each_failure_doubles_the_wait_up_to_ten_minutes() -> None:
    waits = [next_look_seconds(30, failures, None, 0) for failures in range(7)]
    assert waits == [30, 60, 120, 240, 480, 600, 600]
    assert next_look_seconds(30, 1_000, None, 0) == 600


def test_a_long_poll_is_never_shortened_by_the_cap() -> None:
    assert next_look_seconds(3_600, 0, None, 0) == 3_600
    assert next_look_seconds(3_600, 9, None, 0) == 3_600


def test_retry_after_is_kept_and_jitter_adds_up_to_a_tenth() -> None:
    assert next_look_seconds(30, 0, 1_000.0, 1) == 1_000
    assert next_look_seconds(30, 0, 5.0, 0) == 30
    assert next_look_seconds(30, 0, None, 1) == pytest.approx(33)
    assert next_look_seconds(30, 1, None, 0.5) == pytest.approx(63)


def test_a_very_long_outage_does_not_overflow() -> None:
    assert next_look_seconds(30, 5_000, None, 0) == 600


@pytest.mark.parametrize(
    ("wanted", "offline", "seconds"),
    [
        (None, False, 30),
        (1.0, False, 30),
        (0.0, False, 30),
        (120.0, False, 120),
        (0.2, True, 0.2),
        (None, True, 2.0),
    ],
)
def test_only_the_offline_api_is_looked_at_more_often_than_every_thirty_seconds(
    wanted: float | None, offline: bool, seconds: float
) -> None:
    from message_batches.shared_looks import effective_poll_seconds

    assert effective_poll_seconds(wanted, offline) == seconds


@pytest.mark.parametrize("asked", [14 * 86_400.0, float("inf"), float("nan"), -5.0])
def test_a_retry_after_is_bounded_and_finite(asked: float) -> None:
    assert 30 <= next_look_seconds(30, 0, asked, 0) <= MAX_RETRY_AFTER_SECONDS
