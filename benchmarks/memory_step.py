"""One step of ``benchmarks.memory``, in a separate process."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import anthropic
from upath import UPath

from benchmarks.contest import peak_mb
from nightpress.articles.reader import iter_articles
from nightpress.batches.client import MessageBatches
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.submission import Body, submit_shard
from nightpress.batches.submission_records import Submitted
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.writer import write_shards
from tests.support.prompts import SUMMARY_PROMPT


def main() -> None:
    """Run the step and print its memory."""
    step, place, base_url = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    api = MessageBatches(anthropic.Anthropic(api_key="bench", base_url=base_url))
    ledger = Ledger(UPath(place / "ledger"), api.scope)
    base = peak_mb()
    if step == "read":
        template = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate(SUMMARY_PROMPT, 2_000))
        report = write_shards(
            iter_articles(UPath(place / "in.jsonl")), UPath(place / "run"), template, limits=ShardLimits()
        )
        (place / "shards.json").write_text(json.dumps([shard.to_reference() for shard in report.shards]))
    for reference in json.loads((place / "shards.json").read_text()):
        shard = Shard.from_reference(reference)
        if step == "submit":
            _submit(shard, api, ledger)
        elif step == "write":
            entry = ledger.load(shard.key)
            assert entry is not None
            assert entry.batch_id is not None
            collect_batch(shard, DataRoot(UPath(place)), Provenance("", "", entry.batch_id), api, ledger)
    print(json.dumps({"base": base, "peak": peak_mb()}))


def _submit(shard: Shard, api: MessageBatches, ledger: Ledger) -> None:
    intent = Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes)
    outcome = submit_shard(intent, Body(UPath(shard.uri), shard.bytes), api, ledger, time.time)
    assert isinstance(outcome, Submitted)


if __name__ == "__main__":
    main()
