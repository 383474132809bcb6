"""The first lines of a report: what the day was, in words."""

from __future__ import annotations

from nightpress.reports.day.day_report import DayReport, PipelineDay
from nightpress.reports.wording import counted, share, usd

OFFLINE = (
    "These answers came from the offline API: no model was called and nothing was billed. Amounts are what the real "
    "API would have cost."
)


def verdict(of: PipelineDay) -> str:
    """Say in a sentence how a pipeline's day ended."""
    today = of.today
    if not today.articles:
        return "Published without articles: there was nothing to send."
    if not today.failures:
        answered = "All 1 article" if today.articles == 1 else f"All {counted(today.articles, 'article')}"
        return f"{answered.replace('All 1', 'The 1')} answered."
    return (
        f"{today.succeeded:,} of {counted(today.articles, 'article')} answered "
        f"({share(today.succeeded, today.articles)}); {today.failures:,} failed."
    )


def money(of: PipelineDay) -> str:
    """Say in a sentence what it cost."""
    today = of.today
    if today.paid_usd is None:
        return "What it cost is unknown: there is no known price for a model that answered."
    if not today.paid_usd:
        return "Nothing was paid."
    verb = "would have been paid" if today.offline else "was paid"
    return f"{usd(today.paid_usd)} {verb}, {usd(today.saved_usd)} less than at list price."


def summary(report: DayReport) -> tuple[str, str]:
    """Return the state of the whole day (good, look, bad, none) and its sentence."""
    if not report.pipelines:
        return "none", "Not published: no pipeline has answers for this day."
    failed = sum(one.today.failures for one in report.pipelines)
    articles = sum(one.today.articles for one in report.pipelines)
    if not articles:
        return "none", "Published, without articles."
    if report.absent:
        return (
            "bad",
            f"Published in part: {', '.join(one.pipeline for one in report.absent)} did not publish.",
        )
    if failed == articles:
        return "bad", "Published, but no article was answered."
    if failed:
        return "look", f"Published, {counted(failed, 'article')} without an answer."
    if any(one.actions() for one in report.pipelines):
        return "good", "Published, every article answered; a few things to look at."
    return "good", "Published, every article answered. Nothing to do."
