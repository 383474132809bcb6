"""Ask a person to approve a plan above the cost limit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException

from message_batches import config
from message_batches.airflow_private import request_approval
from message_batches.operators.references import as_list
from message_batches.remedies import fail_without_retry
from nightpress.errors import ConfigurationError
from nightpress.plain_text import for_markdown

if TYPE_CHECKING:
    from uuid import UUID

    from airflow.sdk import Context

    from nightpress.costs.plan import Plan


ASKED = "asked"
"""XCom key of the digest of the plan that a person is asked about."""


class ApprovePlanOperator(ApprovalOperator):
    """Let a run continue, ask a person first, or end it after the plan; nothing has been sent yet.

    Returns the shards that it was given, so that the tasks that are mapped over them wait for the approval. A plan
    above its ``approve_above_usd`` waits under *Required Actions*, where Airflow shows the plan. *Reject* ends the
    run cleanly, and so does ``plan_only``: all downstream tasks are skipped, and nothing is spent. When it is
    cleared, it asks again; if the plan has changed since, it fails, because Airflow would show the old plan. It also
    fails if the plan changed while it waited: what was approved is not what would be sent.

    :param shards: what :class:`ReadArticlesOperator` returned.
    :param plan: its XCom ``plan``.
    :param response_timeout: how long to wait for a person; after that the task fails, and nothing is spent.
    :param approvers: ids of the Airflow users who may answer; empty allows everybody who may edit the run.
    :param self_approval: False refuses the approval of the person who triggered the run.
    """

    template_fields: Sequence[str] = ("shards", "plan", "subject", "body")
    ui_color = "#f4ecd8"

    def __init__(
        self,
        *,
        shards: Any,
        plan: Any,
        response_timeout: timedelta = timedelta(hours=12),
        approvers: Sequence[str] = (),
        self_approval: bool = True,
        **kwargs: Any,
    ) -> None:
        if isinstance(approvers, str):
            raise ConfigurationError(
                f"approvers is {approvers!r}; a list of user ids is needed, such as ['anna']"
            )
        assigned = [{"id": user, "name": user} for user in approvers]
        super().__init__(
            subject="Approve the cost of this run",
            response_timeout=response_timeout,
            assigned_users=assigned or None,
            **kwargs,
        )
        self.shards = shards
        self.plan = plan
        self.self_approval = self_approval

    def execute(self, context: Context) -> Any:
        """Return the shards, or defer the task until a person has answered."""
        from nightpress.costs.plan import read_plan

        plan = read_plan(self.plan)
        if plan.plan_only:
            self.log.info("plan only: the run ends here, nothing was sent")
            self._end_run(context)
            return None
        if not plan.needs_approval:
            return as_list(self.shards)
        self.subject, self.body = _subject(plan), _to_markdown(plan)
        context["ti"].xcom_push(key=ASKED, value=_digest(plan))
        if context["ti"].try_number > 1:
            with fail_without_retry():
                self._refuse_to_show_another_plan(context["ti"].id)
        self.log.info("%s; waiting for a person", self.subject)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Continue if the plan was approved; end the run if it was rejected.

        :raises AirflowFailException: nobody answered in time; nothing was spent.
        """
        with fail_without_retry():
            return self._go_on(context, event)

    def _go_on(self, context: Context, event: dict[str, Any]) -> Any:
        try:
            chosen = self._read_answer(context, event)
        except HITLTimeoutError as error:
            if config.start_of_run(context, "ask").unrequested:
                # Nobody asked for the run, so that nobody answered is no failure.
                self.log.info(
                    "nobody approved the plan, and nobody asked for the run: it ends, nothing was sent"
                )
                self._end_run(context)
                return None
            raise AirflowFailException(
                f"nobody approved the plan within {self.response_timeout}; nothing was sent. "
                "Clear this task to ask again."
            ) from error
        user = event.get("responded_by_user") or {}
        who = user.get("name") or user.get("id") or "someone"
        if chosen == self.APPROVE:
            self._check_approver(context, user)
            self._check_plan(context)
            self.log.info("approved by %s", who)
            return as_list(self.shards)
        self.log.info("rejected by %s: the run ends here, nothing was sent", who)
        self._end_run(context)
        return None

    def _check_approver(self, context: Context, user: Mapping[str, Any]) -> None:
        """Check that the person who approved is allowed to.

        :raises AirflowFailException: it is not one of the approvers; or, without self-approval, the person is unknown
            or the one who triggered the run.
        """
        names = {name for name in (user.get("id"), user.get("name")) if name}
        if self.assigned_users and not names & {approver["id"] for approver in self.assigned_users}:
            raise AirflowFailException(
                f"the plan was approved by {user.get('name') or 'somebody unknown'}, who is not one of its approvers; "
                "nothing was sent. Clear this task to ask again."
            )
        if self.self_approval:
            return
        requester = getattr(context["dag_run"], "triggering_user_name", None)
        if not names or requester in names:
            who = requester if requester in names else "somebody unknown"
            raise AirflowFailException(
                f"the plan was approved by {who}, and this pipeline needs the approval of a person other than the one "
                f"who triggered the run; nothing was sent. Clear this task to ask again."
            )

    def _check_plan(self, context: Context) -> None:
        """Check that the plan is the one that was shown: the articles may have been read again while it waited.

        :raises AirflowFailException: it is another one, which nobody approved.
        """
        from nightpress.costs.plan import read_plan

        task = context.get("ti")
        asked = task.xcom_pull(task_ids=self.task_id, key=ASKED) if task is not None else None
        plan = read_plan(self.plan)
        if asked not in {None, _digest(plan)}:
            raise AirflowFailException(
                f"the plan is now “{_subject(plan)}”, because the articles were read again after this run had asked "
                "about another plan, which was approved; nothing was sent. Trigger a new run of the day: it asks "
                "with the plan as it is."
            )

    def _refuse_to_show_another_plan(self, ti_id: UUID) -> None:
        """Check that the request shows this plan: Airflow 3.3.2 keeps the request of a task's first try.

        :raises AirflowFailException: it shows another plan; approving that one would not approve this one.
        """
        shown = request_approval(ti_id, self)
        if (shown.subject, shown.body) != (self.subject, self.body):
            raise AirflowFailException(
                f"the plan is now “{self.subject}”, but Airflow would continue showing the one that this run asked "
                f"about before, “{shown.subject}”; nothing was sent. Trigger a new run of the day: it asks with "
                "the plan as it is."
            )

    def _read_answer(self, context: Context, event: dict[str, Any]) -> str:
        answer = super(ApprovalOperator, self).execute_complete(context, event)
        return str(answer["chosen_options"][0])

    def _end_run(self, context: Context) -> None:
        tasks = list(context["task"].get_flat_relatives(upstream=False))
        if tasks:
            self.skip(ti=context["ti"], tasks=tasks)


def _subject(plan: Plan) -> str:
    from nightpress.costs.money import dollars

    paid = plan.to_send + plan.attached
    return f"{plan.pipeline} {plan.day}: {paid:,} articles, at most {dollars(plan.cost_upper_usd)}"


def _digest(plan: Plan) -> str:
    """Return a digest of what a person is shown of a plan."""
    return hashlib.sha256(f"{_subject(plan)}\n{_to_markdown(plan)}".encode()).hexdigest()


def _to_markdown(plan: Plan) -> str:
    """Return the plan as a Markdown table; names from outside cannot become markup."""
    from nightpress.costs.plan_lines import plan_lines

    lines = ["| | |", "|---|---|"]
    lines += [f"| {_escape(name.strip())} | {_escape(value)} |" for name, value in plan_lines(plan)]
    lines += ["", *(f"- {_escape(note)}" for note in plan.notes)]
    return "\n".join(lines)


def _escape(text: str) -> str:
    """Return text on one line without markup or links; brackets are escaped too."""
    return _BRACKETS.sub(r"\\\g<0>", for_markdown(text))


_BRACKETS = re.compile(r"[{}()]")
