"""Keys of a run's ``conf``: one that the form does not have is a typing mistake, and is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from message_batches.switched_on import SWITCHED_ON
from nightpress.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import DAG

_ADDED = frozenset({"openlineage", SWITCHED_ON})
"""Keys that nobody typed: of TriggerDagRunOperator for OpenLineage, and of our listener in the scheduler."""

_MAX_NAMED = 5


def check_run_keys(dag: DAG | None, run: Any) -> None:
    """Refuse a run whose ``conf`` has a key that its DAG's form does not: Airflow takes any, and ignores it.

    A budget that was mistyped would be no budget.

    :param run: the DAG run, however it was started: form, command line, REST, backfill or another DAG.
    :raises ConfigurationError: naming the keys, never their values.
    """
    given = getattr(run, "conf", None)
    if dag is not None and isinstance(given, Mapping):
        check_keys(dag.dag_id, given, list(dag.params))


def check_keys(dag_id: str, given: Iterable[object], known: Iterable[str]) -> None:
    """Refuse keys that are none of the known ones.

    :raises ConfigurationError: naming the keys and what may have been meant.
    """
    names = sorted(known)
    unknown = [key for key in given if key not in names and key not in _ADDED]
    if not unknown:
        return
    said = []
    for key in unknown[:_MAX_NAMED]:
        near = get_close_matches(str(key).lower(), names, n=1)
        said.append(f"{str(key)!r:.60}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    if len(unknown) > _MAX_NAMED:
        said.append(f"{len(unknown) - _MAX_NAMED} more")
    raise ConfigurationError(
        f"the run was started with {', '.join(said)}, and the form of {dag_id} has no such field; nothing was sent. "
        f"It has: {', '.join(names) or 'none'}. Trigger the run again with one of those; a key that other tasks of "
        "the DAG read is declared as a Param of the DAG.",
        code="unknown_key",
    )
