"""Write a day's report: one page and one Markdown over all pipelines that published the day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nightpress.layout import check_day, check_pipeline_name
from nightpress.reports.day import day_page, markdown
from nightpress.reports.day.day_report import DayReport, gather
from nightpress.reports.stored_days import published_files
from nightpress.storage import StoragePath, atomic_writer

_READINGS = 3
"""How often a day is reported on that is published anew every time."""


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """Where a report is, and its numbers over all pipelines; small enough to travel by XCom.

    :param absent: pipelines that have not published the day.
    :param failed: articles without an answer.
    :param paid_usd: None when a model's price is not known.
    """

    report_uri: str
    markdown_uri: str
    day: str
    pipelines: list[str]
    absent: list[str]
    articles: int
    succeeded: int
    failed: int
    rejected: int
    reused: int
    paid_usd: float | None
    saved_usd: float | None
    offline: bool


def report_paths(root: StoragePath, day: str) -> tuple[StoragePath, StoragePath]:
    """Return where the page and the Markdown of a day are."""
    folder = root / "reports" / f"day={day}"
    return folder / "report.html", folder / "report.md"


def write_report(
    root: StoragePath,
    day: str,
    *,
    pipelines: Sequence[str] | None = None,
    now: datetime | None = None,
) -> WrittenReport:
    """Write ``reports/day=<day>/report.html`` and ``report.md``, each replaced in one step.

    Writing again gives the same report of what is there now. A day that nobody published gets a report
    that says so. When a pipeline publishes the day meanwhile, the report is written once more: of two that
    are written at the same time, the last to end has all.

    :param pipelines: names of the pipelines (default: all).
    :param now: when it is written, in UTC.
    :raises ConfigurationError: the day is no date, or a name is no pipeline's.
    :raises ResultsError: the answers of the day are damaged.
    """
    day = check_day(day)
    names = None if pipelines is None else sorted(set(map(check_pipeline_name, pipelines)))
    html_path, markdown_path = report_paths(root, day)
    for _ in range(_READINGS):
        seen = published_files(root, day)
        report = gather(root, day, names, now or datetime.now(UTC))
        for path, parts in (
            (html_path, day_page.iter_page(report)),
            (markdown_path, markdown.iter_markdown(report)),
        ):
            with atomic_writer(path) as stream:
                for part in parts:
                    stream.write(part.encode("utf-8", "replace"))
        if published_files(root, day) == seen:
            break
    return _sum_up(report, html_path, markdown_path)


def _sum_up(report: DayReport, html_path: StoragePath, markdown_path: StoragePath) -> WrittenReport:
    days = [one.today for one in report.pipelines]
    unknown = any(day.paid_usd is None for day in days)
    unsaved = any(day.saved_usd is None for day in days)
    return WrittenReport(
        report_uri=str(html_path),
        markdown_uri=str(markdown_path),
        day=report.day,
        pipelines=[one.pipeline for one in report.pipelines],
        absent=[one.pipeline for one in report.absent],
        articles=sum(day.articles for day in days),
        succeeded=sum(day.succeeded for day in days),
        failed=sum(day.failures for day in days),
        rejected=sum(day.rejected or 0 for day in days),
        reused=sum(day.reused for day in days),
        paid_usd=None if unknown else sum(day.paid_usd or 0.0 for day in days),
        saved_usd=None if unsaved else sum(day.saved_usd or 0.0 for day in days),
        offline=report.offline,
    )
