"""The records of the ledger and how they are stored: versions, bounds, and fields that this code does not know.

A record of a newer schema version is refused. Unknown fields of the same version are kept through every load and
save, since a process must not drop a field that prevents paying twice only because it does not know the field.
Values out of bounds count as damage, so that one bad record does not break code that reads thousands of them.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from nightpress.batches.batch import BatchId, Count
from nightpress.errors import LedgerError
from nightpress.storage import INVALID_JSON

SCHEMA_VERSION = 1

Seconds = Annotated[float, Meta(ge=0, le=100_000_000_000)]
Moment = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(max_length=1_000)]
Reference = Annotated[str, Meta(max_length=4_000)]
Text = Annotated[str, Meta(max_length=4_000)]
Usd = Annotated[float, Meta(ge=0, le=1_000_000_000)]
Counts = Annotated[dict[Name, Count], Meta(max_length=1_000)]
Version = Annotated[int, Meta(ge=1, le=1_000_000)]

_SHARD_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")

Fields = dict[str, msgspec.Raw]

_NEVER_STORED = "(fields that this code does not know)"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One POST of a shard's body.

    :param at: when the right to POST was taken, by this machine's clock, epoch seconds; for people to read.
    :param deadline: after this, by this machine's clock, the body is cut off, so that it cannot create a batch.
    :param outcome: ``open`` until known; then ``accepted``, ``refused`` or ``lost``.
    :param token: identifies the process that took this attempt.
    :param api_at: when the right to POST was taken, by the API's clock; None until the API's time is known.
    :param api_deadline: the deadline by the API's clock; only this decides that the POST created no batch.
    :param newest_batch_at: creation time, by the API's clock, of the newest batch that the API listed before
        the POST. A batch of this POST is not older.
    :param listed_before: ids of the newest batches that were listed before the POST: none of them is its batch.
    :param organization_id: whose batches the connection showed at the time; None when the API did not say.
    :param workspace_id: a batch of this POST can be in no other workspace.
    """

    number: Annotated[int, Meta(ge=1, le=1_000_000)]
    at: Seconds
    deadline: Seconds
    outcome: Name = "open"
    detail: Text = ""
    token: Name = ""
    api_at: Seconds | None = None
    api_deadline: Seconds | None = None
    newest_batch_at: Seconds | None = None
    listed_before: Annotated[tuple[BatchId, ...], Meta(max_length=1_000)] = ()
    organization_id: Name | None = None
    workspace_id: Name | None = None
    schema_version: Version = SCHEMA_VERSION
    unknown_fields: Fields = msgspec.field(default_factory=dict, name=_NEVER_STORED)


class Example(msgspec.Struct, frozen=True):
    """One request of a kind of failure.

    :param kind: the API's error type, or the status of a request that has none.
    :param message: what the API said, cut short; empty when it said nothing.
    :param article_id: the article's own id; empty in records of earlier releases.
    """

    kind: Name
    custom_id: Name
    message: Text = ""
    article_id: Text = ""


class AcceptedResults(msgspec.Struct, frozen=True):
    """A person's word that a batch has no more results than can be read.

    :param lines: as many lines as could be read; with fewer, it does not hold.
    """

    batch_id: BatchId
    lines: Count
    at: Moment


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one shard.

    :param batch_id: the batch that is, or was, paid for; None while only intended.
    :param adopted: the reply to the POST was never seen; the batch was found and proved.
    :param earlier: batches of the shard that got no answers; they never count as the outcome of a later POST.
    :param answered: requests that were or may have been billed, once collected; 0 means that nothing was, and the
        shard may be sent again.
    :param raw: where the untouched result stream is kept, once it is.
    :param results: where the shard's Parquet is, once it is.
    :param dag_id: with ``task_id`` and ``map_index``, the Airflow task that first asked to submit the shard; empty
        when it was not an Airflow task.
    :param by_status: requests by status, once collected; they add up to ``requests``.
    :param errors: of those, the ones without an answer, by the API's error type or else the status.
    :param examples: a few requests of each kind in ``errors``.
    :param cost_usd: what the batch cost the run that paid for it; None while, or if, it is not known.
    :param known_cost_usd: the known part of a cost that is not fully known; None in records of earlier versions.
    :param betas: beta features that the shard's requests need, sent as a header with its body.
    :param organization_id: whose batch it is; None when the API did not say.
    :param workspace_id: only keys of this workspace see the batch.
    :param accepted: set by a person when results of the batch are lost; None otherwise.
    """

    key: Name
    requests: Count
    bytes: Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
    pipeline: Name = ""
    day: Name = ""
    run: Name = ""
    uri: Reference = ""
    round: Annotated[int, Meta(ge=0, le=1_000)] = 1
    attempts: Annotated[tuple[Attempt, ...], Meta(max_length=10_000)] = ()
    earlier: tuple[BatchId, ...] = ()
    batch_id: BatchId | None = None
    adopted: bool = False
    submitted_at: Moment | None = None
    ended_at: Moment | None = None
    collected_at: Moment | None = None
    answered: Count | None = None
    raw: Reference | None = None
    results: Reference | None = None
    dag_id: Name = ""
    task_id: Name = ""
    map_index: Annotated[int, Meta(ge=-1, le=1_000_000_000)] = -1
    by_status: Counts = {}
    errors: Counts = {}
    examples: Annotated[tuple[Example, ...], Meta(max_length=1_000)] = ()
    cost_usd: Usd | None = None
    known_cost_usd: Usd | None = None
    betas: tuple[Name, ...] = ()
    organization_id: Name | None = None
    workspace_id: Name | None = None
    accepted: AcceptedResults | None = None
    schema_version: Version = SCHEMA_VERSION
    unknown_fields: Fields = msgspec.field(default_factory=dict, name=_NEVER_STORED)

    @property
    def state(self) -> str:
        """``intended``, ``submitted`` or ``collected``."""
        if self.collected_at is not None:
            return "collected"
        return "submitted" if self.batch_id else "intended"

    @property
    def may_have_batch(self) -> bool:
        """True when the shard has a batch, or a POST of it has no known outcome.

        It may be paid for, so no budget prevents the search for its batch: paid answers would be lost otherwise.
        """
        return self.batch_id is not None or bool(self.attempts and self.attempts[-1].outcome == "open")


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which shard a batch belongs to."""

    key: Name
    organization_id: Name | None = None
    workspace_id: Name | None = None
    schema_version: Version = SCHEMA_VERSION
    unknown_fields: Fields = msgspec.field(default_factory=dict, name=_NEVER_STORED)


