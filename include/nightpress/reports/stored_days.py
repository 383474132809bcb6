"""What is on disk of a day: which pipelines published it, its answers, its receipt, the days before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.days.day_sources import read_sources
from nightpress.errors import ResultsError
from nightpress.layout import DataRoot, is_pipeline_name
from nightpress.storage import StoragePath

HISTORY_DAYS = 28
"""How many days back the history goes."""


def list_pipelines(root: StoragePath) -> list[str]:
    """Return the pipelines that ever published or started, by name."""
    return sorted({*list_folders(root), *list_folders(root / "runs")})


def is_published(root: StoragePath, pipeline: str, day: str) -> bool:
    """Tell whether a pipeline published a day."""
    return bool(DataRoot(root).answers(pipeline, day).exists())


def published_files(root: StoragePath, day: str) -> dict[str, str]:
    """Return what the store says of each pipeline's answers of a day; it differs when they were replaced."""
    found = {}
    for pipeline in list_pipelines(root):
        path = DataRoot(root).answers(pipeline, day)
        try:
            found[pipeline] = str(path.fs.info(path.path))
        except FileNotFoundError:
            continue
    return found


def list_runs(root: StoragePath, pipeline: str, day: str) -> list[str]:
    """Return the folders of the runs that were started for a day."""
    return sorted(_children(root / "runs" / pipeline / day))


def days_before(root: StoragePath, pipeline: str, day: str) -> list[str]:
    """Return the days published in the weeks before, oldest first."""
    first = (date.fromisoformat(day) - timedelta(days=HISTORY_DAYS - 1)).isoformat()
    names = (name.removeprefix("day=") for name in _children(root / pipeline) if name.startswith("day="))
    return sorted(name for name in names if first <= name < day and is_published(root, pipeline, name))


@contextmanager
def open_answers(path: StoragePath, dictionaries: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """Open a day's answers.

    :param dictionaries: text columns with few values, which then take little memory.
    :raises ResultsError: the file is damaged.
    """
    try:
        with path.open("rb") as stream:
            file = pa.PythonFile(stream, mode="r")
            metadata = pq.read_metadata(file)
            known = [name for name in dictionaries if name in metadata.schema.names]
            yield pq.ParquetFile(file, metadata=metadata, read_dictionary=known)
    except pa.ArrowInvalid as error:
        raise ResultsError(
            f"{path} cannot be read ({error}). Clear publish of the run that made it, or `make replay` the day: both "
            "join kept results again and pay nothing."
        ) from None


def read_receipt(root: StoragePath, pipeline: str, day: str) -> dict[str, Any]:
    """Return a day's receipt; empty when there is none or it cannot be read."""
    try:
        found = json.loads((root / "receipts" / pipeline / f"day={day}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def rejected_path(root: StoragePath, answers: StoragePath) -> StoragePath | None:
    """Return the rejected rows of the run that published a day; None when it cannot be told.

    The data root may have been moved since, so what counts is the path below ``runs/``.
    """
    try:
        _, found, below = read_sources(answers).rejected.rpartition("/runs/")
    except ResultsError:
        return None
    path = root / "runs" / below
    return path if found and path.exists() else None


def list_folders(folder: StoragePath) -> list[str]:
    """Return the folders in one whose names a pipeline can have, by name."""
    return sorted(name for name in _children(folder) if is_pipeline_name(name))


def _children(folder: StoragePath) -> list[str]:
    try:
        return [child.name for child in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
