"""The receipt of a day: what each batch cost, what was saved, and what was paid for and not used.

A day may be run more than once. Its receipt keeps every batch that was paid for it, each once, so that the
sum of all receipts is what the API billed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from nightpress.costs.estimate import History
from nightpress.errors import ResultsError
from nightpress.storage import StoragePath, Version, list_versions, write_atomically


class BatchReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What one batch came to.

    :param run: the run that collected it first.
    :param round: 1 or 2.
    :param reused: paid for by another day or pipeline; costs nothing here.
    :param by_status: requests by outcome; only ``succeeded`` and ``invalid_output`` ones are billed.
    :param paid_usd: None when a model's price is not known.
    :param cache_saved_usd: what prompt caching saved, at batch prices.
    :param submitted_at: when the POST was accepted, or the batch adopted; None when not recorded.
    """

    batch_id: str
    shard_key: str
    run: str = ""
    round: int = 1
    reused: bool = False
    requests: int = 0
    by_status: Mapping[str, int] = {}
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    list_usd: float | None = None
    paid_usd: float | None = None
    cache_saved_usd: float | None = None
    submitted_at: datetime | None = None
    ended_at: datetime | None = None


class DayReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a day came to, in USD.

    :param run: the last run that published the day.
    :param template: digest of that run's prompt and settings.
    :param numbers: that run's publication: articles, succeeded, failed by kind, rejected, reused.
    :param paid_usd: the sum of the batches; None when a model's price is not known.
    :param saved_usd: list price less what was paid.
    :param wasted_usd: paid for answers that a second round replaced.
    :param wasted_by_run: the same by run.
    """

    pipeline: str
    day: str
    run: str
    offline: bool
    published_at: datetime | None = None
    template: str = ""
    numbers: Mapping[str, Any] = {}
    list_usd: float | None
    paid_usd: float | None
    saved_usd: float | None
    cache_saved_usd: float | None
    wasted_usd: float | None
    wasted_by_run: Mapping[str, float | None] = {}
    batches: Sequence[BatchReceipt]


def receipt_path(root: StoragePath, pipeline: str, day: str) -> StoragePath:
    """Return where a day's receipt is."""
    return root / "receipts" / pipeline / f"day={day}.json"


def read_receipt(path: StoragePath) -> DayReceipt | None:
    """Return a receipt, or None when there is none.

    :raises ResultsError: the file is not a receipt.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=DayReceipt)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ResultsError(
            f"the receipt {path} cannot be read ({error}). It holds what the day's earlier runs paid: restore it, or "
            "move it away and clear this task; the ledger still knows every batch."
        ) from None


def write_receipt(receipt: DayReceipt, root: StoragePath) -> StoragePath:
    """Store a day's receipt as JSON, with the batches of the day's earlier runs; return where.

    Called twice: before the day is published, so that what was paid is on the receipt even if the run dies
    then and the next one finds its answers; and after, with the numbers of the publication.

    Two runs of a day may write at the same moment. Each stores its own part first, and adds up again for as long
    as parts came while it was adding up: so whoever writes last has seen all of them.
    """
    path = receipt_path(root, receipt.pipeline, receipt.day)
    parts = path.parent / "of_runs" / path.stem
    mine = f"{hashlib.sha256(receipt.run.encode()).hexdigest()[:16]}.json"
    write_atomically(parts / mine, _encode(receipt))
    seen: Mapping[str, Version] | None = None
    while seen != (found := list_versions(parts)):
        seen = found
        # Beside the parts may be what a killed writer left aside.
        others = [parts / name for name in sorted(found.keys() - {mine}) if name.endswith(".json")]
        write_atomically(path, _encode(_add_up(receipt, path, others)))
    return path


def _add_up(receipt: DayReceipt, path: StoragePath, others: Iterable[StoragePath]) -> DayReceipt:
    """Return the receipt with what the day's stored one and the parts of its other runs have."""
    earlier = read_receipt(path)
    if earlier is not None and earlier.offline != receipt.offline:
        earlier = _change_books(path, earlier)
    if earlier is not None:
        receipt = _add_earlier(receipt, earlier)
    for part in map(read_receipt, others):
        if part is not None and part.offline == receipt.offline:
            receipt = _add_earlier(msgspec.structs.replace(part, published_at=None), receipt)
    return receipt


def _encode(receipt: DayReceipt) -> bytes:
    return msgspec.json.format(msgspec.json.encode(receipt), indent=2)


