"""``python -m launch.replay --day 2026-11-22``: make a published day again from its kept results, without the API.

Exit code: 0 the day is as it was or was mended, 1 it cannot be made again or (with --check) differs, 2 the
command line or the surroundings are wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import date

from launch.environment import LaunchError
from message_batches.command import connection
from nightpress.days.replay import ReplayReport, replay_day
from nightpress.errors import ConfigurationError, NightpressError


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay a day and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        root = connection.open_root(connection.read_settings(), options.root)
        report = replay_day(
            root,
            options.pipeline,
            _day(options.day),
            open_path=connection.open_path,
            tell=lambda line: print(line, flush=True),
            write=not options.check,
        )
    except (LaunchError, ConfigurationError) as error:
        print(f"nightpress: {error}", file=sys.stderr)
        return 2
    except NightpressError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return _conclude(report, options.check)


def _conclude(report: ReplayReport, check: bool) -> int:
    if report.equal:
        print("Nothing changed: every row is as it was.")
        return 0
    if check:
        print("The kept results give other rows than the files that are there; nothing was written.")
        return 1
    print("The files above that differed or were gone were replaced.")
    return 0


def _day(text: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise LaunchError(f"DAY is {text!r}; which published day? A date such as 2026-11-22 is needed")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m launch.replay", description=__doc__)
    parser.add_argument("--day", default=os.environ.get("NIGHTPRESS_DAY", ""), help="YYYY-MM-DD")
    parser.add_argument(
        "--pipeline",
        default=os.environ.get("NIGHTPRESS_PIPELINE") or "article_summaries",
        help="name of the pipeline (default: article_summaries)",
    )
    parser.add_argument("--root", default="", help="data root (default: NIGHTPRESS_ROOT, else data/)")
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
