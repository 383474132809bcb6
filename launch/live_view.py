"""The block that ``nightpress run`` redraws on a terminal: a line for each shard, a bar and totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from launch.progress import IDLE, ShardProgress, describe_state, totals
from nightpress.plain_text import for_terminal

MAX_LINES = 20
_BAR_COLUMNS = 30
_STYLES = {
    "written": "green",
    "failed": "bold red",
    "retrying": "yellow",
    "waiting": "cyan",
    "planned": "dim",
}


def render_progress(
    shards: Sequence[ShardProgress], now: datetime, *, lines: int = MAX_LINES
) -> RenderableType:
    """Return the block: a line for each shard (if there are many, only the active ones), then the bar.

    :param lines: how many shards are shown at most.
    """
    known = [shard for shard in shards if shard.state != "skipped"]
    if not known:
        return Text(totals(shards), style="cyan")
    shown = known if len(known) <= lines else [shard for shard in known if shard.state not in IDLE]
    hidden = max(0, len(shown) - lines)
    parts: list[RenderableType] = [_table(shown[:lines], now)] if shown else []
    if hidden:
        parts.append(Text(f"  and {hidden:,} more at work", style="dim"))
    return Group(*parts, _summary(known))


def _table(shards: Sequence[ShardProgress], now: datetime) -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for shard in shards:
        articles = "" if shard.articles is None else f"{shard.articles:,} articles"
        table.add_row(
            Text(f"  {shard.label}"),
            Text(describe_state(shard, now), style=_STYLES.get(shard.state, "")),
            Text(articles),
            Text(for_terminal(shard.batch_id or "", 80), style="dim"),
        )
    return table


def _summary(shards: Sequence[ShardProgress]) -> Table:
    counts = Counter(shard.state for shard in shards)
    line = Table.grid(padding=(0, 2), pad_edge=False)
    line.add_column(width=_BAR_COLUMNS)
    line.add_column(overflow="fold")
    bar = ProgressBar(
        total=len(shards),
        completed=counts["written"],
        width=_BAR_COLUMNS,
        complete_style="red" if counts["failed"] else "cyan",
        finished_style="green",
    )
    line.add_row(bar, Text(totals(shards)))
    return line
