"""Submit a shard as a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, XComArg
from airflow.sdk.exceptions import AirflowSkipException

from message_batches import config, metrics
from message_batches.form_keys import check_run_keys
from message_batches.links import TaskLink, batch_url
from message_batches.operators.references import label_map_index
from message_batches.remedies import fail_without_retry
from message_batches.triggers import MessageBatchTrigger
from nightpress.errors import ConfigurationError, RequestRefusedError
from nightpress.layout import check_pipeline_name

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightpress.batches.ledger import Ledger
    from nightpress.batches.submission_records import Wait
    from nightpress.layout import DataRoot
    from nightpress.runs.shard_submission import Sender
    from nightpress.shards.shard import Shard
    from nightpress.storage import StoragePath

_SAFE_FIRST_WAIT_SECONDS = 15.0
"""A trigger that resumes its task sooner may be faster than the scheduler, which costs the task a try."""


class SubmitBatchOperator(BaseOperator):
    """Give a shard exactly one batch, and return the batch's id.

    The ledger knows what was submitted before: a retry, a clear, another run or a backfill of the same
    shard gets the same batch. When the answer to a POST is lost, the task looks for the batch and, while
    candidates are running, defers; it never sends a shard again on a guess.

    :param shard: a shard reference as :class:`ReadArticlesOperator` returns it.
    :param requests: instead of a shard, requests made by hand, ``{"custom_id": …, "params": {…}}`` as in the API: a
        list, the path of a file with one a line, or a function of Airflow's context that yields them. They are staged
        once in the run's folder; their texts reach neither XCom nor Airflow's database unless a list comes by XCom.
        :attr:`staged_shard` is what :class:`WriteResultsOperator` needs. What they may cost is in the log and, as
        numbers, in XCom under ``plan``. :func:`message_batches.send_requests` adds all three tasks in one call.
    :param betas: beta headers of a batch of ``requests``.
    :param day: of ``requests``, YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    :param max_cost_usd: USD; ``requests`` that may cost more are refused before anything is sent, and so are those of
        which it is unclear: images, files, a model without a known price. None has no budget.
    :param chosen_max_cost_usd: what a person gave in the form; it can only lower ``max_cost_usd``.
    :param late_schedule: ``"ask"`` sends ``requests`` of a scheduled run that began because the DAG was switched on, so
        that nobody asked for it, only once the task is cleared; ``"run"`` sends them.
    :param pipeline: name of the pipeline, for the ledger.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param max_requests_in_flight: requests that may wait at the API at once, of everybody who uses its workspace;
        a shard that would exceed it is submitted later. None never waits. The look and the POST are two steps,
        so shards submitted in the same moment may exceed it; the API then answers 429, and nothing is lost.
    :param skip_on_account_trouble: when the API refuses because of an account problem (key, credit, permission),
        skip instead of failing, so that :class:`CollectFailuresOperator` says it once for all shards.
    """

    template_fields: Sequence[str] = ("shard", "conn_id", "day", "max_cost_usd", "chosen_max_cost_usd")
    operator_extra_links = (TaskLink("Batch"),)
    ui_color = "#f0e8dc"

    def __init__(
        self,
        *,
        pipeline: str,
        shard: Any = None,
        requests: Any = None,
        betas: Sequence[str] = (),
        day: Any = None,
        max_cost_usd: Any = None,
        chosen_max_cost_usd: Any = None,
        late_schedule: config.LateSchedule = "ask",
        conn_id: str = config.DEFAULT_CONN_ID,
        max_requests_in_flight: int | None = None,
        skip_on_account_trouble: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_requests_in_flight is not None and max_requests_in_flight < 1:
            raise ConfigurationError(
                f"max_requests_in_flight is {max_requests_in_flight}; it must be 1 or more, or None for no limit"
            )
        self.max_requests_in_flight = max_requests_in_flight
        self.skip_on_account_trouble = skip_on_account_trouble
        if shard is not None and requests is not None:
            raise ConfigurationError("shard and requests are both given; one batch has one of them")
        self.shard = shard
        self.requests = requests
        self.betas = tuple(betas)
        self.day = day
        if max_cost_usd is not None and requests is None:
            raise ConfigurationError(
                "max_cost_usd goes with requests; a shard's budget is that of its plan, in ReadArticlesOperator"
            )
        self.max_cost_usd = max_cost_usd
        self.chosen_max_cost_usd = chosen_max_cost_usd
        if late_schedule not in config.LATE_SCHEDULE:
            raise ConfigurationError(f"late_schedule is {late_schedule!r}; use one of: ask, run")
        self.late_schedule = late_schedule
        # Not a template field: its rendered value, the prompts, would be stored in Airflow's database.
        XComArg.apply_upstream_relationship(self, requests)
        self.pipeline = check_pipeline_name(pipeline)
        self.conn_id = conn_id
        self.batch_url = ""

    @property
    def staged_shard(self) -> Any:
        """The shard that ``requests`` were staged as, for :class:`WriteResultsOperator`: an XCom reference."""
        return self.output["shard"]  # type: ignore[index]

    def execute(self, context: Context, event: Any = None) -> str:  # noqa: ARG002
        """Submit, attach or adopt; defer while it is unclear which."""
        from nightpress.batches.submission_records import Wait
        from nightpress.runs.shard_submission import open_shard, send_shard

        with fail_without_retry():
            if self.requests is None:
                shard = open_shard(self.shard, config.data_root(), context["run_id"], self.pipeline)
            else:
                shard = self._stage(context)
            label_map_index(shard)
            api = config.connect(self.conn_id)
            check_budget = None
            if self.requests is not None:
                check_budget = self._check_budget(shard, config.open_ledger(api.scope), context)
            try:
                outcome = send_shard(
                    shard,
                    self._sender(context),
                    api,
                    config.open_ledger(api.scope),
                    config.data_root(),
                    time.time,
                    max_requests_in_flight=self.max_requests_in_flight,
                    observe_queue=metrics.show_in_flight,
                    check_before_post=check_budget,
                )
            except RequestRefusedError as error:
                if error.account and self.skip_on_account_trouble:
                    raise AirflowSkipException(f"not submitted: {error}") from error
                raise
        if isinstance(outcome, Wait):
            self._defer(outcome)
        if outcome.how == "attached":
            self.log.info("shard %s was submitted before: batch %s", shard.name, outcome.batch_id)
        else:
            metrics.count_submitted(self.pipeline)
        self.batch_url = batch_url(api.base_url, outcome.batch_id, api.scope == "offline")
        return outcome.batch_id

    def _stage(self, context: Context) -> Shard:
        """Store the hand-made requests as a shard, once, and hand its reference on."""
        from nightpress.runs.given_requests import read_requests, stage_requests
        from nightpress.runs.unrequested_runs import refuse_if_unrequested

        check_run_keys(self.get_dag(), context["dag_run"])
        refuse_if_unrequested(config.start_of_run(context, self.late_schedule))
        day = config.day_of_run(context, self.day or None)
        found = config.resolve(self.requests, context)
        if callable(found):
            found = found(context)
        elif isinstance(found, (str, PurePath)):
            found = read_requests(config.source_path(str(found), day))
        shard = stage_requests(found, *self._place(context), betas=self.betas)
        context["ti"].xcom_push(key="shard", value=shard.to_reference())
        return shard

    def _place(self, context: Context) -> tuple[StoragePath, DataRoot, str]:
        """Return where the hand-made requests of this task are staged."""
        from nightpress.runs.given_requests import task_file_name

        root, task = config.data_root(), context["ti"]
        day = config.day_of_run(context, self.day or None)
        name = task_file_name(task.task_id, -1 if task.map_index is None else task.map_index)
        return root.run_folder(self.pipeline, day, context["run_id"]), root, name

    def _check_budget(self, shard: Shard, ledger: Ledger, context: Context) -> Callable[[], None]:
        """Tell what the hand-made requests may cost, refuse what is over the budget, and return the same check."""
        from nightpress.costs.money import dollars
        from nightpress.runs.ceilings import read_usd
        from nightpress.runs.given_requests import check_given_budget

        folder, _, name = self._place(context)
        amounts = (read_usd("max_cost_usd", each) for each in (self.max_cost_usd, self.chosen_max_cost_usd))
        budget = min((amount for amount in amounts if amount is not None), default=None)
        plan = check_given_budget(shard, folder, name, budget, ledger)
        context["ti"].xcom_push(key="plan", value=plan.to_values())
        why = f" ({plan.unbounded})" if plan.unbounded else ""
        self.log.info("%s requests, at most %s%s", f"{plan.requests:,}", dollars(plan.cost_upper_usd), why)
        return lambda: plan.check_budget(budget)

    def _sender(self, context: Context) -> Sender:
        from nightpress.runs.shard_submission import Sender

        task = context["ti"]
        map_index = -1 if task.map_index is None else task.map_index
        return Sender(self.pipeline, context["run_id"], task.dag_id, task.task_id, map_index)

    def _defer(self, wait: Wait) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        now = time.time()
        self.log.warning("not submitted yet: %s; looking again in %.0f s", wait.why, wait.until - now)
        if wait.batch_ids:
            trigger: Any = MessageBatchTrigger(
                batch_ids=list(wait.batch_ids), conn_id=self.conn_id, deadline=wait.until
            )
        else:
            moment = max(wait.until, now + _SAFE_FIRST_WAIT_SECONDS)
            trigger = DateTimeTrigger(datetime.fromtimestamp(moment, UTC))
        self.defer(trigger=trigger, method_name="execute")
