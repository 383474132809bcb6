"""Find the stored data of a day: the pipelines that published it, its answers, receipt and earlier days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.costs.receipt import DayReceipt
from nightpress.costs.receipt_files import read_receipt as read_stored_receipt
from nightpress.days.day_sources import READABLE_AGAIN, PublishedFile, read_published, read_sources
from nightpress.errors import NightpressError, ResultsError
from nightpress.layout import DataRoot, is_day, list_names
from nightpress.parquet_files import open_parquet
from nightpress.plain_text import for_log
from nightpress.storage import StoragePath

HISTORY_DAYS = 28
"""How many days back the history goes."""

DAG_ID = "dag_id"
"""Name in the metadata of ``answers.parquet`` of the DAG that published it."""


def is_published(root: DataRoot, pipeline: str, day: str) -> bool:
    """Return whether a pipeline published a day."""
    return bool(root.answers(pipeline, day).exists())


def published_files(root: DataRoot, day: str) -> dict[str, str]:
    """Return the store's description of each pipeline's answers of a day; it changes if they are replaced."""
    found = {}
    for pipeline in root.iter_pipelines():
        path = root.answers(pipeline, day)
        try:
            found[pipeline] = str(path.fs.info(path.path))
        except FileNotFoundError:
            continue
    return found


def find_dags(root: DataRoot, day: str, pipelines: Sequence[str]) -> dict[str, str]:
    """Return the DAG of each pipeline, by pipeline; empty where unknown.

    It is the DAG that published the day; without that day, the DAG that last published another day.
    """
    return {name: _find_dag(root, day, name) for name in pipelines}


def _find_dag(root: DataRoot, day: str, pipeline: str) -> str:
    if is_published(root, pipeline, day):
        return read_about(root, pipeline, day).made_by.get(DAG_ID, "")
    for other in reversed(root.published_days(pipeline)):
        if is_day(other) and is_published(root, pipeline, other):
            return read_about(root, pipeline, other).made_by.get(DAG_ID, "")
    return ""


def read_about(root: DataRoot, pipeline: str, day: str) -> PublishedFile:
    """Return the metadata of a published day's file."""
    return read_published(root.answers(pipeline, day))


def list_runs(root: DataRoot, pipeline: str, day: str) -> list[str]:
    """Return the folders of the runs that were started for a day."""
    return list_names(root.runs(pipeline, day))


def days_before(root: DataRoot, pipeline: str, day: str) -> list[str]:
    """Return the days published in the weeks before, oldest first."""
    first = (date.fromisoformat(day) - timedelta(days=HISTORY_DAYS - 1)).isoformat()
    known = (name for name in root.published_days(pipeline) if is_day(name) and first <= name < day)
    return [name for name in known if is_published(root, pipeline, name)]


@contextmanager
def open_answers(path: StoragePath, dictionaries: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """Open a day's answers.

    :param dictionaries: text columns with few values, which then take little memory.
    :raises ResultsError: the file is damaged.
    """
    try:
        with open_parquet(path, read_dictionary=dictionaries) as file:
            yield file
    except pa.ArrowInvalid as error:
        raise ResultsError(
            f"{path} cannot be read ({for_log(error, 300)}). {READABLE_AGAIN}",
            code="published_day_damaged",
        ) from None


def find_receipt(root: DataRoot, pipeline: str, day: str) -> DayReceipt | None:
    """Return a day's receipt; None if there is none or it cannot be read."""
    try:
        return read_stored_receipt(root.receipt(pipeline, day))
    except (OSError, NightpressError):
        return None


def rejected_path(root: DataRoot, answers: StoragePath) -> StoragePath | None:
    """Return the path of the rejected rows of the run that published a day; None if that run is unclear."""
    try:
        path = root.open(read_sources(answers).rejected)
        return path if path.exists() else None
    except (OSError, NightpressError):
        return None
