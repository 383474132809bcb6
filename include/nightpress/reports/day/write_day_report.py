"""Write a day's report on all pipelines that published the day: a page, a message, and long Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nightpress.layout import DataRoot, check_day, check_pipeline_name
from nightpress.reports.day import day_page, markdown
from nightpress.reports.day.day_report import DayReport, gather
from nightpress.reports.stored_days import published_files
from nightpress.storage import StoragePath, atomic_writer

_READINGS = 3
"""How often a report is rewritten because the day was published again meanwhile."""


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """The paths of a report and its numbers over all pipelines; small enough for XCom.

    :param absent: pipelines that have not published the day.
    :param failed: articles without an answer.
    :param paid_usd: USD paid; None if the cost of any request is unknown.
    :param known_paid_usd: the known part of that sum.
    :param unknown_requests: requests whose cost is unknown.
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
    known_paid_usd: float | None = None
    unknown_requests: int = 0


def write_report(
    root: DataRoot,
    day: str,
    *,
    pipelines: Sequence[str] | None = None,
    now: datetime | None = None,
    link: str = "",
) -> WrittenReport:
    """Write ``report.html``, ``report.md`` (for mail) and ``report-full.md`` in ``reports/day=<day>/``.

    Each file is replaced atomically.

    A later call reports on the data that exists then. If nobody published the day, the report says so. If a
    pipeline publishes the day while the report is written, the report is written again, so that of two
    concurrent calls the last one to end includes everything.

    :param pipelines: names of the pipelines (default: all).
    :param now: time of writing, in UTC.
    :param link: address of the page, for the short text; empty names the file.
    :raises ConfigurationError: the day is not a date, or a pipeline name is invalid.
    :raises ResultsError: the answers of the day are damaged.
    """
    day = check_day(day)
    names = None if pipelines is None else sorted(set(map(check_pipeline_name, pipelines)))
    html_path = root.report(day)
    message_path, full_path = (root.report_markdown(day, full=full) for full in (False, True))
    for _ in range(_READINGS):
        seen = published_files(root, day)
        report = gather(root, day, names, now or datetime.now(UTC))
        _write(html_path, day_page.iter_page(report))
        _write(message_path, markdown.iter_message(report, link))
        _write(full_path, markdown.iter_markdown(report))
        if published_files(root, day) == seen:
            break
    return _sum_up(report, html_path, message_path)


def _write(path: StoragePath, parts: Iterable[str]) -> None:
    with atomic_writer(path) as stream:
        for part in parts:
            stream.write(part.encode("utf-8", "replace"))


def _sum_up(report: DayReport, html_path: StoragePath, markdown_path: StoragePath) -> WrittenReport:
    days = [each.today for each in report.pipelines]
    unknown = any(day.paid_usd is None for day in days)
    unsaved = any(day.saved_usd is None for day in days)
    return WrittenReport(
        report_uri=str(html_path),
        markdown_uri=str(markdown_path),
        day=report.day,
        pipelines=[each.pipeline for each in report.pipelines],
        absent=[each.pipeline for each in report.absent],
        articles=sum(day.articles for day in days),
        succeeded=sum(day.succeeded for day in days),
        failed=sum(day.failures for day in days),
        rejected=sum(day.rejected or 0 for day in days),
        reused=sum(day.reused for day in days),
        paid_usd=None if unknown else sum(day.paid_usd or 0.0 for day in days),
        saved_usd=None if unsaved else sum(day.saved_usd or 0.0 for day in days),
        offline=report.offline,
        known_paid_usd=sum(day.known_paid_usd or 0.0 for day in days),
        unknown_requests=sum(day.unknown_requests for day in days),
    )
