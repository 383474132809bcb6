"""What a report says, before it is laid out: the same for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from nightpress.layout import DataRoot
from nightpress.reports.comparison.comparison_figures import Comparison, read_comparisons
from nightpress.reports.day import actions
from nightpress.reports.day.categories import CategoryTable, find_categories, tabulate
from nightpress.reports.day.digest import PIPELINE as DIGEST
from nightpress.reports.day.digest import Digest, read_digest
from nightpress.reports.day.figures import DayFigures, compute, count_rejected, read_frame, read_history
from nightpress.reports.day.report_articles import Kind, find_examples, read_rejected
from nightpress.reports.stored_days import (
    is_published,
    list_pipelines,
    list_runs,
    read_receipt,
    rejected_path,
)
from nightpress.reports.wording import counted
from nightpress.storage import StoragePath

TOKEN_BINS = 24


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of a histogram: values from ``low`` up to ``high``."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person may want to do: how many, of what, and what helps."""

    count: int
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class PipelineDay:
    """A pipeline's published day.

    :param before: the days published in the weeks before, oldest first.
    :param output_tokens: histogram over the new answers.
    :param group: the column that articles are grouped by, or None.
    """

    pipeline: str
    answers: StoragePath
    today: DayFigures
    before: Sequence[DayFigures]
    categories: Sequence[CategoryTable]
    failures: Sequence[Kind]
    rejected: Sequence[Kind]
    output_tokens: Sequence[Bin]
    group: str | None

    def actions(self) -> list[Action]:
        """Return what wants a look, failures first; empty when all is well."""
        found = [
            Action(kind.count, f"failed: {kind.name}", actions.advise(kind.name)) for kind in self.failures
        ]
        if self.today.cut:
            found.append(Action(self.today.cut, "cut off at max_tokens", actions.CUT))
        if self.today.refused:
            found.append(Action(self.today.refused, "declined by the model", actions.REFUSED))
        if self.today.rejected:
            found.append(Action(self.today.rejected, "rejected before sending", actions.REJECTED))
        return found


@dataclass(frozen=True, slots=True)
class Absent:
    """A pipeline that has not published the day.

    :param runs: how many of its runs for the day were started.
    """

    pipeline: str
    runs: int

    def explain(self) -> str:
        """Say what is known and what to do."""
        if self.runs:
            return (
                f"{counted(self.runs, 'run')} started for this day, and none has published it yet. Look at the last "
                "one in the Airflow UI; batches already submitted are kept and not paid for twice."
            )
        return (
            "No run was started for this day. Trigger the DAG with this day, or backfill it; then this report is "
            "written anew by itself."
        )


@dataclass(frozen=True, slots=True)
class DayReport:
    """The report of a day over all its pipelines."""

    day: str
    written_at: datetime
    pipelines: Sequence[PipelineDay]
    absent: Sequence[Absent]
    digest: Digest | None = None
    comparisons: Sequence[Comparison] = ()

    @property
    def offline(self) -> bool:
        """Whether any answer came from the offline API."""
        return any(one.today.offline for one in self.pipelines)


def gather(root: StoragePath, day: str, pipelines: Sequence[str] | None, now: datetime) -> DayReport:
    """Read all that a day's report tells; the articles themselves are read when they are laid out.

    :param pipelines: whose sections are wanted, published or not (default: all that there are).
    """
    names = list_pipelines(root) if pipelines is None else pipelines
    published = [name for name in names if is_published(root, name, day)]
    absent = [Absent(name, len(list_runs(root, name, day))) for name in names if name not in published]
    if pipelines is None and published:
        # A pipeline that had no business on this day is not worth a line.
        absent = [one for one in absent if one.runs]
    digest = read_digest(root, day) if DIGEST in published else None
    days = [_read_pipeline(root, name, day) for name in published]
    return DayReport(day, now, days, absent, digest, read_comparisons(root, day, published))


def _read_pipeline(root: StoragePath, pipeline: str, day: str) -> PipelineDay:
    path = DataRoot(root).answers(pipeline, day)
    columns = find_categories(path)
    frame = read_frame(path, columns)
    today = compute(frame, day, read_receipt(root, pipeline, day), count_rejected(root, path))
    tokens = frame.loc[frame["status"].eq("succeeded") & ~frame["reused"], "output_tokens"].dropna()
    result = PipelineDay(
        pipeline=pipeline,
        answers=path,
        today=today,
        before=(),
        categories=[tabulate(frame, column) for column in columns],
        failures=find_examples(path, list(today.failed.items())),
        rejected=read_rejected(rejected_path(root, path)),
        output_tokens=histogram([float(value) for value in tokens.tolist()]),
        group=columns[0] if columns else None,
    )
    del frame, tokens
    return replace(result, before=read_history(root, pipeline, day))


def histogram(values: Sequence[float], most: int = TOKEN_BINS) -> list[Bin]:
    """Count values in bins of one width, a round number (1, 2 or 5 times a power of ten)."""
    if not values:
        return []
    low, high = min(values), max(values)
    width = _round_up((high - low) / most) if high > low else max(1.0, abs(high) / 10)
    first = low // width
    counts = [0] * (int(high // width - first) + 1)
    for value in values:
        counts[int(value // width - first)] += 1
    return [
        Bin((first + place) * width, (first + place + 1) * width, number)
        for place, number in enumerate(counts)
    ]


def _round_up(width: float) -> float:
    power = 1.0
    while power > width:
        power /= 10
    while power * 10 <= width:
        power *= 10
    return next(power * step for step in (1, 2, 5, 10) if power * step >= width)
