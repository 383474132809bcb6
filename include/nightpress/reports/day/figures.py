"""Compute a day's numbers with pandas from the published Parquet and the receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa

from nightpress.costs.receipt import DayReceipt
from nightpress.days.day_sources import OFFLINE
from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.parquet_files import open_parquet
from nightpress.reports.stored_days import (
    days_before,
    find_receipt,
    open_answers,
    read_about,
    rejected_path,
)
from nightpress.settings import is_offline
from nightpress.statuses import STATUSES, SUCCEEDED, most_frequent
from nightpress.storage import StoragePath

_TEXT = ["status", "error_type", "stop_reason", "model", "batch_id"]
_TOKENS_IN = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
_NUMBERS = [*_TOKENS_IN, "output_tokens", "thinking_tokens", "cost_usd", "list_cost_usd"]
_BATCH_SHARE = 0.5
_NOT_BILLED = [name for name, status in STATUSES.items() if status.billed == "no"]
_BILLED = [name for name, status in STATUSES.items() if status.billed in {"yes", "usage"}]
COLUMNS = [*_TEXT, *_NUMBERS, "reused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """The numbers of a pipeline's day. An unknown amount is None, never 0.

    :param failed: articles without an answer, by the API's error type or, without one, by status; of very many
        kinds the most frequent ones.
    :param statuses: the status of each kind in ``failed``.
    :param rejected: rows not sent; None if that was not recorded.
    :param reused: rows paid for earlier: answers, and outcomes without an answer that would be the same again.
    :param reused_answers: those of them with an answer.
    :param input_tokens: input tokens of new answers, including those of the cache.
    :param thinking_tokens: part of ``output_tokens``; None if no answer stated them.
    :param tokens_unknown: new answers without token counts, which are therefore in no sum.
    :param paid_usd: USD paid over all runs of the day; None if the cost of any request is unknown.
    :param known_paid_usd: the known part of that sum.
    :param unknown_requests: requests whose cost is unknown.
    :param saved_usd: list price minus the amount paid.
    :param unused_usd: USD paid for answers that are not published: replaced by a second round or a later run.
    :param seconds: duration of the run that published the day, from its first submission to the end of its
        last batch; None if it submitted nothing or that was not recorded.
    :param latencies: seconds from submission to end, for each batch of the day with both times.
    :param cut: answers truncated by max_tokens, for days of versions without the status ``truncated``.
    :param refused: answers in which the model refused, for days of versions without the status ``refused``.
    :param cache_saved_usd: USD saved by prompt caching; negative if it cost more.
    """

    day: str
    articles: int
    succeeded: int
    failed: Mapping[str, int]
    statuses: Mapping[str, str]
    rejected: int | None
    reused: int
    reused_answers: int
    batches: int
    input_tokens: int
    output_tokens: int
    thinking_tokens: int | None
    tokens_unknown: int
    paid_usd: float | None
    list_usd: float | None
    saved_usd: float | None
    unused_usd: float | None
    seconds: float | None
    latencies: Sequence[float]
    cut: int
    refused: int
    models: Sequence[str]
    offline: bool
    cache_saved_usd: float | None = None
    known_paid_usd: float | None = None
    unknown_requests: int = 0

    @property
    def failures(self) -> int:
        """Articles without an answer."""
        return sum(self.failed.values())

    @property
    def reused_failures(self) -> int:
        """Articles without an answer whose outcome was paid for earlier and is kept, such as a refusal."""
        return self.reused - self.reused_answers


def read_frame(path: StoragePath, extra: Sequence[str] = ()) -> pd.DataFrame:
    """Return the columns for the figures, one row per article; a missing column is null.

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
    frame["failure"] = error.where(error.notna() & error.ne(""), status).where(status.ne(SUCCEEDED))
    return frame


def compute(
    frame: pd.DataFrame,
    day: str,
    receipt: DayReceipt | None,
    rejected: int | None,
    *,
    offline: bool = False,
) -> DayFigures:
    """Add up a day.

    Amounts are taken from the receipt, which covers all runs of the day; without a receipt, from the rows.

    :param frame: the result of :func:`read_frame`.
    :param offline: True if the offline API answered, according to the published file.
    """
    new = frame[~frame["reused"]]
    paid = _sum_known(new["cost_usd"]) if receipt is None else receipt.paid_usd
    listed = _sum_known(new["list_cost_usd"]) if receipt is None else receipt.list_usd
    spans = batch_spans(receipt)
    published = batch_spans(receipt, last_run=True)
    ids = frame["batch_id"].dropna().astype(str).unique()
    stop = frame["stop_reason"].astype(object).where(frame["status"].eq(SUCCEEDED))
    thinking = new["thinking_tokens"].dropna()
    return DayFigures(
        day=day,
        articles=len(frame),
        succeeded=int(frame["status"].eq(SUCCEEDED).sum()),
        failed=_count_failures(frame["failure"]),
        statuses=_statuses(frame),
        rejected=rejected if rejected is not None else _count(receipt, "rejected"),
        reused=int(frame["reused"].sum()),
        reused_answers=int((frame["reused"] & frame["status"].eq(SUCCEEDED)).sum()),
        batches=len(ids),
        input_tokens=int(new["tokens_in"].sum()),
        output_tokens=int(new["output_tokens"].sum()),
        thinking_tokens=int(thinking.sum()) if len(thinking) else None,
        tokens_unknown=int((new["status"].isin(_BILLED) & new["output_tokens"].isna()).sum()),
        paid_usd=paid,
        list_usd=listed,
        saved_usd=None if paid is None or listed is None else listed - paid,
        unused_usd=_unused(frame, receipt),
        cache_saved_usd=receipt.cache_saved_usd if receipt else None,
        known_paid_usd=receipt.known_paid_usd if receipt else float(new["cost_usd"].sum()),
        unknown_requests=receipt.unknown_requests if receipt else int(new["cost_usd"].isna().sum()),
        seconds=(max(end for _, end in published) - min(start for start, _ in published)).total_seconds()
        if published
        else None,
        latencies=[(end - start).total_seconds() for start, end in spans],
        cut=int(stop.eq("max_tokens").sum()),
        refused=int(stop.eq("refusal").sum()),
        models=sorted(frame["model"].dropna().astype(str).unique()),
        offline=offline or bool(receipt and receipt.offline) or any(map(is_offline, ids)),
    )


