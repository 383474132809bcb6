"""Read, write and add up receipts on disk, and find what earlier days show about the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from nightpress.costs.estimate import AnswerHistory
from nightpress.costs.receipt import RECEIPT_VERSION, BatchReceipt, DayReceipt, add_earlier
from nightpress.errors import ResultsError
from nightpress.layout import DataRoot, list_names
from nightpress.statuses import MESSAGE_STATUSES
from nightpress.storage import INVALID_JSON, StoragePath, write_atomically
from nightpress.store_reads import Version, list_versions

_Record = TypeVar("_Record", BatchReceipt, DayReceipt)


_shown = msgspec.json.Decoder(DayReceipt)


def decode_receipt(content: bytes) -> DayReceipt | None:
    """Decode a receipt quickly, only to show it; return None when this version cannot read it.

    Fields that this version does not know are dropped, so the result must never be stored. To change a receipt,
    use :func:`read_receipt`.
    """
    try:
        receipt = _shown.decode(content)
    except INVALID_JSON:
        return None
    return receipt if receipt.schema_version <= RECEIPT_VERSION else None


def read_receipt(path: StoragePath) -> DayReceipt | None:
    """Return a receipt, of this version or an earlier one, or None when there is none.

    :raises ResultsError: the file is not a receipt, or one of a newer version.
    """
    try:
        values = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        version = values.get("schema_version", 1)
        if not isinstance(version, int) or version > RECEIPT_VERSION:
            raise ResultsError(
                f"the receipt {path} is a record of version {version!r:.20}; this Nightpress reads versions up to "
                f"{RECEIPT_VERSION}: upgrade it. Nothing was changed"
            )
        batches = [_read(batch, BatchReceipt) for batch in values["batches"]]
        return msgspec.structs.replace(_read(values | {"batches": []}, DayReceipt), batches=batches)
    except FileNotFoundError:
        return None
    except (*INVALID_JSON, AttributeError, KeyError, TypeError) as error:
        raise ResultsError(
            f"the receipt {path} cannot be read ({error}). It holds what the day's earlier runs paid: restore it, or "
            "move it away; the ledger still knows every batch",
            code="damaged_receipt",
        ) from None


def receipt_values(receipt: DayReceipt) -> dict[str, Any]:
    """Return a receipt as plain values, with the fields that this version does not know."""
    values: dict[str, Any] = msgspec.to_builtins(receipt)
    values["batches"] = [batch.pop("unknown_fields") | batch for batch in values["batches"]]
    return {**values.pop("unknown_fields"), **values}


def _read(values: Mapping[str, Any], kind: type[_Record]) -> _Record:
    names = set(kind.__struct_fields__) - {"unknown_fields"}
    known = {name: value for name, value in values.items() if name in names}
    unknown_fields = {name: value for name, value in values.items() if name not in names}
    return msgspec.convert(known | {"unknown_fields": unknown_fields}, kind)


def write_receipt(receipt: DayReceipt, root: DataRoot) -> StoragePath:
    """Store a day's receipt as JSON, with the batches of the day's earlier runs; return where.

    Called twice: before the day is published, so that the cost is on the receipt even if the run dies and the
    next run reuses its answers; and afterwards, with the numbers of the publication.

    Two runs of a day may write at the same time. Each stores its own part first, and adds up again if other parts
    appeared while it was adding up. So the last writer has seen all parts.
    """
    path = root.receipt(receipt.pipeline, receipt.day)
    parts = root.receipt_parts(receipt.pipeline, receipt.day)
    mine = root.receipt_part(receipt.pipeline, receipt.day, receipt.run)
    write_atomically(mine, _encode(receipt))
    seen: Mapping[str, Version] | None = None
    while seen != (found := list_versions(parts)):
        seen = found
        # The folder may also hold temporary files of a killed writer.
        others = [parts / name for name in sorted(found.keys() - {mine.name}) if name.endswith(".json")]
        write_atomically(path, _encode(_add_up(receipt, root, others)))
    return path


def _add_up(receipt: DayReceipt, root: DataRoot, others: Iterable[StoragePath]) -> DayReceipt:
    """Return the receipt merged with the day's stored one and with the parts of its other runs."""
    earlier = read_receipt(root.receipt(receipt.pipeline, receipt.day))
    if earlier is not None and earlier.offline != receipt.offline:
        earlier = _change_books(root, earlier)
    if earlier is not None:
        receipt = add_earlier(receipt, earlier)
    for part in map(read_receipt, others):
        if part is not None and part.offline == receipt.offline:
            receipt = add_earlier(msgspec.structs.replace(part, published_at=None), receipt)
    return receipt


def _encode(receipt: DayReceipt) -> bytes:
    return msgspec.json.format(msgspec.json.encode(receipt_values(receipt)), indent=2)


def _change_books(root: DataRoot, earlier: DayReceipt) -> DayReceipt | None:
    """Set the other API's receipt aside, and return the receipt of this API that was set aside before.

    Batches of the offline API cost nothing, so it and the real API have separate receipts. Neither is lost when
    a day is run with both.
    """
    pipeline, day, offline = earlier.pipeline, earlier.day, earlier.offline
    stored = root.receipt(pipeline, day).read_bytes()
    write_atomically(root.receipt_aside(pipeline, day, offline=offline), stored)
    return read_receipt(root.receipt_aside(pipeline, day, offline=not offline))


def read_answer_history(
    root: DataRoot, pipeline: str, template: str, offline: bool | None = None
) -> AnswerHistory:
    """Return the history from the last day that was published with the same prompt and settings.

    :param offline: of the offline API (True), or of the real one (False); None takes either.
    """
    geographies: set[str] = set()
    folder = root.receipts(pipeline)
    names = [name for name in list_names(folder) if name.startswith("day=")]
    for name in sorted(names, reverse=True)[:_DAYS_LOOKED_AT]:
        try:
            receipt = read_receipt(folder / name)
        except ResultsError:
            continue
        if receipt is None or offline not in {None, receipt.offline}:
            continue
        # The workspace's setting decides where inference runs, whatever the prompt.
        geographies |= {name for batch in receipt.batches for name in batch.geographies}
        if receipt.template != template:
            continue
        answers = sum(
            batch.by_status.get(status, 0) for batch in receipt.batches for status in MESSAGE_STATUSES
        )
        if answers:
            each = sum(batch.output_tokens for batch in receipt.batches) / answers
            return AnswerHistory(receipt.day, each, geographies=tuple(sorted(geographies)))
    return AnswerHistory(geographies=tuple(sorted(geographies)))


_DAYS_LOOKED_AT = 31
