"""Ledgers for tests: entries as submit and collect leave them, made without running either."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from upath import UPath

from nightpress.batches.ledger import Attempt, Entry
from nightpress.storage import write_atomically

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC).timestamp()


def at(seconds_ago: float) -> datetime:
    return datetime.fromtimestamp(NOW - seconds_ago, UTC)


def entry(number: int, state: str = "collected", **fields: Any) -> Entry:
    """An entry in a state: intended, posting, lost, submitted, ended or collected."""
    values: dict[str, Any] = {
        "key": f"{number:064x}",
        "requests": 100,
        "bytes": 1000,
        "pipeline": "summaries",
        "day": "2026-11-22",
        "run": "night",
        "uri": f"file:///x/requests-{number:05d}.json",
        "dag_id": "press_dag",
        "task_id": "shard.submit_batch",
        "map_index": number,
    }
    age = fields.pop("age", 600.0)
    took = fields.pop("took", 300.0)
    if state != "intended":
        outcome, deadline, detail = "accepted", NOW - age + 600, ""
        if state == "posting":
            outcome, deadline = "open", NOW + 300
        elif state == "lost":
            outcome, deadline, detail = "open", NOW - age, "APIConnectionError"
        values["attempts"] = (
            Attempt(number=1, at=NOW - age, deadline=deadline, outcome=outcome, detail=detail),
        )
    if state in {"submitted", "ended", "collected"}:
        values |= {"batch_id": f"msgbatch_{number}", "submitted_at": at(age)}
    if state in {"ended", "collected"}:
        values["ended_at"] = at(age - took)
    if state == "collected":
        values |= {
            "collected_at": at(age - took - 5),
            "by_status": {"succeeded": 100},
            "cost_usd": 0.5,
            "answered": 100,
        }
    return Entry(**(values | fields))


def put(root: UPath, *entries: Entry, scope: str = "offline") -> None:
    for entry in entries:
        write_atomically(root / "ledger" / scope / f"{entry.key}.json", msgspec.json.encode(entry))
