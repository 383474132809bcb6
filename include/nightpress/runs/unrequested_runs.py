"""Runs that nobody requested: a schedule that was switched on after its slot, and a day without a source.

Airflow starts the latest slot of a schedule as soon as its DAG is switched on, even if that was only done to
trigger a run by hand or to start a backfill. Such a run must not spend money without a person's approval, and
must not replace a published day with an empty one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from nightpress.costs.plan import Plan, write_plan
from nightpress.days.day_sources import read_published
from nightpress.errors import ConfigurationError, InputError
from nightpress.runs.ceilings import RunSettings
from nightpress.runs.run import Run

LATE_AFTER = timedelta(minutes=30)
"""A scheduled run that starts later than this after its due time counts as unrequested."""

ASK_ABOVE_USD = 1e-9
"""An approval limit that any run exceeds unless it is free."""

MissingDay: TypeAlias = Literal["fail", "skip", "publish_empty"]
"""What a run does if its day has no articles: fail, end without publishing, or publish an empty day."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """How and when a run was started.

    :param scheduled: the run was started by the schedule, not by a person, a backfill or an asset.
    :param due: when it was due.
    :param started: when it started.
    :param cleared: a person has started it again.
    :param switched_on: when its DAG was switched on, if that was after the run was due; None if it was
        already on, or if that is unknown.
    """

    scheduled: bool
    due: datetime | None
    started: datetime | None
    cleared: bool = False
    switched_on: datetime | None = None

    @property
    def unrequested(self) -> str:
        """Why nobody requested the run, as a sentence; empty if its slot or a person started it."""
        if not self.scheduled or self.cleared or self.due is None:
            return ""
        due = f"{self.due:%Y-%m-%d %H:%M} UTC"
        if self.switched_on is not None and self.switched_on > self.due:
            return (
                f"The DAG was switched on at {self.switched_on:%Y-%m-%d %H:%M} UTC, and Airflow then starts the run "
                f"that had been due at {due}. Nobody asked for it"
            )
        if self.started is None or self.started - self.due <= LATE_AFTER:
            return ""
        hours = f"{(self.started - self.due).total_seconds() / 3600:,.1f} hours"
        return (
            f"The schedule started this run {hours} after it was due ({due}), as Airflow does when a DAG is switched "
            "on. Nobody asked for it"
        )


def ask_if_unrequested(settings: RunSettings, start: RunStart) -> tuple[RunSettings, list[str]]:
    """Make a run that nobody requested wait for approval, whatever it costs.

    :return: the settings, and a note that says why.
    """
    why = start.unrequested
    if not why:
        return settings, []
    asking = replace(settings, approve_above_usd=ASK_ABOVE_USD)
    return asking, [f"{why}, so it waits for approval before anything is sent."]


def refuse_if_unrequested(start: RunStart) -> None:
    """Refuse to send hand-made requests in a run that nobody requested: they have no plan to approve.

    :raises ConfigurationError: always for such a run, with the reason; after a clear, the task sends them.
    """
    if why := start.unrequested:
        raise ConfigurationError(f"{why}, so nothing was sent.", code="unrequested_run")


def check_missing_day(run: Run, source: str, rule: MissingDay) -> bool:
    """Apply the rule for a day without articles; return whether the run continues and publishes an empty day.

    :param source: the source, for messages.
    :raises InputError: the rule is to fail.
    :raises ConfigurationError: the day is published with answers, which an empty day never replaces.
    """
    if rule == "fail":
        raise InputError(
            f"{source} has no article for {run.pipeline} {run.day}; nothing was sent, and what is published stays "
            "as it is. Put the day's articles there, name another source, or set on_missing_day.",
            code="missing_day",
        )
    if rule == "skip":
        return False
    rows = read_published(run.published(run.day)).rows
    if rows:
        raise ConfigurationError(
            f"{run.pipeline} {run.day} is published with {rows:,} rows, and {source} has no article: an empty day "
            "never replaces one with answers. Nothing was changed.",
            code="missing_day",
        )
    return True


def missing_day_note(source: str, rule: MissingDay) -> str:
    """Return what a run does whose day has no articles, for a preview.

    :param source: the source, for messages.
    """
    end = {
        "fail": "fails, and sends nothing",
        "skip": "ends without publishing anything",
        "publish_empty": "publishes an empty day, unless answers are published",
    }[rule]
    return f"{source} has no article: a run of this day {end} (on_missing_day={rule!r})."


def end_without_articles(run: Run, plan: Plan, rule: MissingDay, start: RunStart) -> Plan:
    """Return the plan, or one that ends the run if its day has no articles and must not be published empty.

    A run that nobody requested does not fail without articles: it ends.

    :raises InputError: the rule is to fail.
    :raises ConfigurationError: the day is published with answers.
    """
    wanted: MissingDay = "skip" if start.unrequested else rule
    if plan.articles or plan.plan_only or check_missing_day(run, plan.source, wanted):
        return plan
    note = f"{plan.source} has no article: the run ends here, and what is published stays as it is."
    ended = replace(plan, plan_only=True, notes=[note, *plan.notes])
    write_plan(ended, run.folder)
    return ended
