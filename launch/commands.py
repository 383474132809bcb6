"""The commands of a checkout: ``nightpress run``, ``up`` and ``airflow``."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from launch import day_run
from launch.environment import PROJECT, LaunchError, read_layout
from launch.instance import Instance
from launch.processes import Interrupted, hold_lock, interruptible
from launch.reporter import Reporter
from launch.run_request import Request, read_extra, read_form, read_request
from message_batches.command.command_settings import CommandError, find_api, read_dotenv, read_settings
from message_batches.command.dag_files import read_dag_files
from message_batches.command.options import DEFAULT_PIPELINE, Pipeline, read_day
from nightpress.articles.allowed_sources import fixed_part

app = typer.Typer()

_ALLOWED_SOURCES = "NIGHTPRESS_ALLOWED_SOURCES"

Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=1,
        max=65_535,
        help="Port of the UI on 127.0.0.1; another free one is taken when it is not free.",
    ),
]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    *,
    pipeline: Pipeline = DEFAULT_PIPELINE,
    articles: Annotated[
        str,
        typer.Option(
            "--articles",
            metavar="PATH",
            help="File, folder, glob or URL (default: what the pipeline reads; for article_summaries the sample).",
            show_default=False,
        ),
    ] = "",
    day: Annotated[
        str,
        typer.Option(
            "--day",
            metavar="YYYY-MM-DD",
            parser=read_day,
            help="Day to publish (default: yesterday, UTC).",
            show_default=False,
        ),
    ] = "",
    model: Annotated[
        str, typer.Option("--model", help="Model id (default: the pipeline's).", show_default=False)
    ] = "",
    limit: Annotated[
        str, typer.Option("--limit", metavar="N", help="Read at most this many articles.", show_default=False)
    ] = "",
    port: Port = None,
) -> None:
    """Publish one day, on an Airflow that lives as long as the run.

    Every other field of the pipeline's trigger form can be given too, as --max-tokens=300 or --max-cost-usd=2.

    Exit code: 0 only when the day was published; 1 it was not; 2 it could not be started.

    Example: `nightpress run --articles articles.jsonl --day 2026-11-22`
    """
    extra = read_extra(context.args)
    if pipeline == DEFAULT_PIPELINE and not extra:
        request = read_request(articles=articles, day=day, model=model, limit=limit, project=PROJECT)
    else:
        dag = read_dag_files(read_settings()).find(pipeline).dag
        assert dag is not None
        given = {"articles": articles, "model": model, "limit": limit, **extra}
        if pipeline == DEFAULT_PIPELINE and not articles:
            given["articles"] = str(PROJECT / "include" / "sample")
        request = read_form(dag, given, day)
    raise typer.Exit(_launch("run", request, port))


@app.command()
def up(*, port: Port = None) -> None:
    """Start Airflow and its UI, and stay until Ctrl-C.

    Example: `nightpress up --port 8081`
    """
    raise typer.Exit(_launch("up", None, port))


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
        "token_normalize_func": str,
    }
)
def airflow(context: typer.Context) -> None:
    """Run Airflow's own command line, beside what `nightpress up` started.

    Example: `nightpress airflow dags list`
    """
    settings = read_settings()
    layout = read_layout(settings)
    if not layout.database.is_file():
        raise LaunchError(f"there is no Airflow in {layout.home} yet: start one with `nightpress up`")
    instance = Instance(layout, api=find_api(settings), own=read_dotenv(PROJECT / ".env"))
    command = [sys.executable, "-m", "airflow", *(context.args or ["--help"])]
    # Replaces this process: a signal to it reaches Airflow, and no process is left behind.
    os.chdir(layout.project)
    os.execve(sys.executable, command, instance.environment())  # noqa: S606


def _launch(command: str, request: Request | None, port: int | None) -> int:
    """Start, run the command, stop; return the exit code."""
    reporter = Reporter()
    try:
        return run_instance(command, request, port, reporter)
    except CommandError:
        reporter.finish()
        raise
    except Interrupted as seen:
        wanted = command == "up" and seen.number == signal.SIGINT
        return 0 if wanted else 128 + seen.number


def _allowed_sources(request: Request | None, setting: str) -> dict[str, str]:
    """Return the setting with the source given here added; a trigger form could not name it otherwise."""
    source = request.conf.get("source") if request else None
    if not source:
        return {}
    return {_ALLOWED_SOURCES: f"{setting},{fixed_part(str(source))}"}


def run_instance(command: str, request: Request | None, port: int | None, reporter: Reporter) -> int:
    """Start an instance, publish a day or stay until Ctrl-C, and stop everything; return the exit code.

    :param command: ``run`` or ``up``.
    :param request: what ``run`` publishes; None for ``up``.
    """
    settings = read_settings()
    layout = read_layout(settings)
    own = {
        name: value
        for name, value in read_dotenv(PROJECT / ".env").items()
        if name not in os.environ or name.startswith("AIRFLOW__")
    }
    own |= _allowed_sources(request, settings.get(_ALLOWED_SOURCES, ""))
    instance = Instance(
        layout,
        api=find_api(settings),
        port=port or _read_port(settings.get("PORT", "")),
        own=own,
        schedules=command == "up",
    )
    warn_of_open_key_file(PROJECT / ".env", reporter)
    make_private_root(layout.root)
    with (
        hold_lock(layout.home, {"command": command, "url": instance.url}) as lock,
        interruptible(instance.processes),
    ):
        instance.processes.lock = lock
        try:
            if request is None:
                reporter.say("Nightpress: starting Airflow")
                return day_run.stay(instance, reporter)
            source = request.conf.get("source") or "its own source"
            reporter.say(f"Nightpress: {request.dag_id} for {request.day} from {source}")
            return day_run.run_day(instance, request, reporter)
        except Interrupted:
            day_run.interrupted(instance, reporter)
            raise
        finally:
            reporter.finish()
            stopping = time.monotonic()
            instance.stop()
            reporter.say(f"Everything is stopped ({time.monotonic() - stopping:.0f} s).")


def _read_port(text: str) -> int:
    text = text or "8080"
    if not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise LaunchError(f"PORT is {text!r}; it must be a number from 1 to 65535")
    return int(text)


_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASS|PASSWORD|PASSWD|CREDENTIALS)$|_CONN(_|$)", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def warn_of_open_key_file(path: Path, reporter: Reporter) -> None:
    """Warn if other users of this machine can read a ``.env`` with a key."""
    if not path.is_file() or not path.stat().st_mode & 0o077:
        return
    values = read_dotenv(path)
    if any(
        _SECRET_NAME.search(name) or _SECRET_VALUE.search(value) for name, value in values.items() if value
    ):
        reporter.say(f"Warning: {path} holds a key and can be read by others; close it: chmod 600 {path}")


def make_private_root(url: str) -> None:
    """Make a local data root that only its owner can enter; leave an existing one as it is."""
    path = url.removeprefix("file://")
    if "://" not in path and not Path(path).exists():
        Path(path).mkdir(parents=True, mode=0o700)
