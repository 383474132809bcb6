"""``nightpress run``: one day from articles to Parquet, on an Airflow that lives as long as the run."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from launch import daily_report, leftovers, summary
from launch.airflow_api import AirflowApiError
from launch.environment import LaunchError
from launch.instance import API_SERVER, APIS, COMPONENTS, Instance
from launch.reporter import Reporter
from launch.run_view import RunView
from message_batches.command.console import local_path
from nightpress.models.lookup import offered_ids

DAG_ID = "article_summaries"
POLL_SECONDS = 1.0
SAMPLE_MAX_TOKENS = 120
_OVER = ("success", "failed")


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for.

    :param day: the partition, ``YYYY-MM-DD``.
    :param conf: parameters of the run, only those that were given.
    """

    day: str
    conf: dict[str, Any]


def read_request(
    *, articles: str, day: str, model: str, limit: str, project: Path, now: datetime | None = None
) -> Request:
    """Check what the user gave; an empty string stands for not given.

    :param articles: file, folder, glob or URL (default: the bundled sample).
    :param day: (default: yesterday in UTC).
    :raises LaunchError: with the value seen and what would be right.
    """
    conf: dict[str, Any] = {"source": _source(articles.strip(), project)}
    if not articles.strip():
        # The sample's articles are short, and so are their summaries; the plan's upper bound rests on this.
        conf["max_tokens"] = SAMPLE_MAX_TOKENS
    if model.strip():
        conf["model" if model.strip() in offered_ids() else "other_model"] = model.strip()
    if limit.strip():
        conf["limit"] = _limit(limit.strip())
    return Request(_day(day.strip(), now or datetime.now(UTC)), conf)


def _day(text: str, now: datetime) -> str:
    if not text:
        return (now.date() - timedelta(days=1)).isoformat()
    with suppress(ValueError):
        if date.fromisoformat(text).isoformat() == text:
            return text
    raise LaunchError(f"DAY is {text!r}; it must be a date like 2026-11-22")


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise LaunchError(f"LIMIT is {text!r}; it must be a whole number of articles, 1 or more")


def _source(text: str, project: Path) -> str:
    if not text:
        return str(project / "include" / "sample")
    if "://" in text:
        return text
    path = Path(text).expanduser().absolute()
    if path.exists() or (_is_glob(text) and _matches(path)):
        return str(path)
    what = "matches no file" if _is_glob(text) else "does not exist"
    raise LaunchError(f"ARTICLES is {text!r}, which {what} (looked for {path})")


def _is_glob(text: str) -> bool:
    return any(character in text for character in "*?[")


def _matches(pattern: Path) -> bool:
    relative = pattern.relative_to(pattern.anchor)
    return next(Path(pattern.anchor).glob(str(relative)), None) is not None


def run(instance: Instance, request: Request, reporter: Reporter) -> int:
    """Start, run, show, and give the exit code: 0 only when the day was published."""
    begun = time.monotonic()
    start(instance, reporter)
    instance.wait_for_dag(DAG_ID)
    started = time.monotonic()
    reporter.say(f"Airflow is up after {started - begun:.0f} s: {instance.url}")
    run_id = f"make_run__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
    leftovers.note(instance, DAG_ID, run_id)
    instance.api.set_paused(DAG_ID, False)
    instance.api.trigger(DAG_ID, conf=request.conf, partition_key=request.day, run_id=run_id)
    reporter.say(f"run {run_id} for {request.day}: {instance.url}/dags/{DAG_ID}/runs/{run_id}")
    view = follow(instance, run_id, reporter)
    reporter.say("")
    code = _conclude(instance, view, reporter)
    leftovers.settle(instance, mark_failed=False)
    if code == 0:
        daily_report.write(instance, request.day, reporter)
    reporter.say(f"\nstart {started - begun:.0f} s, run {time.monotonic() - started:.0f} s")
    return code


