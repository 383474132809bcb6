"""Who may let a plan continue."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk.exceptions import AirflowFailException

from message_batches import ApprovePlanOperator
from message_batches.operators.approve_plan import _to_markdown
from message_batches.switched_on import SWITCHED_ON
from nightpress.errors import ConfigurationError
from nightpress.outputs.output_schema import OutputSchema
from nightpress.runs.run_plan import describe_request_parts
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from tests.support.plans import make_plan as plan

SHARDS = [{"uri": "file:///r/requests-00000.json", "articles": 10, "bytes": 5_000, "key": "k"}]


def approve(planned: dict[str, Any]) -> ApprovePlanOperator:
    return ApprovePlanOperator(task_id="approve_plan", shards=SHARDS, plan=planned)


def test_a_plan_below_the_limit_goes_on_with_its_shards() -> None:
    assert approve(asdict(plan(approve_above_usd=2.0))).execute({}) == SHARDS  # type: ignore[typeddict-item]


def test_nobody_answered_in_time_fails_and_says_that_nothing_was_spent() -> None:
    timed_out: Any = {"error": "too late", "error_type": "timeout"}
    with pytest.raises(
        AirflowFailException, match="nobody approved the plan within 12:00:00; nothing was sent"
    ):
        approve(asdict(plan())).execute_complete({"dag_run": SimpleNamespace()}, timed_out)  # type: ignore[typeddict-item]


def test_a_run_that_nobody_asked_for_ends_when_nobody_answers() -> None:
    timed_out: Any = {"error": "too late", "error_type": "timeout"}
    due = datetime(2026, 11, 23, tzinfo=UTC)
    switched = {SWITCHED_ON: "2026-11-23T00:01:00+00:00"}
    run = SimpleNamespace(run_type="scheduled", run_after=due, start_date=due, clear_number=0, conf=switched)
    task = SimpleNamespace(get_flat_relatives=lambda upstream: [])
    context: Any = {"dag_run": run, "task": task}
    assert approve(asdict(plan())).execute_complete(context, timed_out) is None


def test_what_comes_from_outside_is_no_markup_in_the_request() -> None:
    shown = _to_markdown(
        plan(model="<script>alert(1)</script>", rejected={"[x](javascript:1)": 3}, notes=["**<b>**|"])
    )
    for character in "<>[]()*|":
        bare = shown.replace(f"\\{character}", "").replace("|---|---|", "").replace("\n|", "\n")
        assert character not in bare.replace(" | ", "").replace(" |\n", "\n").lstrip("|").replace(
            "| |", ""
        ), bare


@pytest.mark.parametrize(
    "note",
    [
        "a.csv\n# Approved by the finance department",
        "a.csv\n\n1. Press Approve",
        "a.csv\r\n| budget | none |",
        "see https://evil.example/a and www.evil.example",
        "ask @everyone or a@evil.example",
        "\x1b[31mred\x07\u0000",
        "$$x$$ ~~y~~ {{ 7 }}",
    ],
)
def test_a_note_stays_one_line_of_plain_text(note: str) -> None:
    shown = _to_markdown(plan(notes=[note]))
    (last,) = shown.split("\n- ")[1:]
    assert "\n" not in last
    for active in ("://", "www.", "@", "\x1b", "\x07", "\x00", "$", "{{", "~~", "\n#", "\n1"):
        assert active not in last.replace("\\", "\\ ")


def answered(by: dict[str, str] | None) -> Any:
    return {
        "chosen_options": ["Approve"],
        "params_input": {},
        "responded_at": datetime(2026, 11, 22, tzinfo=UTC),
        "responded_by_user": by,
    }


ANNA, BEN = {"id": "anna", "name": "anna"}, {"id": "7", "name": "ben"}


@pytest.mark.parametrize(
    ("options", "requester", "by", "refused"),
    [
        ({}, "anna", ANNA, ""),
        ({}, None, None, ""),
        ({"self_approval": False}, "anna", BEN, ""),
        ({"self_approval": False}, None, ANNA, ""),  # a scheduled run
        ({"self_approval": False}, "anna", ANNA, "a person other than"),
        ({"self_approval": False}, "ben", BEN, "a person other than"),
        ({"self_approval": False}, "7", BEN, "a person other than"),
        ({"self_approval": False}, "anna", None, "a person other than"),
        ({"approvers": ["anna"]}, "ben", ANNA, ""),
        ({"approvers": ["anna"]}, "anna", ANNA, ""),
        ({"approvers": ["anna"]}, "x", BEN, "not one of its approvers"),
        ({"approvers": ["anna"]}, "x", None, "not one of its approvers"),
        ({"approvers": ["anna"], "self_approval": False}, "anna", ANNA, "a person other than"),
    ],
)
def test_who_may_approve(
    options: dict[str, Any], requester: str | None, by: dict[str, str] | None, refused: str
) -> None:
    task = ApprovePlanOperator(task_id="a", shards=SHARDS, plan=asdict(plan()), **options)
    context: Any = {"dag_run": SimpleNamespace(triggering_user_name=requester)}
    if not refused:
        assert task.execute_complete(context, answered(by)) == SHARDS
        return
    with pytest.raises(AirflowFailException, match=f"{refused}.*nothing was sent"):
        task.execute_complete(context, answered(by))


def test_airflow_is_told_who_may_answer_also_when_a_retry_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import HITLDetailRequestResult

    task = ApprovePlanOperator(task_id="a", shards=SHARDS, plan=asdict(plan()), approvers=["anna"])
    assert task.assigned_users == [{"id": "anna", "name": "anna"}]
    sent: list[Any] = []

    def send(payload: Any) -> HITLDetailRequestResult:
        sent.append(payload)
        return HITLDetailRequestResult(**payload.model_dump(exclude={"type"}))

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)
    task._refuse_to_show_another_plan(UUID(int=1))
    assert [user.id for user in sent[0].assigned_users] == ["anna"]


def test_a_name_instead_of_a_list_of_approvers_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"\['anna'\]"):
        ApprovePlanOperator(task_id="a", shards=SHARDS, plan={}, approvers="anna")


def test_the_request_says_what_is_asked_by_length_and_field_names_only() -> None:
    output = {"type": "object", "properties": {"topic": {"type": "string"}, "why": {"type": "string"}}}
    prompt = PromptTemplate("A secret question about {title}: {content} {brand}")
    template = RequestTemplate("claude-haiku-4-5", 50, prompt, "Be secret.", OutputSchema.of(output))
    asks = describe_request_parts(template)
    assert asks == (
        "a prompt of 50 characters with {title}, {content}, {brand}; a system prompt of 10 characters; "
        "the answer's fields topic, why"
    )
    shown = _to_markdown(plan(asks=asks))
    assert "a prompt of 50 characters with \\{title\\}" in shown
    assert "secret" not in shown


class OwnXCom:
    """A task that keeps what it pushes while it waits for a person."""

    id, try_number = UUID(int=1), 1

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        assert task_ids == "approve_plan"
        return self.pushed.get(key)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, False),
        ({"to_send": 5_000, "articles": 5_000}, True),
        ({"cost_upper_usd": 9.0}, True),
        ({"model": "claude-opus-4-8"}, True),
        ({"asks": "a prompt of 9,000 characters"}, True),
        ({"notes": ["3 rows were rejected"]}, True),
        ({"approve_above_usd": None}, True),
    ],
)
def test_what_was_approved_is_what_is_sent(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], refused: bool
) -> None:
    """While a plan waits, read_articles may be cleared alone; the waiting task then has the new plan and shards."""
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.HITLOperator.execute", lambda *_: None)
    task, shown = OwnXCom(), plan(approve_above_usd=0.5)
    context: Any = {"ti": task, "dag_run": SimpleNamespace(triggering_user_name="x")}
    approve(asdict(shown)).execute(context)
    waiting = approve(asdict(replace(shown, **change)))
    if not refused:
        assert waiting.execute_complete(context, answered(ANNA)) == SHARDS
        return
    with pytest.raises(AirflowFailException, match=r"the plan is now .*nothing was sent"):
        waiting.execute_complete(context, answered(ANNA))
