"""Any articles in, the same articles out: shards, custom ids and rows find each other."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from nightpress.articles.article import Article, Rejected
from nightpress.articles.reader import iter_articles
from nightpress.batches.ledger import Entry, Ledger
from nightpress.days.publish import DayParts, publish_day
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.settings import ShardLimits
from nightpress.shards.kept_bodies import read_body
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.writer import write_shards
from tests.support.ended_batches import EndedBatchApi
from tests.support.result_lines import succeeded

pytestmark = pytest.mark.usefixtures("small_buckets")

TEMPLATE = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("{content}"))
DAY = "2026-11-22"

# Surrogates are legal in JSON; the reader replaces them, so they are part of what may come.
texts = st.text(st.characters(), max_size=30)
rows = st.fixed_dictionaries(
    {"id": texts | st.integers(), "content": texts, "tag": texts | st.none() | st.integers()}
)


@settings(max_examples=25)
@given(source=st.lists(rows, max_size=20), per_shard=st.integers(1, 6), seed=st.integers(0, 99))
def test_any_article_gets_its_own_answer_in_its_own_row(
    source: list[dict[str, object]], per_shard: int, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in source))
        read = list(iter_articles(UPath(folder / "in.jsonl")))
        articles = [row for row in read if isinstance(row, Article)]
        rejected = [row for row in read if isinstance(row, Rejected)]
        assert len(articles) + len(rejected) == len(source)
        report = write_shards(
            read, UPath(folder / "run"), TEMPLATE, limits=ShardLimits(max_requests=per_shard)
        )
        root = DataRoot(UPath(folder))
        ledger = Ledger(root.ledger(), "api")
        results = []
        for shard in report.shards:
            requests = json.loads(read_body(UPath(shard.uri)))["requests"]
            # The answer to a request is its own text.
            lines = [
                succeeded(request["custom_id"], request["params"]["messages"][0]["content"])
                for request in requests
            ]
            random.Random(seed).shuffle(lines)
            ledger.intend(
                Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes, pipeline="p", day=DAY)
            )
            api = EndedBatchApi(b"".join(lines), total=len(lines))
            collected = collect_batch(shard, root, Provenance("p", DAY, "msgbatch_1"), api, ledger)
            results.append(root.open(collected.uri))
        summary = publish_day(root, "p", DAY, DayParts(results, UPath(folder / "run" / "rejected.parquet")))
        target = root.answers("p", DAY)
        published = pq.read_table(target.path).to_pylist()
    assert [(row["article_id"], row["text"]) for row in published] == [
        (article.article_id, article.content) for article in articles
    ]
    assert (summary.articles, summary.rejected) == (len(articles), len(rejected))