def _change_books(path: StoragePath, earlier: DayReceipt) -> DayReceipt | None:
    """Put a receipt of the other API aside, and return the one of this API that was put aside before.

    What the offline API did cost nothing, so its batches are on no receipt of the real one, nor the reverse;
    and neither is lost when a day is run with both.
    """
    names = {True: "of_the_offline_api", False: "of_the_api"}
    write_atomically(path.parent / names[earlier.offline] / path.name, path.read_bytes())
    return read_receipt(path.parent / names[not earlier.offline] / path.name)


def make_receipt(
    batches: Sequence[BatchReceipt],
    *,
    pipeline: str,
    day: str,
    run: str,
    offline: bool,
    wasted_usd: float | None,
    **about: Any,
) -> DayReceipt:
    """Add up a day's batches.

    :param about: ``published_at``, ``template`` and ``numbers`` of :class:`DayReceipt`.
    """
    listed = total(batch.list_usd for batch in batches)
    paid = total(batch.paid_usd for batch in batches)
    return DayReceipt(
        pipeline=pipeline,
        day=day,
        run=run,
        offline=offline,
        batches=batches,
        list_usd=listed,
        paid_usd=paid,
        saved_usd=None if listed is None or paid is None else listed - paid,
        cache_saved_usd=total(batch.cache_saved_usd for batch in batches),
        wasted_usd=wasted_usd,
        **{"wasted_by_run": {run: wasted_usd}} | about,
    )


def _add_earlier(receipt: DayReceipt, earlier: DayReceipt) -> DayReceipt:
    """Return the receipt with the batches that only earlier runs of the day used."""
    now = {batch.batch_id: batch for batch in receipt.batches}
    # A batch stays with the run that collected it first.
    kept = [
        msgspec.structs.replace(now.pop(batch.batch_id), run=batch.run) if batch.batch_id in now else batch
        for batch in earlier.batches
    ]
    wasted = {**(earlier.wasted_by_run or {earlier.run: earlier.wasted_usd}), **receipt.wasted_by_run}
    last = earlier if receipt.published_at is None else receipt
    return make_receipt(
        [*kept, *now.values()],
        pipeline=receipt.pipeline,
        day=receipt.day,
        run=last.run,
        offline=receipt.offline,
        wasted_usd=total(wasted.values()),
        wasted_by_run=wasted,
        published_at=last.published_at,
        template=last.template,
        numbers=last.numbers,
    )


def batch_receipt(results: Mapping[str, Any], run: str = "") -> BatchReceipt:
    """Read what collecting a shard returned."""
    return BatchReceipt(
        batch_id=results["batch_id"],
        shard_key=results["key"],
        run=run,
        round=results["round"],
        reused=results["reused"],
        requests=results["articles"],
        by_status=results["by_status"],
        input_tokens=results["input_tokens"],
        output_tokens=results["output_tokens"],
        cache_creation_input_tokens=results["cache_creation_input_tokens"],
        cache_read_input_tokens=results["cache_read_input_tokens"],
        list_usd=results["list_cost_usd"],
        paid_usd=results["cost_usd"],
        cache_saved_usd=results["cache_saved_usd"],
        submitted_at=_moment(results.get("submitted_at")),
        ended_at=_moment(results.get("ended_at")),
    )


def read_history(root: StoragePath, pipeline: str, template: str) -> History:
    """Return what answers to the same prompt came to on the last day published with it."""
    folder = root / "receipts" / pipeline
    try:
        names = sorted((path.name for path in folder.iterdir() if path.name.startswith("day=")), reverse=True)
    except (FileNotFoundError, NotADirectoryError):  # which of them, depends on the file system
        return History()
    for name in names[:_DAYS_LOOKED_AT]:
        try:
            receipt = read_receipt(folder / name)
        except ResultsError:
            continue
        if receipt is None or receipt.template != template:
            continue
        answers = sum(batch.by_status.get(status, 0) for batch in receipt.batches for status in _BILLED)
        if answers:
            return History(receipt.day, sum(batch.output_tokens for batch in receipt.batches) / answers)
    return History()


_DAYS_LOOKED_AT = 31
_BILLED = ("succeeded", "invalid_output")


def total(amounts: Iterable[float | None]) -> float | None:
    """Add up amounts; one that is not known makes the sum unknown."""
    known = list(amounts)
    return None if any(amount is None for amount in known) else sum(amount or 0.0 for amount in known)


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else text
