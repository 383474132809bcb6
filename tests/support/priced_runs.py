"""Runs of the core against an offline API, from articles to their cost; without Airflow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
from upath import UPath

from nightpress.articles.article import Article
from nightpress.batches.client import MessageBatches
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.model_api import SdkModelApi
from nightpress.batches.submission import Body, submit_shard
from nightpress.batches.submission_records import Submitted
from nightpress.costs.plan import Limits, Plan
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance, ShardResults
from nightpress.runs.preparation import Prepared, prepare_run
from nightpress.runs.run import Reuse, Run
from nightpress.settings import ShardLimits
from nightpress.shards.requests import RequestTemplate
from tests.support.offline_api_server import LocalApiServer

DAY = "2026-11-22"


class TextSource:
    """Texts as a source of articles."""

    shown = "texts"
    limit: int | None = None

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def iter_rows(self, day: str, stats: object) -> Any:
        for number, text in enumerate(self.texts):
            yield Article(
                article_id=f"id-{number}", title="", content=text, metadata={}, file="texts", position=number
            )


@dataclass(frozen=True, slots=True)
class Priced:
    """The planned and the actual cost of a run.

    :param billed_usd: the cost of its batches by the offline API's own meter.
    """

    plan: Plan
    results: list[ShardResults]
    billed_usd: float

    @property
    def paid_usd(self) -> float:
        """What the shards' results say; an amount that is not known fails the test."""
        costs = [result.cost_usd for result in self.results]
        assert None not in costs
        return sum(cost or 0.0 for cost in costs)


class PricedRuns:
    """Plans, submits and collects, one run after the other."""

    def __init__(self, server: LocalApiServer, root: Path) -> None:
        self.client = anthropic.Anthropic(api_key="k", base_url=server.base_url, max_retries=0)
        self.server, self.root = server, DataRoot(UPath(root))
        self.api = MessageBatches(self.client)
        self.models = SdkModelApi(self.client, "offline")
        self.ledger = Ledger(self.root.ledger(), self.api.scope)
        self._runs = 0

    def prepare(
        self, texts: list[str], template: RequestTemplate, pipeline: str = "p", **options: Any
    ) -> Prepared:
        self._runs += 1
        run = Run(pipeline, DAY, f"run-{self._runs}", self.root, self.ledger)
        values: dict[str, Any] = {"limits": Limits(), "model_api": self.models} | options
        return prepare_run(
            run,
            TextSource(texts),  # type: ignore[arg-type]
            template,
            shard_limits=ShardLimits(),
            max_rejected_share=0.0,
            reuse=Reuse(fresh=True),
            **values,
        )

    def price(self, texts: list[str], template: RequestTemplate, pipeline: str = "p") -> Priced:
        prepared = self.prepare(texts, template, pipeline)
        results = [self._send(shard, pipeline) for shard in prepared.shards]
        bills = self.server.billing()["by_batch"]
        billed = sum(float(bills[result.batch_id]["bill"]["cost_usd"]) for result in results)
        return Priced(prepared.plan, results, billed)

    def _send(self, shard: Any, pipeline: str) -> ShardResults:
        body = self.root.open(shard.uri)
        intent = Entry(
            key=shard.key,
            requests=shard.articles,
            bytes=shard.bytes,
            pipeline=pipeline,
            day=DAY,
            uri=shard.uri,
            betas=shard.betas,
        )
        submitted = submit_shard(intent, Body(body, shard.bytes), self.api, self.ledger, time.time)
        assert isinstance(submitted, Submitted)
        while not self.api.retrieve(submitted.batch_id).ended:
            time.sleep(0.02)
        provenance = Provenance(pipeline, DAY, submitted.batch_id)
        return collect_batch(shard, self.root, provenance, self.api, self.ledger)
