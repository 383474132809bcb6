"""The table at the end of a run, from the return value of ``publish``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from message_batches.command.console import local_path
from nightpress.costs.money import dollars


def rows(published: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List the lines: counts, tokens, dollars. What is missing is left out; zeros and unknown amounts are shown."""
    table: list[tuple[str, str]] = []
    for key in ("articles", "succeeded"):
        _add(table, key, published.get(key))
    failed = published.get("failed") or {}
    table.append(("failed", f"{sum(failed.values()):,}"))
    table.extend((f"  {kind}", f"{count:,}") for kind, count in sorted(failed.items()))
    for key in ("rejected", "reused", "batches"):
        _add(table, key, published.get(key))
    _add(table, "tokens in", published.get("input_tokens"))
    _add(table, "tokens out", published.get("output_tokens"))
    for label, key in (("cost", "cost_usd"), ("list price", "list_cost_usd"), ("saved", "saved_usd")):
        if key in published:
            table.append((label, dollars(published[key])))
    return table


def _add(table: list[tuple[str, str]], label: str, value: Any) -> None:
    if value is not None:
        table.append((label, f"{int(value):,}"))


def render_summary(published: Mapping[str, Any], *, offline: bool) -> list[str]:
    """Lay out the summary: where the Parquet is, the table, and how to read it."""
    path = local_path(str(published.get("uri", "")))
    table = rows(published)
    labels = max(len(label) for label, _ in table)
    values = max(len(value) for _, value in table)
    lines = [f"Published {published.get('day')}: {path}", ""]
    lines += [f"  {label:<{labels}}  {value:>{values}}" for label, value in table]
    if offline:
        lines.append("  (offline API: nothing was billed; these are the prices the real one would have had)")
    if published.get("rejected") and published.get("rejected_uri"):
        lines.append(f"  rejected rows: {local_path(str(published['rejected_uri']))}")
    lines += ["", "Read it:", f'  .venv/bin/python -c "import pandas; print(pandas.read_parquet({path!r}))"']
    return lines
