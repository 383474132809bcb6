"""Days driven step by step against an offline API, as Airflow's tasks would, and what its meter billed for them."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.parquet as pq

from nightpress.batches.submission_records import Wait
from nightpress.costs.plan import Limits, Plan
from nightpress.costs.receipt import DayReceipt
from nightpress.costs.receipt_files import read_receipt
from nightpress.days.publish import Replacing
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.runs.failed_articles import Resend, collect_failures
from nightpress.runs.preparation import prepare_run
from nightpress.runs.publication import Publication, order_results, publish_run
from nightpress.runs.run import Reuse, Run
from nightpress.runs.shard_submission import Sender, send_shard
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from tests.support.priced_runs import DAY, PricedRuns, TextSource

TEMPLATE = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("Sum it up.\n{content}"))


_numbers = itertools.count(1)


def unique(name: str) -> str:
    """Return a name for a pipeline, and for its articles, that no other test has."""
    return f"{name}_{next(_numbers)}"


def texts(mark: str, count: int) -> list[str]:
    """Return the texts of articles that no other test has."""
    return [f"{mark} {number}: the council met on Monday and approved a bridge." for number in range(count)]


@dataclass
class DrivenRun:
    """One run of a day; each method is a task, and may be called again as after a clear."""

    runs: PricedRuns
    pipeline: str
    run_id: str = "run-1"
    day: str = DAY
    template: RequestTemplate = TEMPLATE
    reuse: Reuse = field(default_factory=Reuse)
    limits: Limits = field(default_factory=Limits)
    max_requests: int = 1_000
    shards: Sequence[Shard] = ()
    plan: Plan | None = None

    @property
    def run(self) -> Run:
        """The run's identity."""
        return Run(self.pipeline, self.day, self.run_id, self.runs.root, self.runs.ledger)

    def read(self, articles: list[str]) -> Sequence[Shard]:
        """Read the articles and plan the run."""
        prepared = prepare_run(
            self.run,
            TextSource(articles),  # type: ignore[arg-type]
            self.template,
            shard_limits=ShardLimits(max_requests=self.max_requests),
            max_rejected_share=0.0,
            reuse=self.reuse,
            limits=self.limits,
        )
        self.shards, self.plan = prepared.shards, prepared.plan
        return prepared.shards

    def submit(self, shard: Shard) -> str:
        """Submit a shard, and wait as long as it asks for on the server's clock; return its batch."""
        sender, runs = Sender(self.pipeline, self.run_id), self.runs
        for _ in range(20):
            outcome = send_shard(shard, sender, runs.api, runs.ledger, runs.root, time.time)
            if not isinstance(outcome, Wait):
                return outcome.batch_id
            runs.server.advance_clock(max(outcome.until - time.time(), 1.0))
        raise AssertionError("still waiting")

    def write(self, shard: Shard, batch_id: str) -> dict[str, Any]:
        """Wait for a shard's batch and write its results."""
        while not self.runs.api.retrieve(batch_id).ended:
            time.sleep(0.02)
        provenance = Provenance(self.pipeline, self.day, batch_id)
        return asdict(collect_batch(shard, self.runs.root, provenance, self.runs.api, self.runs.ledger))

    def send(self, shards: Sequence[Shard]) -> list[dict[str, Any]]:
        """Submit, wait and write each shard."""
        return [self.write(shard, self.submit(shard)) for shard in shards]

    def collect(self, results: list[dict[str, Any]]) -> Resend:
        """Choose what is sent again."""
        return collect_failures(
            self.shards, results, self.plan, self.runs.ledger, self.runs.root, ShardLimits()
        )

    def publish(
        self, first: list[dict[str, Any]], again: Resend | None = None, second: Sequence[dict[str, Any]] = ()
    ) -> Publication:
        """Publish the day."""
        references = [shard.to_reference() for shard in self.shards]
        second_references = [shard.to_reference() for shard in (again.shards if again else [])]
        ordered = order_results(self.run, references, first, second_references, second)
        return publish_run(
            self.run, ordered, self.plan, time.time, replacing=Replacing(min_answered_share=0.0)
        )

    def whole(self, articles: list[str]) -> Publication:
        """Run all tasks, one after the other."""
        first = self.send(self.read(articles))
        again = self.collect(first)
        return self.publish(first, again, self.send(again.shards))

    def receipt(self) -> DayReceipt:
        """Return the day's receipt."""
        found = read_receipt(self.runs.root.receipt(self.pipeline, self.day))
        assert found is not None
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return the published rows."""
        found: list[dict[str, Any]] = pq.read_table(
            self.runs.root.answers(self.pipeline, self.day).path
        ).to_pylist()
        return found


@dataclass(frozen=True, slots=True)
class Books:
    """What the API billed since :meth:`open`.

    :param before: batches that were there then.
    """

    runs: PricedRuns
    before: frozenset[str]

    @classmethod
    def open(cls, runs: PricedRuns) -> Books:
        """Begin to count."""
        return cls(runs, frozenset(runs.server.billing()["by_batch"]))

    @property
    def batches(self) -> dict[str, float]:
        """USD by batch."""
        rows = self.runs.server.billing()["by_batch"].items()
        return {name: float(row["bill"]["cost_usd"]) for name, row in rows if name not in self.before}

    @property
    def billed_usd(self) -> float:
        """USD in all."""
        return sum(self.batches.values())

    def answers(self) -> Counter[str]:
        """Return how many whole answers the API gave to each request; the repair of an answer is another one."""
        found: Counter[str] = Counter()
        server = self.runs.server
        for batch_id in self.batches:
            body = server.get(f"/local/batches/{batch_id}/requests")
            sent = {each["custom_id"]: json.dumps(each["params"]["messages"]) for each in body["requests"]}
            stream = server.get(f"/v1/messages/batches/{batch_id}/results")
            lines = [stream] if isinstance(stream, dict) else map(json.loads, stream.splitlines())
            for line in lines:
                message = line["result"].get("message")
                if message and message["stop_reason"] == "end_turn":
                    found[sent[line["custom_id"]]] += 1
        return found

    def paid_twice(self) -> list[str]:
        """Return the requests that were answered more than once."""
        return [request for request, count in self.answers().items() if count > 1]