def _count_failures(kinds: pd.Series) -> dict[str, int]:
    return most_frequent(Counter({str(kind): int(number) for kind, number in kinds.value_counts().items()}))


def _statuses(frame: pd.DataFrame) -> dict[str, str]:
    failed = frame[["failure", "status"]].astype(object).dropna().drop_duplicates("failure")
    return {str(kind): str(status) for kind, status in zip(failed["failure"], failed["status"], strict=True)}


def _unused(frame: pd.DataFrame, receipt: DayReceipt | None) -> float | None:
    """Return the USD paid on the day for answers that are not in the published file.

    A row's cost includes both rounds, so the cost of answers that a second round replaced is added. A reused
    row of a batch of the same day was paid for by an earlier run of the day: it counts as used, at its price.
    """
    if receipt is None or receipt.paid_usd is None or receipt.wasted_usd is None:
        return None
    ours = {batch.batch_id for batch in receipt.batches if not batch.reused}
    rows = frame[frame["batch_id"].astype(object).isin(ours)]
    worth = rows["cost_usd"].where(~rows["reused"], rows["list_cost_usd"] * _BATCH_SHARE)
    if worth.isna().any():
        return None
    replaced = _replaced(rows, receipt)
    if replaced is None:
        return None
    unused = receipt.paid_usd - float(worth.sum()) + replaced
    return unused if unused > 1e-9 else 0.0


def _replaced(rows: pd.DataFrame, receipt: DayReceipt) -> float | None:
    """Return the USD that second rounds of the published rows replaced; None if that is not known.

    Of an earlier run it is known if the day still has all of its billed rows, or none: rows do not say which part of
    their cost was replaced.
    """
    published = rows["batch_id"].astype(str).value_counts()
    replaced = 0.0
    for run, wasted in (receipt.wasted_by_run or {receipt.run: receipt.wasted_usd}).items():
        batches = [batch for batch in receipt.batches if batch.run == run and not batch.reused]
        used = sum(int(published.get(batch.batch_id, 0)) for batch in batches)
        if run == receipt.run or (wasted and used):
            sent = sum(batch.requests for batch in batches if batch.round == 1)
            not_billed = sum(batch.by_status.get(name, 0) for batch in batches for name in _NOT_BILLED)
            if run != receipt.run and sent - used > not_billed:
                return None
            replaced += wasted or 0.0
    return replaced


def read_earlier_figures(root: DataRoot, pipeline: str, day: str) -> list[DayFigures]:
    """Return the figures of the days before, oldest first; a day that cannot be read is left out."""
    history = []
    for earlier in days_before(root, pipeline, day):
        try:
            history.append(read_figures(root, pipeline, earlier, read_frame(root.answers(pipeline, earlier))))
        except (ResultsError, OSError):
            continue
    return history


def read_figures(root: DataRoot, pipeline: str, day: str, frame: pd.DataFrame) -> DayFigures:
    """Return the figures of a published day from its rows."""
    return compute(
        frame,
        day,
        find_receipt(root, pipeline, day),
        count_rejected(root, root.answers(pipeline, day)),
        offline=read_about(root, pipeline, day).made_by.get(OFFLINE) == "yes",
    )


def count_rejected(root: DataRoot, answers: StoragePath) -> int | None:
    """Return how many rows the run that published a day rejected; None if its files are missing."""
    path = rejected_path(root, answers)
    if path is None:
        return None
    try:
        with open_parquet(path) as file:
            return int(file.metadata.num_rows)
    except (OSError, pa.ArrowInvalid):
        return None


def batch_spans(receipt: DayReceipt | None, *, last_run: bool = False) -> list[tuple[datetime, datetime]]:
    """Return the times of submission and end of each batch of a receipt, where both are known.

    :param last_run: only batches of the run that published the day last.
    """
    return [
        (batch.submitted_at, batch.ended_at)
        for batch in (receipt.batches if receipt else ())
        if not batch.reused
        and (not last_run or batch.run == receipt.run)  # type: ignore[union-attr]
        and batch.submitted_at is not None
        and batch.ended_at is not None
        and batch.submitted_at <= batch.ended_at
    ]


def _sum_known(amounts: pd.Series) -> float | None:
    return None if amounts.isna().any() else float(amounts.sum())


def _count(receipt: DayReceipt | None, key: str) -> int | None:
    found = receipt.numbers.get(key) if receipt is not None else None
    return found if isinstance(found, int) else None
