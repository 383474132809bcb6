"""The fuzzed readers: each reads foreign data, and may fail only with an error of ours."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from upath import UPath

from message_batches.page.overview_json import describe_page
from nightpress.articles.article import Article
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import FORMATS, LINE_BREAKS, QUOTING, ReadOptions
from nightpress.batches.batch import decode_batch, decode_page
from nightpress.batches.ledger import Ledger
from nightpress.batches.model_api import SdkModelApi
from nightpress.costs.plan import plan_values
from nightpress.costs.receipt import BatchReceipt, make_receipt
from nightpress.costs.receipt_files import receipt_values
from nightpress.layout import DataRoot
from nightpress.overview import Overview, Query
from nightpress.results.answer_columns import to_columns
from nightpress.results.decode import StreamReport, iter_blocks
from nightpress.shards.request_keys import custom_id
from tests.support.hostile_sources import HOSTILE
from tests.support.ledgers import NOW, entry, put
from tests.support.plans import make_plan
from tests.support.result_lines import errored, line, succeeded
from tests.support.source_kinds import READ, REFUSED, WITH_SETTING

_KEY = "0123456789abcdef" * 4
_LONGEST = 100_000


@dataclass(frozen=True)
class Target:
    """One reader.

    :param corpus: the inputs to damage: names (file names, where they matter) and bytes.
    :param run: reads damaged bytes; raises an error of ours, or AssertionError if the values read are wrong.
    """

    name: str
    corpus: list[tuple[str, bytes]]
    run: Callable[[str, bytes, random.Random], None]


def make_targets() -> list[Target]:
    """Return all targets; the corpora are written by the tools that people use."""
    return [
        Target("reader", _sources(), _read_source),
        Target("results", _results(), _decode_results),
        Target("api", _replies(), _read_reply),
        Target("ledger", _entries(), _read_ledger),
        Target("overview", _stored(), _answer_page),
    ]


def _sources() -> list[tuple[str, bytes]]:
    found: dict[tuple[str, bytes], None] = {}
    for kind in (*READ, *WITH_SETTING, *REFUSED):
        with tempfile.TemporaryDirectory() as folder:
            place = kind.write(Path(folder))
            files = (
                sorted(path for path in Path(folder).rglob("*") if path.is_file())
                if place.is_dir()
                else [place]
            )
            found.update({(path.name, path.read_bytes()): None for path in files[:3]})
    found.update({(name.replace(" ", "-"), text.encode()[:20_000]): None for name, text in HOSTILE.items()})
    return list(found)


def _read_source(name: str, data: bytes, draw: random.Random) -> None:
    options: dict[str, Any] = {}
    if draw.random() < 0.2:
        options[draw.choice(("format", "quoting", "line_break", "record_path", "unfinished_line"))] = None
    choices = {
        "format": FORMATS,
        "quoting": QUOTING,
        "line_break": LINE_BREAKS,
        "record_path": ("a.b", "article"),
    }
    given: dict[str, Any] = {key: draw.choice(choices.get(key, (True,))) for key in options}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        rows = iter_articles(UPath(path), options=ReadOptions(**given))
        for number, row in enumerate(rows):
            if isinstance(row, Article):
                assert row.content.strip()
                assert row.article_id
                for text in (row.article_id, row.title, row.content, *row.metadata):
                    assert "\x00" not in text
                    text.encode()
            if number > _LONGEST:
                break


def _results() -> list[tuple[str, bytes]]:
    names = [custom_id(_KEY, number) for number in range(4)]
    typed = succeeded(names[1], '{"severity": "high", "score": 1.5}', stop_reason="max_tokens")
    good = [succeeded(names[0]), typed, errored(names[2]), line(names[3], {"type": "expired"})]
    return [("all", b"".join(good)), *(("one", part) for part in good)]


def _decode_results(_name: str, data: bytes, draw: random.Random) -> None:
    report = StreamReport()
    # A stream arrives in blocks of megabytes, which may end anywhere.
    ends = sorted(draw.choices(range(len(data) + 1), k=draw.randrange(4)))
    blocks = [data[start:end] for start, end in pairwise((0, *ends, len(data)))]
    for block in iter_blocks(blocks, _KEY, 4, report):
        rows = 0
        for ordinals, columns in to_columns(block.ordinals, block.outcomes):
            columns.validate(full=True)
            assert len(ordinals) == columns.num_rows
            assert all(0 <= ordinal < 4 for ordinal in ordinals.tolist())
            rows += columns.num_rows
        assert rows == len(block.ordinals)


_BATCH: dict[str, Any] = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-11-22T03:00:00.123456Z",
    "expires_at": "2026-11-23T03:00:00Z",
    "ended_at": None,
    "archived_at": None,
    "cancel_initiated_at": None,
    "results_url": None,
}


def _replies() -> list[tuple[str, bytes]]:
    model = {
        "id": "claude-haiku-4-5",
        "type": "model",
        "display_name": "Haiku",
        "created_at": "2026-01-01T00:00:00Z",
    }
    page = {"data": [_BATCH, {**_BATCH, "id": "msgbatch_2"}], "has_more": True, "last_id": "msgbatch_2"}
    return [
        ("batch", json.dumps(_BATCH).encode()),
        ("page", json.dumps(page).encode()),
        ("models", json.dumps({"data": [model, {**model, "max_tokens": 64000}], "has_more": False}).encode()),
        ("tokens", b'{"input_tokens": 12}'),
    ]


def _read_reply(name: str, data: bytes, _draw: random.Random) -> None:
    response = SimpleNamespace(content=data)
    client = SimpleNamespace(get=lambda *_, **__: response, post=lambda *_, **__: response)
    client.with_options = lambda **_: client
    api = SdkModelApi(cast(Any, client), "offline")
    if name == "batch":
        batch = decode_batch(data)
        assert batch.request_counts.total >= 0
    elif name == "page":
        decode_page(data)
    elif name == "models":
        api.list_models()
    else:
        count = api.count_tokens(b'{"model": "m", "messages": []}')
        assert count is None or count >= 0


def _entries() -> list[tuple[str, bytes]]:
    states = ("intended", "posting", "lost", "submitted", "ended", "collected")
    return [(state, msgspec.json.encode(entry(number, state))) for number, state in enumerate(states)]


def _read_ledger(_name: str, data: bytes, draw: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = UPath(folder)
        put(root, entry(1), entry(2, "lost"))
        key = f"{draw.randrange(3):064x}"
        (Path(folder) / "ledger" / "offline" / f"{key}.json").write_bytes(data)
        ledger = Ledger(root / "ledger", "offline")
        found = dict(ledger.scan())
        assert f"{1:064x}" in found
        assert f"{2:064x}" in found
        ledger.count_attempts()
        ledger.load(key)


def _stored() -> list[tuple[str, bytes]]:
    receipt = make_receipt(
        [BatchReceipt(batch_id="msgbatch_1", shard_key="a", paid_usd=0.5)],
        pipeline="summaries",
        day="2026-11-22",
        run="night",
        offline=True,
        wasted_usd=None,
        published_at=datetime(2026, 11, 23, 2, tzinfo=UTC),
        numbers={"failed": {"expired": 7}, "articles": 10, "reused": 0},
    )
    return [
        *(("entry", data) for _, data in _entries()),
        ("plan", json.dumps(plan_values(make_plan(run="night"))).encode()),
        ("receipt", msgspec.json.encode(receipt_values(receipt))),
    ]


def _answer_page(name: str, data: bytes, draw: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = UPath(folder)
        layout = DataRoot(root)
        run = layout.run_folder("summaries", "2026-11-22", "night")
        put(
            root,
            entry(1, uri=f"{run}/requests-00000.json"),
            entry(2, "lost"),
            entry(3, "submitted", run="other"),
        )
        if name == "plan":
            target = Path(str(run)) / "plan.json"
        elif name == "receipt":
            target = Path(str(layout.receipt("summaries", "2026-11-22")))
        else:
            target = Path(folder) / "ledger" / "offline" / f"{draw.randrange(5):064x}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        answer = Overview(layout, lambda: NOW, fresh_seconds=0).answer(Query(), lambda *_: True)
        json.dumps(describe_page(answer, NOW, {}))
        assert answer.runs
