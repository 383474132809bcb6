"""A day's numbers, by pandas, from the published Parquet and the receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.reports.stored_days import days_before, open_answers, read_receipt, rejected_path
from nightpress.storage import StoragePath

OFFLINE_BATCH = "msgbatch_local_"
"""How ids of batches of the offline API begin."""

_TEXT = ["status", "error_type", "stop_reason", "model", "batch_id"]
_TOKENS_IN = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
_NUMBERS = [*_TOKENS_IN, "output_tokens", "cost_usd", "list_cost_usd"]
COLUMNS = [*_TEXT, *_NUMBERS, "reused"]


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What a pipeline's day came to.

    :param failed: articles without an answer, by the API's error type or, without one, the status.
    :param rejected: rows not sent; None when it was not recorded.
    :param reused: answers paid for earlier.
    :param input_tokens: of new answers, those of the cache included.
    :param paid_usd: over all runs of the day; None when a model's price is not known.
    :param saved_usd: list price less what was paid.
    :param wasted_usd: paid for answers that a second round replaced.
    :param seconds: from the first submission to the end of the last batch; None when not recorded.
    :param latencies: seconds from submission to end, of each batch that has both.
    :param cut: answers that max_tokens cut off.
    :param refused: answers in which the model declined.
    :param cache_saved_usd: what prompt caching saved; negative when it cost more.
    """

    day: str
    articles: int
    succeeded: int
    failed: Mapping[str, int]
    rejected: int | None
    reused: int
    batches: int
    input_tokens: int
    output_tokens: int
    paid_usd: float | None
    list_usd: float | None
    saved_usd: float | None
    wasted_usd: float | None
    seconds: float | None
    latencies: Sequence[float]
    cut: int
    refused: int
    models: Sequence[str]
    offline: bool
    cache_saved_usd: float | None = None

    @property
    def failures(self) -> int:
        """Articles without an answer."""
        return sum(self.failed.values())


def read_frame(path: StoragePath, extra: Sequence[str] = ()) -> pd.DataFrame:
    """Return the columns that figures need, one row for each article; a column that is not there is null.

    :param extra: metadata columns with few distinct values.
    """
    with open_answers(path, _TEXT) as file:
        names = file.schema_arrow.names
        table = file.read([name for name in (*COLUMNS, *extra) if name in names])
    frame: pd.DataFrame = table.to_pandas(strings_to_categorical=True)
    for name in COLUMNS:
        if name not in frame:
            frame[name] = None
    frame["reused"] = frame["reused"].eq(True)
    for name in _NUMBERS:
        frame[name] = pd.to_numeric(frame[name])
    frame["tokens_in"] = frame[_TOKENS_IN].fillna(0).sum(axis=1)
    status, error = (frame[name].astype(object) for name in ("status", "error_type"))
    frame["failure"] = error.where(error.notna() & error.ne(""), status).where(status.ne("succeeded"))
    return frame


def compute(frame: pd.DataFrame, day: str, receipt: Mapping[str, Any], rejected: int | None) -> DayFigures:
    """Add up a day.

    Money is the receipt's, which covers all runs of the day; without a receipt it is that of the rows.

    :param frame: of :func:`read_frame`.
    """
    new = frame[~frame["reused"]]
    paid, listed = (
        _amount(receipt, "paid_usd", new["cost_usd"]),
        _amount(receipt, "list_usd", new["list_cost_usd"]),
    )
    spans = batch_spans(receipt)
    ids = frame["batch_id"].dropna().astype(str).unique()
    # What does not fit a schema is a failure with a reason of its own.
    stop = frame["stop_reason"].astype(object).where(frame["status"].eq("succeeded"))
    return DayFigures(
        day=day,
        articles=len(frame),
        succeeded=int(frame["status"].eq("succeeded").sum()),
        failed={str(kind): int(number) for kind, number in frame["failure"].value_counts().items()},
        rejected=rejected if rejected is not None else _count(receipt.get("numbers"), "rejected"),
        reused=int(frame["reused"].sum()),
        batches=len(ids),
        input_tokens=int(new["tokens_in"].sum()),
        output_tokens=int(new["output_tokens"].sum()),
        paid_usd=paid,
        list_usd=listed,
        saved_usd=None if paid is None or listed is None else listed - paid,
        wasted_usd=_number(receipt.get("wasted_usd")),
        cache_saved_usd=_number(receipt.get("cache_saved_usd")),
        seconds=(max(end for _, end in spans) - min(start for start, _ in spans)).total_seconds()
        if spans
        else None,
        latencies=[(end - start).total_seconds() for start, end in spans],
        cut=int(stop.eq("max_tokens").sum()),
        refused=int(stop.eq("refusal").sum()),
        models=sorted(frame["model"].dropna().astype(str).unique()),
        offline=bool(receipt.get("offline")) or any(name.startswith(OFFLINE_BATCH) for name in ids),
    )


def read_history(root: StoragePath, pipeline: str, day: str) -> list[DayFigures]:
    """Return the figures of the days before, oldest first; a day that cannot be read is left out."""
    history = []
    for earlier in days_before(root, pipeline, day):
        path = DataRoot(root).answers(pipeline, earlier)
        try:
            history.append(
                compute(
                    read_frame(path),
                    earlier,
                    read_receipt(root, pipeline, earlier),
                    count_rejected(root, path),
                )
            )
        except (ResultsError, OSError):
            continue
    return history


def count_rejected(root: StoragePath, answers: StoragePath) -> int | None:
    """Return how many rows the run that published a day rejected; None when its files are gone."""
    path = rejected_path(root, answers)
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            return int(pq.read_metadata(pa.PythonFile(stream, mode="r")).num_rows)
    except (OSError, pa.ArrowInvalid):
        return None


def batch_spans(receipt: Mapping[str, Any]) -> list[tuple[datetime, datetime]]:
    """Return when each batch of a receipt was submitted and when it ended, where both are known."""
    spans = []
    for batch in receipt.get("batches") or ():
        if not isinstance(batch, Mapping) or batch.get("reused"):
            continue
        start, end = _moment(batch.get("submitted_at")), _moment(batch.get("ended_at"))
        if start is not None and end is not None and start <= end:
            spans.append((start, end))
    return spans


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _amount(receipt: Mapping[str, Any], key: str, rows: pd.Series) -> float | None:
    if key in receipt:
        return _number(receipt[key])
    return None if rows.isna().any() else float(rows.sum())


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(numbers: object, key: str) -> int | None:
    found = numbers.get(key) if isinstance(numbers, Mapping) else None
    return found if isinstance(found, int) else None