def start(instance: Instance, reporter: Reporter) -> None:
    """Bring an instance up: database, offline API if wanted, what an interrupted run left, all components."""
    begun = time.monotonic()
    if instance.migrate():
        reporter.say(f"made Airflow's database ({time.monotonic() - begun:.0f} s)")
    api = instance.start_offline_api()
    if api.offline:
        reporter.say(f"Offline API at {api.base_url}: no model is called, nothing is billed.")
        reporter.say("Set ANTHROPIC_API_KEY to use Claude.")
    else:
        reporter.say(f"Real API ({api.base_url or 'api.anthropic.com'}): batches are billed to your key.")
    if leftovers.exist(instance):
        # Before there is a scheduler: otherwise the interrupted run would go on by itself, and spend.
        instance.start(API_SERVER)
        instance.wait_for_api()
        for line in leftovers.settle(instance, mark_failed=True):
            reporter.say(line)
    instance.start(*(name for name in COMPONENTS if not instance.processes.is_running(name)))
    reporter.status("starting Airflow")
    instance.wait_healthy(notify=lambda missing: reporter.status(f"starting Airflow: waiting for {missing}"))
    reporter.status("")


def follow(instance: Instance, run_id: str, reporter: Reporter) -> RunView:
    """Show the run until it is over. There is no time limit: a batch may take a day."""
    view = RunView(instance.api, DAG_ID, run_id)
    silent_since: float | None = None
    while True:
        instance.check()
        try:
            view.refresh()
            silent_since = None
        except AirflowApiError as error:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > 60:
                raise LaunchError(f"Airflow has not answered for a minute: {error}") from error
        for line in view.news():
            reporter.say(line)
        reporter.show(view.shards)
        if view.state in _OVER:
            reporter.finish()
            return view
        time.sleep(POLL_SECONDS)


def _conclude(instance: Instance, view: RunView, reporter: Reporter) -> int:
    published = view.published()
    if view.state == "success" and isinstance(published, Mapping):
        offline = bool(instance.batches_api and instance.batches_api.offline)
        for line in summary.render(published, offline=offline):
            reporter.say(line)
        return 0
    reporter.say(
        "The day was NOT published." + ("" if view.state == "failed" else f" The run ended {view.state}.")
    )
    for line in view.failures():
        reporter.say(f"  {line}")
    reporter.say(f"Task logs: {instance.layout.logs}/dag_id={DAG_ID}/run_id={view.run_id}/")
    reporter.say(
        "Batches that were submitted are in the ledger: running the same day again does not pay twice."
    )
    return 1


def interrupted(instance: Instance, reporter: Reporter) -> None:
    """Close an interrupted run's books while the API server still answers.

    The triggerer is stopped before the run is marked failed, so no batch is canceled by it.
    """
    reporter.finish()
    reporter.say("Interrupted: stopping.")
    instance.processes.stop([name for name in COMPONENTS if name not in APIS])
    if leftovers.exist(instance) and not instance.processes.hurry:
        with suppress(AirflowApiError):
            leftovers.settle(instance, mark_failed=True)
            reporter.say(
                "Batches that were submitted stay in the ledger: run the same day again to collect them."
            )


def show_hint(instance: Instance) -> list[str]:
    """Tell what to do with an instance that stays up."""
    return [
        f"Airflow UI: {instance.url}  (no login, only from this machine)",
        f"  {instance.url}/dags/{DAG_ID}: press Trigger to run a day by hand.",
        "  DAGs start paused. Unpausing one also starts its latest scheduled day at once.",
        f"  data: {local_path(instance.layout.root)}   logs: {instance.layout.logs}",
        "Ctrl-C stops everything.",
    ]


def stay(instance: Instance, reporter: Reporter) -> int:
    """``nightpress up``: start and stay until a signal or until a component has died."""
    begun = time.monotonic()
    start(instance, reporter)
    instance.wait_for_dag(DAG_ID)
    reporter.say(f"Airflow is up after {time.monotonic() - begun:.0f} s.")
    for line in show_hint(instance):
        reporter.say(line)
    sys.stdout.flush()
    while True:
        instance.check()
        time.sleep(0.5)
