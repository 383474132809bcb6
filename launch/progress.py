"""The progress of a run: shards and their states, derived from task instances alone.

Pure: no clock, no network. Any mapped group with tasks ``submit_batch``, ``wait_for_batch`` and
``write_results`` counts as shards, so a second round is included without being named here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

STEPS = ("submit_batch", "wait_for_batch", "write_results")
_BROKEN = ("failed", "upstream_failed")
IDLE = ("written", "planned")
"""States in which no work is done for a shard."""


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """One shard in the progress of a run.

    :param group: the mapped task group, e.g. ``shard``.
    :param index: its map index, from 0.
    :param state: planned, submitting, submitted, waiting, ended, writing, written, retrying, failed, skipped.
    :param since: start of the wait, for ``waiting``.
    :param articles: how many it holds, when known.
    :param batch_id: once it is submitted.
    """

    group: str
    index: int
    state: str
    since: datetime | None = None
    articles: int | None = None
    batch_id: str | None = None

    @property
    def label(self) -> str:
        """The number shown to people, counted from 1."""
        return f"{self.group.replace('_', ' ')} {self.index + 1}"


def read_shards(
    instances: Iterable[Mapping[str, Any]],
    *,
    articles: Mapping[tuple[str, int], int] | None = None,
    batch_ids: Mapping[tuple[str, int], str] | None = None,
) -> list[ShardProgress]:
    """Read the shards from a run's task instances, in the order in which their groups appear."""
    steps: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
    for instance in instances:
        group, _, step = str(instance["task_id"]).rpartition(".")
        if group and step in STEPS and instance["map_index"] >= 0:
            steps.setdefault((group, int(instance["map_index"])), {})[step] = instance
    shards = []
    for key, parts in sorted(steps.items()):
        state, since = _state(parts)
        shards.append(
            ShardProgress(*key, state, since, (articles or {}).get(key), (batch_ids or {}).get(key))
        )
    return shards


def _state(parts: Mapping[str, Mapping[str, Any]]) -> tuple[str, datetime | None]:
    submit, wait, write = states = [str((parts.get(step) or {}).get("state")) for step in STEPS]
    if write == "success":
        return "written", None
    if all(state == "skipped" for state in states):
        return "skipped", None
    if any(state in _BROKEN for state in states):
        return "failed", None
    if "up_for_retry" in states:
        return "retrying", None
    if wait == "success" or submit != "success":
        return _before_or_after_wait(submit, wait, write), None
    # Between two polls a wait is queued again: it has begun, whatever its state.
    waiting = wait == "deferred" or (parts.get("wait_for_batch") or {}).get("start_date")
    return ("waiting" if waiting else "submitted"), _moment(parts["submit_batch"].get("end_date"))


def _before_or_after_wait(submit: str, wait: str, write: str) -> str:
    if wait == "success":
        return "writing" if write == "running" else "ended"
    return "submitting" if submit in ("running", "queued") else "planned"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def describe_state(shard: ShardProgress, now: datetime) -> str:
    """Describe a shard's state in words; for a wait with the local time and whole minutes."""
    if shard.state != "waiting" or shard.since is None:
        return shard.state
    minutes = max(0, int((now - shard.since).total_seconds() // 60))
    return f"waiting since {shard.since.astimezone():%H:%M} ({minutes} min)"


def totals(shards: Sequence[ShardProgress]) -> str:
    """Describe how far the run is: ``shards written 3 of 10: 5 waiting, 2 submitting``."""
    shards = [shard for shard in shards if shard.state != "skipped"]
    if not shards:
        return "reading articles"
    counts = Counter(shard.state for shard in shards)
    written = counts.pop("written", 0)
    rest = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    return f"shards written {written} of {len(shards)}" + (f": {rest}" if rest else "")


def changes(before: Sequence[ShardProgress], after: Sequence[ShardProgress]) -> list[str]:
    """Give one line for each shard whose state has changed, for outputs that cannot be redrawn."""
    known = {(shard.group, shard.index): shard.state for shard in before}
    per_group = Counter(shard.group for shard in after)
    lines = []
    for shard in after:
        old = known.get((shard.group, shard.index), "planned")
        if shard.state not in (old, "skipped"):
            articles = "" if shard.articles is None else f", {shard.articles:,} articles"
            batch = f", {shard.batch_id}" if shard.batch_id else ""
            lines.append(f"{shard.label} of {per_group[shard.group]}: {shard.state}{articles}{batch}")
    return lines


def match_articles(
    instances: Iterable[Mapping[str, Any]], sources: Sequence[tuple[str, Any]]
) -> dict[tuple[str, int], int]:
    """Match shard lists by length with the groups that are expanded over them.

    :param sources: task id and return value of the tasks outside groups, in the order in which they ended.
    """
    lengths: Counter[str] = Counter()
    for instance in instances:
        group, _, step = str(instance["task_id"]).rpartition(".")
        if group and step == STEPS[0] and instance["map_index"] >= 0:
            lengths[group] += 1
    lists = [value for _, value in sources if _is_shard_list(value)]
    matched: dict[tuple[str, int], int] = {}
    for group in lengths:
        found = next((value for value in lists if len(value) == lengths[group]), None)
        if found is not None:
            lists.remove(found)
            matched.update({(group, index): int(shard["articles"]) for index, shard in enumerate(found)})
    return matched


def _is_shard_list(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and "articles" in v for v in value)
    )
