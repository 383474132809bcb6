"""The invariants that must hold at the end of a run, whatever happened during it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from upath import UPath

from nightpress.batches.ledger import Entry, Ledger
from nightpress.errors import LedgerError
from tests.support.offline_api_server import LocalApiServer

_CENT = 0.01
_EXACT = 1e-9
_LAST_BATCHES_SECONDS = 26 * 3600.0


@dataclass(frozen=True, slots=True)
class Source:
    """Articles that can be recognised by their text.

    :param mark: occurs in the text of every article of this case, and in no other case's.
    """

    mark: str
    articles: int

    def rows(self) -> list[dict[str, str]]:
        return [
            {
                "id": f"{self.mark}-{n}",
                "title": f"t{n}",
                "content": f"{self.name(n)} says so. And so on. End.",
            }
            for n in range(self.articles)
        ]

    def name(self, number: int) -> str:
        return f"{self.mark} #{number}#"


@dataclass(slots=True)
class Books:
    """The data that the audit compares.

    :param receipts: of every run that ended, as ``asdict(DayReceipt)``.
    :param damaged: lines of result streams were made unreadable, so their cost cannot be known.
    :param given_up: the run stopped for a person, as documented after this many lost POSTs.
    :param notes: receives known findings that do not count as failures.
    :param unanswered: some requests may have no answer, because a fault took it.
    """

    server: LocalApiServer
    root: Path
    pipeline: str
    day: str
    source: Source
    receipts: Sequence[Mapping[str, Any]]
    damaged: bool = False
    unanswered: bool = False
    given_up: bool = False
    notes: list[str] = field(default_factory=list)
    meter: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)


def audit(books: Books) -> list[str]:
    """Return what is wrong; empty when every invariant holds."""
    books.server.advance_clock(_LAST_BATCHES_SECONDS)
    books.meter = books.server.billing()["by_batch"]
    ledger = Ledger(UPath(f"file://{books.root}") / "ledger", "offline")
    try:
        books.entries = {entry.key: entry for entry in ledger.entries()}
    except LedgerError as error:
        return [f"the ledger cannot be read: {error}"]
    if books.given_up:
        return [*_check_owners(books, ledger)]
    return [
        *_check_owners(books, ledger),
        *_check_articles(books),
        *_check_receipts(books),
        *_check_rows(books),
        *_check_files(books),
    ]


def _check_owners(books: Books, ledger: Ledger) -> Iterator[str]:
    paid: dict[str, str] = {}
    for batch_id, row in books.meter.items():
        body = books.server.get(f"/local/batches/{batch_id}/requests")
        prefixes = {request["custom_id"].rpartition("-")[0] for request in body["requests"]}
        if len(prefixes) != 1:
            yield f"batch {batch_id} has requests of {len(prefixes)} shards"
            continue
        (prefix,) = prefixes
        if row["succeeded"]:
            if prefix in paid:
                yield f"PAID TWICE: shard {prefix} by {paid[prefix]} and {batch_id}"
            paid[prefix] = batch_id
        owner = ledger.owner(batch_id)
        if owner is None or owner[: len(prefix)] != prefix:
            yield f"batch {batch_id} of shard {prefix} is owned by {owner}"
        elif row["succeeded"] and (owner not in books.entries or books.entries[owner].batch_id != batch_id):
            yield f"batch {batch_id} is not the one that shard {prefix} has in the ledger"


def _check_articles(books: Books) -> Iterator[str]:
    """No article has two answers at the API, not even in two shards, unless its result was damaged in transit."""
    if books.damaged:
        return
    books.server.request("DELETE", "/local/faults")
    answers: Counter[str] = Counter()
    for batch_id, row in books.meter.items():
        if not row["succeeded"]:
            continue
        body = books.server.get(f"/local/batches/{batch_id}/requests")
        texts = {
            request["custom_id"]: request["params"]["messages"][0]["content"] for request in body["requests"]
        }
        stream = books.server.get(f"/v1/messages/batches/{batch_id}/results")
        lines = [stream] if isinstance(stream, dict) else map(json.loads, stream.splitlines())
        answers.update(texts[line["custom_id"]] for line in lines if _is_answer(line["result"]))
    twice = [number for number in answers.values() if number > 1]
    if twice:
        yield f"PAID TWICE: {len(twice)} articles have up to {max(twice)} answers at the API"


def _check_receipts(books: Books) -> Iterator[str]:
    listed = {
        batch["batch_id"]: batch
        for receipt in books.receipts
        for batch in receipt["batches"]
        if not batch["reused"]
    }
    for batch_id, row in books.meter.items():
        billed = price(row)
        if batch_id not in listed:
            if billed:
                yield f"batch {batch_id} was billed ${billed:.6f} and is on no receipt"
            continue
        said = listed[batch_id]["paid_usd"]
        if said is None:  # an unreadable line, whose cost is not known
            said = listed[batch_id]["known_paid_usd"]
        unread = books.damaged and listed[batch_id]["by_status"].get("missing", 0)
        if abs(said - billed) > _EXACT and not (unread and said < billed):
            yield f"batch {batch_id} was billed ${billed:.6f}, the receipt says ${said:.6f}"
    for batch_id in listed.keys() - books.meter.keys():
        yield f"batch {batch_id} is on a receipt and not at the API"
    for receipt in books.receipts:
        total = sum(batch["known_paid_usd"] for batch in receipt["batches"])
        if abs(total - receipt["known_paid_usd"]) > _CENT / 2:
            yield f"the receipt of {receipt['run']} does not add up"


def _is_answer(result: Mapping[str, Any]) -> bool:
    """Return whether a request has its answer; one cut off may be sent again, with more output tokens."""
    if result["type"] != "succeeded":
        return False
    message = result["message"]
    whole = message["stop_reason"] in {"end_turn", "stop_sequence"}
    return whole and any(block["type"] == "text" for block in message["content"])


def price(row: Mapping[str, Any]) -> float:
    """Return the cost of a batch in USD, by the offline API's own meter."""
    return float(row["bill"]["cost_usd"])


