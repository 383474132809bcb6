"""A batch as the API describes it, with only the fields that are needed.

The API, and even more a gateway in front of it, may add, leave out or rename fields. Only a usable id is
required; any other field that is missing or out of bounds is unknown. An element without a usable id becomes
an :class:`OddBatch` and does not hide the other batches of a page.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from nightpress.errors import ApiReplyError, ConfigurationError
from nightpress.storage import INVALID_JSON

_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""No batch is older or newer. Gateways write the zero of a language, 0001-01-01 or 1970-01-01, for a missing time."""

BatchId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,128}\Z")]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Moment = Annotated[datetime, Meta(tz=True)]


def is_batch_id(value: object) -> bool:
    """Return whether a value can be a batch id: it names files and is part of URLs."""
    return isinstance(value, str) and bool(_BATCH_ID.fullmatch(value))


def check_batch_id(batch_id: str) -> str:
    """Return a valid batch id unchanged.

    :raises ConfigurationError: it has characters that the API does not use.
    """
    if not is_batch_id(batch_id):
        raise ConfigurationError(
            f"invalid batch id {batch_id!r:.140}: a batch id has 1-128 letters, digits, '_' or '-', "
            "as in msgbatch_013Zva2CMHLNnXjNJJKqJ2EF"
        )
    return batch_id


class RequestCounts(msgspec.Struct, frozen=True, gc=False):
    """Requests of a batch by outcome. All but ``processing`` stay 0 until the whole batch has ended."""

    processing: Count = 0
    succeeded: Count = 0
    errored: Count = 0
    canceled: Count = 0
    expired: Count = 0

    @property
    def total(self) -> int:
        """Requests in the batch; 0 when the counts are not known, since no batch is empty."""
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired


class Batch(msgspec.Struct, frozen=True, gc=False):
    """The state of a Message Batch (API documentation, "The Message Batch object").

    :param processing_status: ``in_progress``, ``canceling`` or ``ended``; when the reply has none, ``ended`` if it says
        when the batch ended, else ``unknown``.
    :param created_at: None when the reply has none.
    """

    id: BatchId
    processing_status: str
    created_at: Moment | None = None
    request_counts: RequestCounts = RequestCounts()
    expires_at: Moment | None = None
    ended_at: Moment | None = None
    archived_at: Moment | None = None
    cancel_initiated_at: Moment | None = None
    results_url: str | None = None

    def __post_init__(self) -> None:
        for name in _MOMENTS:
            moment = getattr(self, name)
            if moment is not None and not _EARLIEST <= moment <= _LATEST:
                msgspec.structs.force_setattr(self, name, None)

    @property
    def ended(self) -> bool:
        """True once nothing more will be processed; ``canceling`` is not the end."""
        return self.processing_status == "ended"


_MOMENTS = ("created_at", "ended_at", "archived_at")
"""The moments that are used; a triggerer checks a thousand batches in each poll."""


class OddBatch(msgspec.Struct, frozen=True, gc=False):
    """An element of the list that has no usable id.

    :param type: its ``type`` field; ``message_batch`` when it has none.
    :param requests: its number of requests; None when that is not known.
    """

    type: str = "message_batch"
    created_at: datetime | None = None
    requests: int | None = None


class BatchPage(msgspec.Struct, frozen=True, gc=False):
    """One page of the list of batches, newest first.

    :param odd: elements that cannot be read as a batch.
    """

    data: tuple[Batch, ...] = ()
    has_more: bool = False
    last_id: str | None = None
    odd: tuple[OddBatch, ...] = ()


class _Page(msgspec.Struct):
    data: list[Batch]
    has_more: bool | None = None
    last_id: BatchId | None = None


_strict_batch = msgspec.json.Decoder(Batch)
_strict_page = msgspec.json.Decoder(_Page)


def decode_batch(data: bytes) -> Batch:
    """Return the batch that a reply describes.

    :raises ApiReplyError: the reply describes none.
    """
    try:
        return _strict_batch.decode(data)
    except INVALID_JSON:
        found = _read_leniently(_decode_any(data))
    if isinstance(found, OddBatch):
        raise ApiReplyError(f"the API's reply describes no batch with a usable id ({len(data):,} bytes)")
    return found


def decode_page(data: bytes) -> BatchPage:
    """Return a page of the list of batches; elements that cannot be read are in ``odd``.

    :raises ApiReplyError: the reply is not a list.
    """
    try:
        page = _strict_page.decode(data)
        more = _has_more(page.has_more, len(page.data))
        return BatchPage(tuple(page.data), more, page.last_id or _last_id(page.data))
    except INVALID_JSON:
        content = _decode_any(data)
    elements = content.get("data") if isinstance(content, dict) else None
    if not isinstance(elements, list):
        raise ApiReplyError(f"the API's reply is not a list of batches ({len(data):,} bytes)")
    found = [_read_leniently(element) for element in elements]
    batches = [batch for batch in found if isinstance(batch, Batch)]
    last = content.get("last_id")
    return BatchPage(
        tuple(batches),
        _has_more(content.get("has_more"), len(elements)),
        last if is_batch_id(last) else _last_id(batches),
        tuple(batch for batch in found if isinstance(batch, OddBatch)),
    )


def _has_more(told: object, count: int) -> bool:
    """Return whether another page follows; if the reply does not tell, one does until a page is empty.

    A gateway's own limit may be below the one that was asked for, so a page that is not full proves nothing.
    """
    if told is None:
        return count > 0
    return told not in (False, 0, "", "0") and str(told).lower() != "false"


def _last_id(batches: list[Batch]) -> str | None:
    return batches[-1].id if batches else None


def _decode_any(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except INVALID_JSON as error:
        raise ApiReplyError(f"the API's reply is not JSON ({len(data):,} bytes, {error})") from None


def _read_leniently(content: Any) -> Batch | OddBatch:
    if not isinstance(content, dict):
        return OddBatch(type=type(content).__name__)
    kinds = RequestCounts.__struct_fields__
    told = content.get("request_counts")
    told = told if isinstance(told, dict) else {}
    counts = RequestCounts(*(_convert(told.get(kind), Count) or 0 for kind in kinds))
    created = _read_moment(content.get("created_at"))
    kind, batch_id = content.get("type"), content.get("id")
    if not is_batch_id(batch_id) or not isinstance(kind, (str, type(None))):
        return OddBatch(kind if isinstance(kind, str) else "message_batch", created, counts.total or None)
    status, url = content.get("processing_status"), content.get("results_url")
    ended = _read_moment(content.get("ended_at"))
    return Batch(
        id=str(batch_id),
        processing_status=status if isinstance(status, str) else "ended" if ended else "unknown",
        created_at=created,
        request_counts=counts,
        expires_at=_read_moment(content.get("expires_at")),
        ended_at=ended,
        archived_at=_read_moment(content.get("archived_at")),
        cancel_initiated_at=_read_moment(content.get("cancel_initiated_at")),
        results_url=url if isinstance(url, str) else None,
    )


def _read_moment(value: Any) -> datetime | None:
    moment = _convert(value, datetime)
    if isinstance(moment, datetime):
        # A gateway that drops the zone means UTC, as the API does.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment if _EARLIEST <= moment <= _LATEST else None
    return None


def _convert(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.MsgspecError, OverflowError):
        return None
