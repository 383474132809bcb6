"""``python -m launch run|up``: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from launch import day_run
from launch.environment import LaunchError, Layout, find_api, read_dotenv
from launch.instance import Instance
from launch.processes import Interrupted, hold_lock, interruptible
from launch.reporter import Reporter

PROJECT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run a command and give its exit code.

    0 done (for ``up``: ended by Ctrl-C), 1 not published, 2 cannot start or go on, 128 + n ended by signal n.
    """
    options = _parser().parse_args(arguments)
    reporter = Reporter()
    try:
        own = read_dotenv(PROJECT / ".env")
        settings = {**own, **os.environ}
        request = _request(options) if options.command == "run" else None
        return _launch(options.command, request, own, settings, reporter)
    except LaunchError as error:
        reporter.finish()
        sys.stdout.flush()
        print(f"nightpress: {error}", file=sys.stderr)
        return 2
    except Interrupted as seen:
        wanted = options.command == "up" and seen.number == signal.SIGINT
        return 0 if wanted else 128 + seen.number


def _launch(
    command: str,
    request: day_run.Request | None,
    own: Mapping[str, str],
    settings: Mapping[str, str],
    reporter: Reporter,
) -> int:
    layout = read_layout(settings)
    instance = Instance(
        layout,
        api=find_api(settings),
        port=_port(settings),
        own={
            name: value
            for name, value in own.items()
            if name not in os.environ or name.startswith("AIRFLOW__")
        },
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


def read_layout(settings: Mapping[str, str]) -> Layout:
    """Read where things are: ``NIGHTPRESS_HOME``, ``NIGHTPRESS_ROOT``, ``NIGHTPRESS_DAGS``."""
    home = Path(settings.get("NIGHTPRESS_HOME") or PROJECT / ".airflow").expanduser().absolute()
    root = settings.get("NIGHTPRESS_ROOT") or (PROJECT / "data").as_uri()
    if "://" not in root:
        root = Path(root).expanduser().absolute().as_uri()
    dags = settings.get("NIGHTPRESS_DAGS")
    return Layout(PROJECT, home, root, dags=Path(dags).absolute() if dags else None)


def _port(settings: Mapping[str, str]) -> int:
    text = settings.get("PORT") or "8080"
    if not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise LaunchError(f"PORT is {text!r}; it must be a number from 1 to 65535")
    return int(text)


def _request(options: argparse.Namespace) -> day_run.Request:
    return day_run.read_request(
        articles=options.articles, day=options.day, model=options.model, limit=options.limit, project=PROJECT
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m launch", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start Airflow and stay until Ctrl-C")
    run = commands.add_parser("run", help="publish one day")
    for name, text in (
        ("articles", "file, folder, glob or URL (default: the bundled sample)"),
        ("day", "YYYY-MM-DD (default: yesterday, UTC)"),
        ("model", "model id (default: the DAG's)"),
        ("limit", "at most so many articles"),
    ):
        run.add_argument(f"--{name}", default=os.environ.get(f"NIGHTPRESS_{name.upper()}", ""), help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
