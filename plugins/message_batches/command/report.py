"""``python -m launch.report --day 2026-11-22``: write a day's report again, from what is published, without Airflow.

Exit code: 0 written, also when it says that nothing was published; 1 the day's answers are damaged; 2 the
command line or the surroundings are wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from launch.environment import LaunchError
from launch.summary import local_path
from message_batches.command import connection
from nightpress.errors import ConfigurationError, NightpressError
from nightpress.reports.day.write_day_report import WrittenReport, write_report
from nightpress.reports.wording import counted, usd


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a report and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        root = connection.open_root(connection.read_settings(), options.root)
        if not options.day:
            raise LaunchError("DAY is not given; which day? A date such as 2026-11-22 is needed")
        names = [options.pipeline] if options.pipeline else None
        written = write_report(root, options.day, pipelines=names)
    except (LaunchError, ConfigurationError) as error:
        print(f"nightpress: {error}", file=sys.stderr)
        return 2
    except (NightpressError, OSError) as error:
        print(f"no report: {error}", file=sys.stderr)
        return 1
    for line in _tell(written):
        print(line)
    return 0


def _tell(written: WrittenReport) -> list[str]:
    lines = [f"{name} has not published {written.day}; the report says so." for name in written.absent]
    if not written.pipelines and not written.absent:
        lines.append(f"Nothing was published for {written.day}; the report says so.")
    if written.pipelines:
        lines.append(
            f"{', '.join(written.pipelines)}: {counted(written.articles, 'article')}, {written.succeeded:,} answered, "
            f"{written.failed:,} failed, {usd(written.paid_usd)} paid"
            + (" (offline API: nothing was billed)" if written.offline else "")
        )
    return [
        *lines,
        f"Report: {local_path(written.report_uri)}",
        f"        {local_path(written.markdown_uri)}",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m launch.report", description=__doc__)
    parser.add_argument("--day", default=os.environ.get("NIGHTPRESS_DAY", ""), help="YYYY-MM-DD")
    parser.add_argument(
        "--pipeline",
        default=os.environ.get("NIGHTPRESS_PIPELINE", ""),
        help="only this pipeline (default: all that published the day)",
    )
    parser.add_argument("--root", default="", help="data root (default: NIGHTPRESS_ROOT, else data/)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
