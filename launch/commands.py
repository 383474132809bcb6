"""The commands of a checkout: ``nightpress run``, ``up`` and ``airflow``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Annotated

import typer

from launch import day_run
from launch.environment import PROJECT, LaunchError, read_layout
from launch.instance import Instance
from launch.processes import Interrupted, hold_lock, interruptible
from launch.reporter import Reporter
from message_batches.command.options import read_day
from message_batches.command.settings import CommandError, find_api, read_dotenv, read_settings
from nightpress.articles.allowed_sources import fixed_part

app = typer.Typer()

Port = Annotated[
    int,
    typer.Option(
        "--port",
        min=1,
        max=65_535,
        help="Port of the UI on 127.0.0.1; another free one is taken when it is not free.",
    ),
]


@app.command()
def run(
    *,
    articles: Annotated[
        str,
        typer.Option(
            "--articles",
            metavar="PATH",
            help="File, folder, glob or URL (default: the bundled sample).",
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
        str, typer.Option("--limit", metavar="N", help="At most so many articles.", show_default=False)
    ] = "",
    port: Port = 0,
) -> None:
    """Publish one day, on an Airflow that lives as long as the run.

    Exit code: 0 only when the day was published; 1 it was not; 2 it could not be started.

    Example: `nightpress run --articles articles.jsonl --day 2026-11-22`
    """
    request = day_run.read_request(articles=articles, day=day, model=model, limit=limit, project=PROJECT)
    raise typer.Exit(_launch("run", request, port))


@app.command()
def up(*, port: Port = 0) -> None:
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
    done = subprocess.run(command, env=instance.environment(), cwd=layout.project, check=False)
    raise typer.Exit(done.returncode)


def _launch(command: str, request: day_run.Request | None, port: int) -> int:
    """Start, do what was asked, stop; return the exit code."""
    reporter = Reporter()
    try:
        return _run_instance(command, request, port, reporter)
    except CommandError:
        reporter.finish()
        raise
    except Interrupted as seen:
        wanted = command == "up" and seen.number == signal.SIGINT
        return 0 if wanted else 128 + seen.number


def _allowed_sources(request: day_run.Request | None, setting: str) -> dict[str, str]:
    """Return the setting with what is asked for here, which a trigger form could not name otherwise."""
    if request is None:
        return {}
    return {"NIGHTPRESS_ALLOWED_SOURCES": f"{setting},{fixed_part(str(request.conf['source']))}"}


def _run_instance(command: str, request: day_run.Request | None, port: int, reporter: Reporter) -> int:
    settings = read_settings()
    layout = read_layout(settings)
    instance = Instance(
        layout,
        api=find_api(settings),
        port=port or _read_port(settings.get("PORT", "")),
        own={
            name: value
            for name, value in read_dotenv(PROJECT / ".env").items()
            if name not in os.environ or name.startswith("AIRFLOW__")
        }
        | _allowed_sources(request, settings.get("NIGHTPRESS_ALLOWED_SOURCES", "")),
        schedules=command == "up",
    )
    with (
        hold_lock(layout.home, {"command": command, "url": instance.url}) as lock,
        interruptible(instance.processes),
    ):
        instance.processes.lock = lock
        try:
            if request is None:
                reporter.say("Nightpress: starting Airflow")
                return day_run.stay(instance, reporter)
            reporter.say(f"Nightpress: {day_run.DAG_ID} for {request.day} from {request.conf['source']}")
            return day_run.run(instance, request, reporter)
        except Interrupted:
            day_run.interrupted(instance, reporter)
            raise
        finally:
            stopping = time.monotonic()
            instance.stop()
            reporter.say(f"Everything is stopped ({time.monotonic() - stopping:.0f} s).")


def _read_port(text: str) -> int:
    text = text or "8080"
    if not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise LaunchError(f"PORT is {text!r}; it must be a number from 1 to 65535")
    return int(text)
