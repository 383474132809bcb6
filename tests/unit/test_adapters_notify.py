"""Who is told of approvals, published days and failures: by mail to a server on loopback, and by one's own class."""

from __future__ import annotations

from typing import Any

import pendulum
import pytest
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, AsyncCallback, BaseNotifier, DeadlineAlert, DeadlineReference

from message_batches import message_batch_pipeline
from tests.support.smtp_server import smtp_server

PROMPT = "Secret prompt about {content}"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Told(BaseNotifier):
    """A notifier of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.contexts: list[Any] = []

    def notify(self, context: Any) -> None:
        """Keep the context."""
        self.contexts.append(context)


def declare(*notifiers: BaseNotifier, **given: Any) -> DAG:
    with DAG("tickets", schedule=None, start_date=pendulum.datetime(2026, 1, 1), **given) as dag:
        message_batch_pipeline("tickets", prompt=PROMPT, notify=notifiers)
    return dag


def test_a_published_day_is_mailed_and_told_to_ones_own_notifier(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    mail = SmtpNotifier(
        from_email="airflow@example.com",
        to="newsroom@example.com",
        subject="{{ dag.dag_id }} {{ run_id }}: {{ ti.xcom_pull(task_ids='publish')['succeeded'] }} answered",
        html_content="see Airflow",
    )
    dag = declare(told, mail)

    class Instance:
        def xcom_pull(self, task_ids: str) -> dict[str, int]:
            return {"succeeded": 7}

    context = {"dag": dag, "run_id": "night", "ti": Instance(), "task": dag.get_task("publish")}
    with smtp_server() as mailbox:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mailbox.connection())
        for callback in dag.get_task("publish").on_success_callback:
            callback(context)
    assert mailbox.subjects() == ["tickets night: 7 answered"]
    assert mailbox.mails[0]["To"] == "newsroom@example.com"
    assert "Secret" not in mailbox.mails[0].as_string()
    assert told.contexts == [context]


def test_a_failed_run_is_mailed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    mail = SmtpNotifier(
        from_email="airflow@example.com",
        to="newsroom@example.com",
        subject="{{ run_id }} failed",
        html_content="x",
    )
    dag = declare(mail)
    assert dag.on_failure_callback == [mail]
    with smtp_server() as mailbox:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mailbox.connection())
        for callback in dag.on_failure_callback:
            callback({"dag": dag, "run_id": "night"})
    assert mailbox.subjects() == ["night failed"]


def test_a_pipeline_can_have_a_deadline_of_airflows() -> None:
    alert = DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=pendulum.duration(hours=6),
        callback=AsyncCallback(SmtpNotifier, kwargs={"from_email": "a@example.com", "to": "d@example.com"}),
    )
    assert declare(deadline=alert).deadline in (alert, [alert])
