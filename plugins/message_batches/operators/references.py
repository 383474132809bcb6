"""What travels between the operators by XCom: small references, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, get_current_context

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightpress.shards.shard import Shard


def as_list(value: Any) -> list[Any]:
    """Return the list of what the tasks of a mapped group returned.

    Airflow gives a lazy sequence or list, None when nothing was mapped, and the bare value when there was
    only one.
    """
    return [value] if isinstance(value, Mapping) else list(value or [])


def label_map_index(shard: Shard) -> None:
    """Name the mapped task after its shard, for ``map_index_template="{{ shard_label }}"``."""
    label = f"shard {int(shard.name)}" if shard.name.isdigit() else f"shard {shard.name}"
    get_current_context()["shard_label"] = f"{label} · {shard.articles:,} articles"  # type: ignore[typeddict-unknown-key]


def tell_assets(outlets: Iterable[Any], context: Context, day: str, numbers: dict[str, Any]) -> None:
    """Give the events of a task's assets its numbers and, in a run without a partition key, its day."""
    keyless = getattr(context["dag_run"], "partition_key", None) is None
    for outlet in outlets:
        if isinstance(outlet, Asset):
            event = context["outlet_events"][outlet]
            event.extra = numbers
            if keyless:
                event.add_partitions(day)
