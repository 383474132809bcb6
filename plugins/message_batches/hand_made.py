"""Your own requests as one call inside a DAG: send, wait, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow.sdk import Param, TaskGroup, XComArg

from message_batches.config import DEFAULT_CONN_ID, LateSchedule
from message_batches.dag_context import current_dag
from message_batches.form_fields import MAX_USD
from message_batches.operators import SubmitBatchOperator, WriteResultsOperator
from message_batches.pipeline_tasks import RETRIES
from message_batches.sensors import MessageBatchSensor
from nightpress.layout import check_pipeline_name
from nightpress.runs.ceilings import read_usd
from nightpress.settings import DEFAULT_MAX_REQUESTS_IN_FLIGHT

if TYPE_CHECKING:
    from airflow.sdk import Context

GivenRequest: TypeAlias = Mapping[str, Any]
"""``{"custom_id": …, "params": {…}}`` as in the Message Batches API."""

MakeRequests: TypeAlias = "Callable[[Context], Iterable[GivenRequest]]"


def send_requests(
    name: str,
    requests: Sequence[GivenRequest] | MakeRequests | str | PathLike[str] | XComArg,
    *,
    max_cost_usd: float | None = None,
    betas: Sequence[str] = (),
    late_schedule: LateSchedule = "ask",
    conn_id: str = DEFAULT_CONN_ID,
    poll_seconds: float | None = None,
    max_requests_in_flight: int | None = DEFAULT_MAX_REQUESTS_IN_FLIGHT,
) -> Any:
    """Add tasks that send your own requests as one batch to the current DAG: submit, wait, write.

    The batch is paid for exactly once, whatever is retried or cleared; a later run with exactly the same requests gets
    the same answers. If all requests failed, a later run sends them again; the same run does so, once its submit task
    is cleared, if an account problem was the cause. With ``max_cost_usd`` the DAG's trigger form gets that field, which
    can only lower it.

    :param name: of the pipeline and of the task group; its results are ``runs/<name>/<day>/<run>/results-*.parquet``.
    :param requests: a list, the path of a file with one request a line, a function of Airflow's context that yields
        them, or what a ``@task`` returned: such a path, so that no text is in XCom.
    :param max_cost_usd: USD; requests that may cost more, or whose cost has no known bound, are refused before anything
        is sent. None has no budget.
    :param betas: beta headers of the batch.
    :param late_schedule: ``"ask"`` sends nothing in a scheduled run that began only because the DAG was switched on,
        until its submit task is cleared; ``"run"`` sends.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param poll_seconds: seconds between polls of the API; see :class:`MessageBatchSensor`.
    :param max_requests_in_flight: requests that may wait at the API at once, all runs together.
    :return: what :class:`WriteResultsOperator` returns, to be given to a ``@task``: ``{"uri": …, "by_status": …}``.
    """
    dag = current_dag("send_requests")
    budget = read_usd("max_cost_usd", max_cost_usd)
    with TaskGroup(check_pipeline_name(name), dag=dag):
        submitted = SubmitBatchOperator(
            task_id="submit_batch",
            pipeline=name,
            requests=requests,
            betas=betas,
            late_schedule=late_schedule,
            max_cost_usd=budget,
            chosen_max_cost_usd=None if budget is None else _form_budget(),
            conn_id=conn_id,
            max_requests_in_flight=max_requests_in_flight,
            **RETRIES,
        )
        ended = MessageBatchSensor(
            task_id="wait_for_batch",
            batch_id=submitted.output,
            conn_id=conn_id,
            poll_seconds=poll_seconds,
            **RETRIES,
        )
        return WriteResultsOperator(
            task_id="write_results",
            pipeline=name,
            shard=submitted.staged_shard,
            batch_id=ended.output,
            conn_id=conn_id,
            **RETRIES,
        ).output


def _form_budget() -> Any:
    """Return a reference to the form's field, which is the same for all batches of the DAG."""
    dag = current_dag("send_requests")
    if "max_cost_usd" not in dag.params:
        dag.params["max_cost_usd"] = Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=MAX_USD,
            title="Budget (USD)",
            description="If a batch of this run may cost more, it fails before anything is sent. It can only lower "
            "what the DAG declares, which holds when this is empty.",
        )
    return dag.param("max_cost_usd")
