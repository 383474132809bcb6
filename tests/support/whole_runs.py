"""Whole runs of the core, from articles to the published day, with result lines made by hand; no server, no Airflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel
from upath import UPath

from nightpress.articles.article import Article
from nightpress.batches.ledger import Entry, Ledger
from nightpress.costs.plan import Limits, Plan
from nightpress.costs.receipt import DayReceipt
from nightpress.costs.receipt_files import read_receipt
from nightpress.days.publish import Replacing
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.runs.failed_articles import collect_failures
from nightpress.runs.preparation import prepare_run
from nightpress.runs.publication import Publication, RunResults, publish_run
from nightpress.runs.run import Reuse, Run
from nightpress.settings import ShardLimits
from nightpress.shards.request_keys import custom_id
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from tests.support.ended_batches import DAY, TEMPLATE, EndedBatchApi
from tests.support.result_lines import succeeded

PIPELINE = "p"
Outcome = Callable[[int, str, int], bytes]
"""Makes the result line of a request from its number in the shard, its custom_id and the round."""


def answered(number: int, custom_id: str, _round: int) -> bytes:
    """Answer every request."""
    return succeeded(custom_id, f"answer {number}")


class Rows:
    """Rows as a source: ``id``, ``title`` and ``content`` if given, all else is metadata."""

    shown = "rows"
    limit: int | None = None

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows

    def iter_rows(self, _day: str, _stats: object) -> Any:
        for number, given in enumerate(self.rows):
            row = {"id": f"id-{number}", "title": "", "content": f"text {number}"} | dict(given)
            article_id, title, content = (row.pop(name) for name in ("id", "title", "content"))
            yield Article(article_id, title, content, row, "rows", number)


class WholeRuns:
    """A data root in which runs publish days.

    :param folder: the data root.
    """

    def __init__(self, folder: Path) -> None:
        self.root = DataRoot(UPath(folder))
        self.ledger = Ledger(self.root.ledger(), "api")
        self.finished: dict[str, tuple[Run, RunResults, Plan]] = {}

    def publish(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]],
        outcome: Outcome = answered,
        *,
        day: str = DAY,
        template: RequestTemplate = TEMPLATE,
        reuse: Reuse | None = None,
        model: type[BaseModel] | None = None,
        replacing: Replacing | None = None,
    ) -> Publication:
        """Run a pipeline with both rounds, and publish its day."""
        run = Run(PIPELINE, day, name, self.root, self.ledger)
        prepared = prepare_run(
            run,
            Rows(rows),  # type: ignore[arg-type]
            template,
            shard_limits=ShardLimits(),
            max_rejected_share=0.0,
            reuse=reuse or Reuse(),
            limits=Limits(),
        )
        first = [self._collect(shard, run, outcome, model) for shard in prepared.shards]
        again = collect_failures(prepared.shards, first, prepared.plan, self.ledger, self.root, ShardLimits())
        results = RunResults(first, [self._collect(shard, run, outcome, model) for shard in again.shards])
        self.finished[name] = (run, results, prepared.plan)
        return self.publish_again(name, replacing)

    def publish_again(self, name: str, replacing: Replacing | None = None) -> Publication:
        """Publish what a run was answered, as when its last task is cleared."""
        run, results, plan = self.finished[name]
        return publish_run(run, results, plan, time.time, dag_id="dag", replacing=replacing)

    def _collect(
        self, shard: Shard, run: Run, outcome: Outcome, model: type[BaseModel] | None
    ) -> dict[str, Any]:
        entry = self.ledger.load(shard.key) or Entry(
            key=shard.key,
            requests=shard.articles,
            bytes=shard.bytes,
            pipeline=run.pipeline,
            day=run.day,
            uri=shard.uri,
            run=run.run_id,
            round=shard.round,
            batch_id=f"msgbatch_{run.run_id}_{shard.name}",
            submitted_at=datetime.now(UTC),
        )
        self.ledger.save(entry)
        lines = b"".join(outcome(n, custom_id(shard.key, n), shard.round) for n in range(shard.articles))
        provenance = Provenance(run.pipeline, run.day, str(entry.batch_id))
        api = EndedBatchApi(lines, total=shard.articles)
        results = collect_batch(
            shard, self.root, provenance, api, self.ledger, model=model, sleep=lambda _: None
        )
        return asdict(results)

    def rows(self, day: str = DAY) -> pa.Table:
        """Return the published rows of a day."""
        return pq.read_table(self.root.answers(PIPELINE, day).path, partitioning=None)

    def receipt(self, day: str = DAY) -> DayReceipt:
        """Return the receipt of a day."""
        receipt = read_receipt(self.root.receipt(PIPELINE, day))
        assert receipt is not None
        return receipt
