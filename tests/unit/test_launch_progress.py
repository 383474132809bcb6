from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from launch.progress import ShardProgress, changes, describe_state, match_articles, read_shards, totals

NOW = datetime(2026, 11, 23, 14, 5, 30, tzinfo=UTC)


def instance(task_id: str, state: str | None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "map_index": index,
        "state": state,
        "end_date": None,
        "start_date": None,
        **more,
    }


def shard_of(
    submit: str | None, wait: str | None = None, write: str | None = None, **more: Any
) -> ShardProgress:
    names = ("shard.submit_batch", "shard.wait_for_batch", "shard.write_results")
    parts = [instance(name, state) for name, state in zip(names, (submit, wait, write), strict=True)]
    parts[0]["end_date"] = "2026-11-23T14:03:10Z"
    parts[1].update(more)
    (shard,) = read_shards([instance("read_articles", "success", -1), *parts, instance("publish", None, -1)])
    return shard


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((None,), "planned"),
        (("queued",), "submitting"),
        (("success",), "submitted"),
        (("success", "deferred"), "waiting"),
        (("success", "success"), "ended"),
        (("success", "success", "running"), "writing"),
        (("success", "success", "success"), "written"),
        (("success", "up_for_retry"), "retrying"),
        (("failed", "upstream_failed", "upstream_failed"), "failed"),
        (("skipped", "skipped", "skipped"), "skipped"),
    ],
)
def test_states_in_words(states: tuple[str | None, ...], expected: str) -> None:
    assert shard_of(*states).state == expected


def test_a_wait_that_is_queued_again_is_still_a_wait() -> None:
    assert shard_of("success", "queued", start_date="2026-11-23T14:03:11Z").state == "waiting"
    assert shard_of("success", "queued").state == "submitted"


def test_a_wait_tells_since_when_and_how_long() -> None:
    shard = shard_of("success", "deferred")
    assert shard.since is not None
    assert describe_state(shard, NOW) == f"waiting since {shard.since.astimezone():%H:%M} (2 min)"


def test_groups_that_have_not_expanded_are_no_shards() -> None:
    assert read_shards([instance("shard.submit_batch", None, -1)]) == []
    assert totals([]) == "reading articles"


def test_totals_count_and_leave_out_skipped_groups() -> None:
    shards = [
        ShardProgress("shard", 0, "written"),
        ShardProgress("shard", 1, "waiting"),
        ShardProgress("retry", 0, "skipped"),
    ]
    assert totals(shards) == "shards written 1 of 2: 1 waiting"


def test_without_a_terminal_each_change_is_one_line() -> None:
    before = [ShardProgress("shard", 0, "submitted"), ShardProgress("shard", 1, "planned")]
    after = [
        ShardProgress("shard", 0, "written", None, 20, "msgbatch_1"),
        ShardProgress("shard", 1, "planned"),
    ]
    assert changes(before, after) == ["shard 1 of 2: written, 20 articles, msgbatch_1"]
    assert changes(after, after) == []


def test_articles_are_matched_with_groups_by_length() -> None:
    instances = [instance("shard.submit_batch", None, i) for i in range(2)]
    instances += [instance("retry_shard.submit_batch", None, 0)]
    sources = [("read_articles", [{"articles": 7}, {"articles": 8}]), ("collect_failures", [{"articles": 3}])]
    assert match_articles(instances, sources) == {("shard", 0): 7, ("shard", 1): 8, ("retry_shard", 0): 3}
    assert match_articles(instances, [("other", {"a": 1}), ("more", [])]) == {}


def test_since_is_never_negative_by_much() -> None:
    shard = ShardProgress("shard", 0, "waiting", NOW + timedelta(seconds=1))
    assert describe_state(shard, NOW).endswith("(0 min)")
