"""``nightpress run``: one day from articles to Parquet, on an Airflow that lives as long as the run."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from launch import leftovers, report_run, summary
from launch.airflow_api import AirflowApiError
from launch.environment import LaunchError
from launch.instance import API_SERVER, APIS, COMPONENTS, Instance
from launch.live_run import LiveRun
from launch.login import SECRETS_FILE, USER
from launch.reporter import Reporter
from launch.run_request import Request
from message_batches.command.console import local_path
from message_batches.command.options import DEFAULT_PIPELINE

POLL_SECONDS = 1.0
_OVER = ("success", "failed")


def run_day(instance: Instance, request: Request, reporter: Reporter) -> int:
    """Start, run and show the run, and give the exit code: 0 only when the day was published."""
    begun = time.monotonic()
    start(instance, reporter)
    instance.wait_for_dag(request.dag_id)
    started = time.monotonic()
    reporter.say(f"Airflow is up after {started - begun:.0f} s: {instance.login_link()}")
    run_id = f"make_run__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
    leftovers.note(instance, request.dag_id, run_id)
    instance.api.set_paused(request.dag_id, False)
    instance.api.trigger(request.dag_id, conf=request.conf, partition_key=request.day, run_id=run_id)
    reporter.say(f"run {run_id} for {request.day}: {instance.url}/dags/{request.dag_id}/runs/{run_id}")
    view = follow(instance, request.dag_id, run_id, reporter)
    reporter.say("")
    code = _conclude(instance, view, reporter)
    leftovers.settle(instance, mark_failed=False)
    if code == 0:
        report_run.write(instance, request.day, reporter)
    reporter.say(f"\nstart {started - begun:.0f} s, run {time.monotonic() - started:.0f} s")
    return code


def start(instance: Instance, reporter: Reporter) -> None:
    """Start an instance: database, offline API if wanted, clean-up after an interrupted run, all components."""
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
        # Before the scheduler starts: otherwise the interrupted run would continue by itself and spend money.
        instance.start(API_SERVER)
        instance.wait_for_api()
        for line in leftovers.settle(instance, mark_failed=True):
            reporter.say(line)
    instance.start(*(name for name in COMPONENTS if not instance.processes.is_running(name)))
    reporter.status("starting Airflow")
    instance.wait_healthy(notify=lambda missing: reporter.status(f"starting Airflow: waiting for {missing}"))
    reporter.status("")


def follow(instance: Instance, dag_id: str, run_id: str, reporter: Reporter) -> LiveRun:
    """Show the run until it is over. There is no time limit: a batch may take a day."""
    view = LiveRun(instance.api, dag_id, run_id)
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


def _conclude(instance: Instance, view: LiveRun, reporter: Reporter) -> int:
    published = view.published()
    if view.state == "success" and isinstance(published, Mapping):
        offline = bool(instance.batches_api and instance.batches_api.offline)
        for line in summary.render_summary(published, offline=offline):
            reporter.say(line)
        return 0
    reporter.say(
        "The day was NOT published." + ("" if view.state == "failed" else f" The run ended {view.state}.")
    )
    for line in view.failures():
        reporter.say(f"  {line}")
    reporter.say(f"Task logs: {instance.layout.logs}/dag_id={view.dag_id}/run_id={view.run_id}/")
    reporter.say(
        "Batches that were submitted are in the ledger: running the same day again does not pay twice."
    )
    return 1


def interrupted(instance: Instance, reporter: Reporter) -> None:
    """Stop, and clean up after an interrupted run while the API server still answers.

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
    """Return lines that say where to click first, and what to do with an instance that stays up."""
    return [
        "",
        f"  Open {instance.login_link()}",
        "",
        f"The link logs you in once; after that: {instance.url}, user {USER}, password in "
        f"{instance.layout.home / SECRETS_FILE}.",
        f"  {instance.url}/dags/{DEFAULT_PIPELINE}: press Trigger to run a day by hand.",
        "  DAGs start paused. Unpausing one also starts its latest scheduled day, which waits for your approval.",
        f"  data: {local_path(instance.layout.root)}   logs: {instance.layout.logs}",
        "Ctrl-C stops everything.",
    ]


def stay(instance: Instance, reporter: Reporter) -> int:
    """``nightpress up``: start and run until a signal arrives or a component dies."""
    begun = time.monotonic()
    start(instance, reporter)
    instance.wait_for_dag(DEFAULT_PIPELINE)
    reporter.say(f"Airflow is up after {time.monotonic() - begun:.0f} s.")
    for line in show_hint(instance):
        reporter.say(line)
    sys.stdout.flush()
    while True:
        instance.check()
        time.sleep(0.5)
