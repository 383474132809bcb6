"""The content of a report, independent of its layout: the same for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from nightpress.advice import CUT_OFF, REJECTED, advise, label
from nightpress.days.day_sources import read_changed_types
from nightpress.layout import DataRoot
from nightpress.reports.comparison.comparison_figures import Comparison, read_comparisons
from nightpress.reports.day.categories import CategoryTable, find_categories, tabulate
from nightpress.reports.day.digest import PIPELINE as DIGEST
from nightpress.reports.day.digest import DayDigest, read_digest
from nightpress.reports.day.figures import DayFigures, read_earlier_figures, read_figures, read_frame
from nightpress.reports.day.report_articles import Kind, find_examples, read_rejected
from nightpress.reports.plots import Bin, histogram
from nightpress.reports.stored_days import find_dags, is_published, list_runs, read_about, rejected_path
from nightpress.reports.wording import counted
from nightpress.statuses import REFUSED
from nightpress.storage import StoragePath

_MAX_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person may want to do: how many cases, of what kind, and the remedy."""

    count: int
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class PipelineDay:
    """A pipeline's published day.

    :param before: the days published in the weeks before, oldest first.
    :param output_tokens: histogram over the new answers.
    :param group: the column by which articles are grouped, or None.
    :param changed_types: metadata columns whose type differs from the last published day's, and both types.
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
    changed_types: Mapping[str, str] = field(default_factory=dict)

    def actions(self) -> list[Action]:
        """Return what a person should check, failures first; empty if all is well."""
        today = self.today
        found = [
            Action(
                kind.count,
                f"failed: {label(kind.name)}",
                advise(kind.name, today.statuses.get(kind.name, ""), kind.messages).after_run,
            )
            for kind in self.failures
        ]
        if today.cut:
            found.append(Action(today.cut, "cut off at max_tokens", CUT_OFF))
        if today.refused:
            found.append(Action(today.refused, "declined by the model", advise(REFUSED).after_run))
        if today.rejected:
            found.append(Action(today.rejected, "rejected before sending", REJECTED))
        if self.changed_types:
            found.append(_type_action(self.changed_types))
        return found


def _type_action(changed: Mapping[str, str]) -> Action:
    shown = [f"{name} ({change})" for name, change in list(changed.items())[:_MAX_COLUMNS]]
    more = f" and {len(changed) - _MAX_COLUMNS:,} more" if len(changed) > _MAX_COLUMNS else ""
    return Action(
        len(changed),
        f"with another type than the last published day: metadata columns {', '.join(shown)}{more}",
        "Tell whatever reads several days which type the column has; the values are as the source has them.",
    )


@dataclass(frozen=True, slots=True)
class Absent:
    """A pipeline that has not published the day.

    :param runs: number of its started runs for the day.
    """

    pipeline: str
    runs: int

    def explain(self) -> str:
        """Say what is known and what to do."""
        if self.runs:
            return (
                f"{counted(self.runs, 'run')} started for this day, and none has published it yet. Look at the last "
                "one; batches already submitted are kept and not paid for twice."
            )
        return "No run was started for this day. Run the pipeline for it, and this report is written again by itself."


@dataclass(frozen=True, slots=True)
class DayReport:
    """The report of a day over all its pipelines.

    :param dags: the DAG that published each pipeline's day; empty where unknown. A reader of the report sees
        articles of all of them, including those of the comparisons.
    """

    day: str
    written_at: datetime
    pipelines: Sequence[PipelineDay]
    absent: Sequence[Absent]
    digest: DayDigest | None = None
    comparisons: Sequence[Comparison] = ()
    dags: Mapping[str, str] = field(default_factory=dict)

    @property
    def offline(self) -> bool:
        """Whether any answer came from the offline API."""
        return any(each.today.offline for each in self.pipelines)


def gather(root: DataRoot, day: str, pipelines: Sequence[str] | None, now: datetime) -> DayReport:
    """Read the content of a day's report, except the articles, which are read during layout.

    :param pipelines: pipelines to report on, published or not (default: all that exist).
    """
    names = list(root.iter_pipelines()) if pipelines is None else pipelines
    published = [name for name in names if is_published(root, name, day)]
    absent = [Absent(name, len(list_runs(root, name, day))) for name in names if name not in published]
    if pipelines is None and published:
        # Leave out pipelines that were not started for this day.
        absent = [each for each in absent if each.runs]
    digest = read_digest(root, day) if DIGEST in published else None
    days = [_read_pipeline(root, name, day) for name in published]
    comparisons = read_comparisons(root, day, published)
    shown = {
        *published,
        *(each.pipeline for each in absent),
        *(each.pipeline for compared in comparisons for each in compared.variants),
    }
    dags = find_dags(root, day, sorted(shown))
    return DayReport(day, now, days, absent, digest, comparisons, dags)


def _read_pipeline(root: DataRoot, pipeline: str, day: str) -> PipelineDay:
    path = root.answers(pipeline, day)
    columns = find_categories(path)
    frame = read_frame(path, columns)
    today = read_figures(root, pipeline, day, frame)
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
        changed_types=read_changed_types(read_about(root, pipeline, day).made_by),
    )
    del frame, tokens
    return replace(result, before=read_earlier_figures(root, pipeline, day))