Record = TypeVar("Record", Entry, Attempt, Owner)


class _Versioned(msgspec.Struct):
    schema_version: Version = 1


class _Attempts(msgspec.Struct):
    attempts: list[Fields] = []


_version = msgspec.json.Decoder(_Versioned).decode
_fields = msgspec.json.Decoder(Fields).decode
_attempts = msgspec.json.Decoder(_Attempts).decode
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Entry, Attempt, Owner)
}


def check_shard_key(key: str) -> str:
    """Return a valid shard key unchanged: it names files.

    :raises LedgerError: it holds characters that a shard key does not have.
    """
    if not _SHARD_KEY.fullmatch(key):
        raise LedgerError(f"invalid shard key {key!r:.140}: a key has 1-128 letters, digits, '_' or '-'")
    return key


def decode(kind: type[Record], data: bytes, name: str) -> Record:
    """Return a stored record.

    :param name: of the file, for the message.
    :raises LedgerError: it is damaged, out of bounds, or of a newer schema version.
    """
    try:
        _check_version(_version(data).schema_version, name)
        record: Record = _decoders[kind].decode(data)
        return _with_unknown_fields(record, data, name)
    except INVALID_JSON as error:
        raise LedgerError(
            f"the ledger entry {name} cannot be read ({str(error)[:300]}). Nothing is sent until a person has "
            "looked at it: restore the file, or remove it after making sure that its batch does not exist."
        ) from None


def encode(record: Entry | Attempt | Owner) -> bytes:
    """Return a record as it is stored, with the fields that this code does not know."""
    return msgspec.json.encode(_to_fields(record))


def _check_version(found: int, name: str) -> None:
    if found > SCHEMA_VERSION:
        raise LedgerError(
            f"the ledger entry {name} has schema version {found}; this version of Nightpress knows up to "
            f"{SCHEMA_VERSION}. Upgrade Nightpress here; nothing is sent.",
            code="newer_schema",
        )


def _with_unknown_fields(record: Record, data: bytes, name: str) -> Record:
    unknown = _find_unknown(type(record), _fields(data))
    if isinstance(record, Entry) and record.attempts:
        attempts = []
        for attempt, fields in zip(record.attempts, _attempts(data).attempts, strict=True):
            _check_version(attempt.schema_version, name)
            attempts.append(msgspec.structs.replace(attempt, unknown_fields=_find_unknown(Attempt, fields)))
        return msgspec.structs.replace(record, attempts=tuple(attempts), unknown_fields=unknown)
    return msgspec.structs.replace(record, unknown_fields=unknown)


def _find_unknown(kind: type[Any], fields: Fields) -> Fields:
    # A stored field called `unknown_fields` is unknown too, since the struct's own is never stored.
    known = set(kind.__struct_fields__) - {"unknown_fields"}
    return {name: msgspec.Raw(bytes(value)) for name, value in fields.items() if name not in known}


def _to_fields(record: Entry | Attempt | Owner) -> Fields | dict[str, Any]:
    values = {name: getattr(record, name) for name in record.__struct_fields__ if name != "unknown_fields"}
    fields = {name: value for name, value in values.items() if value not in (None, "", (), {})}
    if isinstance(record, Entry) and record.attempts:
        fields["attempts"] = [_to_fields(attempt) for attempt in record.attempts]
    return fields | record.unknown_fields
