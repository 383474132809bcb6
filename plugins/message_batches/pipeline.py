"""A whole pipeline as one call inside a DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from message_batches.config import DEFAULT_CONN_ID
from message_batches.form import describe_request, with_form
from message_batches.parse_checks import check_model_options
from message_batches.pipeline_tasks import TaskOptions, add_tasks
from nightpress.articles.published_source import Published
from nightpress.layout import check_pipeline_name
from nightpress.settings import (
    DEFAULT_KEPT_PUBLICATIONS,
    DEFAULT_MAX_REQUESTS_IN_FLIGHT,
    DEFAULT_MIN_ANSWERED_SHARE,
    DEFAULT_MODEL,
)

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier
    from pydantic import BaseModel

    from message_batches.airflow_private import ResolveMixin
    from message_batches.dag_context import Templated


def message_batch_pipeline(
    name: str,
    *,
    prompt: str | ResolveMixin,
    system: str | None = None,
    output: type[BaseModel] | Mapping[str, Any] | None = None,
    cache: bool = False,
    model: Templated[str] = DEFAULT_MODEL,
    models: Sequence[str] = (),
    max_tokens: Templated[int | None] = None,
    thinking: Templated[Mapping[str, object]] = "off",
    effort: Templated[None] = None,
    thinking_room: int | None = None,
    request: Mapping[str, object] | None = None,
    betas: Sequence[str] = (),
    limit: Templated[int | None] = None,
    source: Any = None,
    day: Templated[None] = None,
    conn_id: str = DEFAULT_CONN_ID,
    poll_seconds: float | None = None,
    approval_timeout: timedelta = timedelta(hours=12),
    approvers: Sequence[str] = (),
    self_approval: bool = True,
    max_requests_in_flight: int = DEFAULT_MAX_REQUESTS_IN_FLIGHT,
    notify: Sequence[BaseNotifier] = (),
    min_answered_share: float = DEFAULT_MIN_ANSWERED_SHARE,
    keep_publications: int = DEFAULT_KEPT_PUBLICATIONS,
    **reading: Any,
) -> Asset:
    """Add a whole pipeline and its trigger form to the current DAG.

    Values given here are what the form shows first; a person who triggers the DAG may change them for that
    run. **What is given here for max_cost_usd, approve_above_usd, max_tokens and limit is also the most that the
    form can ask for**, and an empty field of the form takes it: see :class:`~nightpress.runs.ceilings.Ceilings`. A
    value that is a reference, such as ``dag.param("model")``, is taken as it is and limits nothing.

    :param name: the pipeline's name; its answers are published under it, and the asset is named after it.
    :param prompt: the user message, with ``{content}`` and, if wanted, ``{title}``, ``{id}`` and any other field
        of the source, such as ``{brand}``.
    :param system: system prompt of all requests, or None.
    :param output: a Pydantic model's class or a JSON schema. Answers are then JSON of that shape, and each field
        is a typed column; see docs/typed-columns.md for what can be one.
    :param cache: keep ``system`` in the prompt cache for an hour; the plan says when it is too short for that.
    :param model: model id.
    :param models: the only models that the form offers and the run accepts, ``model`` among them; empty allows all.
    :param max_tokens: most tokens of one answer; None means 200, and the form can raise it. Room for thinking
        is added to it.
    :param thinking: ``"off"`` (the least that the model allows), ``"auto"`` (the model decides) or a ``thinking``
        object as in the Messages API; see docs/models.md.
    :param effort: effort level, such as ``"low"``; None takes the model's own.
    :param thinking_room: tokens that are added to ``max_tokens`` where the model may think, and the plan's upper
        bound includes; None goes by the effort. Less costs less at most, but an answer is cut off when its thinking
        needs more.
    :param request: other parameters of a Messages request, such as ``{"stop_sequences": ["END"]}``.
    :param betas: beta headers of the batches, such as ``["output-300k-2026-03-24"]``.
    :param limit: read at most this many articles; None reads all.
    :param source: file, glob or folder, with ``{day}`` for the day, or :func:`published`; None reads the inbox.
    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param poll_seconds: seconds between polls of the API; see :class:`MessageBatchSensor`.
    :param approval_timeout: how long a plan that needs approval waits for a person; without approval nothing is spent.
    :param approvers: ids of the Airflow users who may approve a plan; empty allows everybody who may edit the run.
    :param self_approval: False refuses the approval of the person who triggered the run.
    :param max_requests_in_flight: requests that may wait at the API at once, all runs together; a shard that
        would exceed it waits before it is submitted. The API's own queue holds 200,000 to 500,000 by tier.
    :param notify: Airflow notifiers that are called when a plan waits for approval, when a day is published, and when a
        run fails: once each, however many shards there are. See docs/notify.md.
    :param min_answered_share: 0 to 1, of the articles that must have an answer if the published day has any; with 0,
        one answer is enough. *Replace whatever was answered* in the form disables this for one run.
    :param keep_publications: earlier publications of a day that are kept for ``nightpress restore``; 0 keeps none.
    :param reading: other arguments of :class:`ReadArticlesOperator`: fields, max_content_chars, …, and
        first values of the form's fields: max_cost_usd, approve_above_usd, fresh, reuse_days.
    :return: the asset that a published day updates, with the day as partition.
    """
    asked = {"prompt": prompt, "model": model, "max_tokens": max_tokens, "limit": limit, "day": day} | reading
    asked |= {"thinking": thinking, "effort": effort}
    sent = {"thinking_room": thinking_room, "request": request, "betas": betas}
    check_model_options(asked | sent)
    options = TaskOptions(
        source=source,
        system=system,
        output=output,
        cache=cache,
        conn_id=conn_id,
        poll_seconds=poll_seconds,
        approval_timeout=approval_timeout,
        approvers=approvers,
        self_approval=self_approval,
        max_requests_in_flight=max_requests_in_flight,
        notify=notify,
        min_answered_share=min_answered_share,
        keep_publications=keep_publications,
    )
    shown = describe_request(system, output)
    arguments = with_form(asked, models=models, beside_prompt=shown) | sent
    return add_tasks(name, arguments, options).asset


def published(pipeline: str, *, content: str = "text", whole: bool = False) -> str:
    """Return what another pipeline publishes for the day, as a source.

    The columns of its answers are fields of the prompt, as the source's own are, e.g. ``{severity}``.

    :param content: the column that is ``{content}``: the answer's text, or a column of a typed answer.
    :param whole: the day is one article: titles and texts, one after the other.
    """
    return Published(check_pipeline_name(pipeline), content, whole).to_source()
