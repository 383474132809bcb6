"""Everything that Nightpress imports from modules of Airflow that are not public, and what could replace it.

Seen in 3.3.0 to 3.3.2 and 3.4.0b2; ``make compat`` imports and tests it against other versions.

=====================  =============================================================  ==============================
name                   used for                                                       replacement
=====================  =============================================================  ==============================
``DagContext``         the DAG in whose context ``message_batch_pipeline`` is called  none yet: ``airflow.sdk`` has no
                                                                                      public "current DAG"
``ResolveMixin``       telling ``dag.param("x")`` and XCom references from values     none yet
``return_value``       what a trigger returns for its task                            ``TaskSuccessEvent(xcoms=…)``,
                                                                                      once it encodes a string once
``forget_stores``      new credentials in a process that has the old ones                none yet
``request_approval``   what the request of a task shows                               ``HITLOperator`` with a condition
=====================  =============================================================  ==============================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.sdk.definitions._internal.mixins import ResolveMixin

if TYPE_CHECKING:
    from uuid import UUID

    from airflow.providers.standard.operators.hitl import HITLOperator

__all__ = ["DagContext", "ResolveMixin", "ShownRequest", "forget_stores", "request_approval", "return_value"]


def forget_stores() -> None:
    """Make the next ``ObjectStoragePath`` read its connection again: Airflow caches drivers without end."""
    from airflow.sdk.io.store import _STORE_CACHE

    _STORE_CACHE.clear()


async def return_value(task_instance: Any, value: str) -> None:
    """Store what a task returns, from its trigger.

    :param task_instance: as a trigger knows it.
    """
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom

    await XCom.aset(
        BaseXCom.XCOM_RETURN_KEY,
        value,
        dag_id=task_instance.dag_id,
        task_id=task_instance.task_id,
        run_id=task_instance.run_id,
        map_index=task_instance.map_index,
    )


class ShownRequest(NamedTuple):
    """What a request for approval shows to people."""

    subject: str
    body: str | None


def request_approval(ti_id: UUID, operator: HITLOperator) -> ShownRequest:
    """Create a task's request for approval, or find that of an earlier try, and return what it shows."""
    from airflow.sdk.api.datamodels._generated import HITLUser
    from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, HITLDetailRequestResult
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    shown = SUPERVISOR_COMMS.send(
        CreateHITLDetailPayload(
            ti_id=ti_id,
            options=operator.options,
            subject=operator.subject,
            body=operator.body,
            params={},
            multiple=False,
            assigned_users=[HITLUser(**user) for user in operator.assigned_users or []],
        )
    )
    assert isinstance(shown, HITLDetailRequestResult)
    return ShownRequest(shown.subject, shown.body)
