"""One shard with its ledger, an API in memory and a clock, and a way to submit it repeatedly."""

from __future__ import annotations

from pathlib import Path

from upath import UPath

from nightpress.articles.article import Article
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.submission import Body, submit_shard
from nightpress.batches.submission_records import Submitted, Wait
from nightpress.batches.unknown_outcome import UNKNOWN_RECHECK_SECONDS
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.writer import write_shards
from tests.support.model_api import Clock, ModelApi

TEMPLATE = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("{content}"))


class ShardSender:
    """One shard, its ledger and an API, and a way to submit."""

    def __init__(self, folder: Path, articles: int = 3) -> None:
        self.folder = folder
        rows = [Article(str(n), "", f"text {n}", {}, "f", n) for n in range(articles)]
        (self.shard,) = write_shards(rows, UPath(folder / "run"), TEMPLATE, limits=ShardLimits()).shards
        self.clock = Clock()
        self.api = ModelApi(self.clock)
        self.ledger = Ledger(UPath(folder / "ledger"), self.api.scope)

    def submit(self, shard: Shard | None = None) -> Submitted | Wait:
        shard = shard or self.shard
        intent = Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes)
        body = Body(UPath(shard.uri), shard.bytes)
        return submit_shard(intent, body, self.api, self.ledger, self.clock)

    def submit_when_told(self) -> Submitted:
        """Submit again whenever told to, until there is a batch."""
        while isinstance(outcome := self.submit(), Wait):
            assert 0 < outcome.until - self.clock() <= UNKNOWN_RECHECK_SECONDS
            self.clock.now = outcome.until
        return outcome

    def entry(self) -> Entry:
        entry = self.ledger.load(self.shard.key)
        assert entry is not None
        return entry
