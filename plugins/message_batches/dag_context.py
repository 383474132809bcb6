"""The DAG that is being declared, and values that are known only when it runs."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from airflow.sdk import DAG

from message_batches.airflow_private import DagContext, ResolveMixin
from nightpress.errors import ConfigurationError

T = TypeVar("T")

Templated: TypeAlias = T | str | ResolveMixin
"""A value, or a template or a reference, such as ``dag.param("limit")``, that becomes one when a run renders it."""


def is_reference(value: object) -> bool:
    """Return whether a value is known only when a run has rendered it: a param, an XCom or a template."""
    return isinstance(value, ResolveMixin) or (isinstance(value, str) and "{{" in value)


def current_dag(caller: str) -> DAG:
    """Return the DAG in whose context this is called.

    :raises ConfigurationError: there is none.
    """
    dag = DagContext.get_current()
    if dag is None:
        raise ConfigurationError(f"{caller} is called outside a DAG; call it inside `with DAG(…)` or @dag")
    return dag


def rendered(value: T | str | ResolveMixin) -> T | str:
    """Return the value of a template field when the task runs: Airflow has replaced every reference by then.

    :raises TypeError: it is still a reference.
    """
    if isinstance(value, ResolveMixin):
        raise TypeError(f"{value!r:.100} is not rendered; it is known only when a run executes the task")
    return value