def published(root: Path, pipeline: str, day: str) -> Path:
    return root / pipeline / f"day={day}" / "answers.parquet"


def check_plan(books: Books, upper_usd: float) -> Iterator[str]:
    """Report when more was billed than the plan's upper bound.

    :param upper_usd: the highest upper bound of all plans of the day; later plans are lower.
    """
    billed = sum(price(row) for row in books.meter.values())
    if billed > upper_usd + _EXACT:
        yield f"${billed:.6f} was billed, more than the plan's upper bound of ${upper_usd:.6f}"


def _check_rows(books: Books) -> Iterator[str]:
    path = published(books.root, books.pipeline, books.day)
    if not path.exists():
        yield "the day was not published"
        return
    rows = pq.read_table(path).to_pylist()
    wanted = [row["id"] for row in books.source.rows()]
    if [row["article_id"] for row in rows] != wanted:
        yield f"{len(rows)} rows for {len(wanted)} articles, or in another order"
        return
    for number, row in enumerate(rows):
        if row["status"] == "succeeded":
            if not row["text"].startswith(books.source.name(number) + " says"):
                yield f"row {number} has the answer of another article: {row['text'][:60]}"
        elif not books.unanswered:
            yield f"row {number} is {row['status']}, though nothing kept it from being answered"
        if row["status"] == "succeeded" and row["batch_id"] not in books.meter:
            yield f"row {number} names batch {row['batch_id']}, which is not at the API"


def _check_files(books: Books) -> Iterator[str]:
    for path in _visible(books.root):
        if path.suffix == ".aside":
            yield f"half a file has a name: {path.relative_to(books.root)}"
    folder = published(books.root, books.pipeline, books.day).parent
    strangers = [path.name for path in _visible(folder) if path.name != "answers.parquet"]
    if strangers:
        yield f"beside the published day: {strangers}"


def _visible(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
