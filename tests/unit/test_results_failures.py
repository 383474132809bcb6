from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nightpress.batches.ledger import Entry
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.shards.request_keys import custom_id
from tests.support.ended_batches import DAY, EndedBatchApi, EndedShard
from tests.support.result_lines import errored, line, succeeded

pytestmark = pytest.mark.usefixtures("small_buckets")


def half_bad(number: int, name: str) -> bytes:
    if number < 5:
        return errored(name, "api_error")
    return line(name, {"type": "expired"}) if number == 5 else succeeded(name, "SECRET ANSWER")


def entry(ended: EndedShard) -> Entry:
    found = ended.ledger.load(ended.shard.key)
    assert found is not None
    return found


def test_the_ledger_gets_the_outcome_with_three_examples_of_a_kind(tmp_path: Path) -> None:
    ended = EndedShard(tmp_path, 10)
    results = ended.collect(EndedBatchApi(ended.lines(half_bad), total=10))
    known = entry(ended)
    assert known.by_status == results.by_status == {"succeeded": 4, "errored": 5, "expired": 1}
    assert known.errors == {"api_error": 5, "expired": 1}
    assert known.cost_usd == results.cost_usd
    assert [(example.kind, example.custom_id) for example in known.examples] == [
        *(("api_error", custom_id(ended.shard.key, n)) for n in range(3)),
        ("expired", custom_id(ended.shard.key, 5)),
    ]
    assert known.examples[0].message
    assert "SECRET" not in msgspec.json.encode(known).decode()


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    ended = EndedShard(tmp_path, 1)
    said = {
        "type": "errored",
        "error": {"type": "error", "error": {"type": "api_error", "message": "x" * 5000}},
    }
    ended.collect(EndedBatchApi(ended.lines(lambda n, name: line(name, said)), total=1))
    assert [len(example.message) for example in entry(ended).examples] == [200]


def test_who_attaches_leaves_the_numbers_of_who_paid(tmp_path: Path) -> None:
    ended = EndedShard(tmp_path, 10)
    api = EndedBatchApi(ended.lines(half_bad), total=10)
    ended.collect(api)
    paid = entry(ended)
    provenance = Provenance("summaries", "2026-11-23", "msgbatch_1")
    results = collect_batch(ended.shard, ended.root, provenance, api, ended.ledger)
    assert (results.reused, results.cost_usd) == (True, 0.0)
    again = entry(ended)
    assert (again.by_status, again.errors, again.examples, again.cost_usd, again.day) == (
        paid.by_status,
        paid.errors,
        paid.examples,
        paid.cost_usd,
        DAY,
    )


def test_who_attaches_first_tells_the_outcome_and_no_cost(tmp_path: Path) -> None:
    ended = EndedShard(tmp_path, 10)
    api = EndedBatchApi(ended.lines(half_bad), total=10)
    provenance = Provenance("summaries", "2026-11-23", "msgbatch_1")
    collect_batch(ended.shard, ended.root, provenance, api, ended.ledger)
    assert (entry(ended).errors, entry(ended).cost_usd) == ({"api_error": 5, "expired": 1}, None)
    results = ended.collect(api)
    assert entry(ended).cost_usd == results.cost_usd


def test_an_entry_of_before_loads_and_is_written_as_small_as_it_was() -> None:
    old = b'{"key":"k","requests":3,"bytes":9,"batch_id":"msgbatch_1"}'
    loaded = msgspec.json.decode(old, type=Entry)
    assert (loaded.dag_id, loaded.map_index, loaded.errors, loaded.cost_usd) == ("", -1, {}, None)
    assert msgspec.json.encode(loaded) == old
