"""One run of a pipeline without Airflow: the functions that the operators call, in the same order.

Tasks are retried, remembered when they are done (as Airflow does by XCom) and interleaved; their
waiting time passes on a clock that the offline API shares.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import anthropic
import msgspec
from upath import UPath

from nightpress.articles.reader import find_files
from nightpress.articles.reading_options import FieldMap
from nightpress.batches.batch import Batch
from nightpress.batches.client import MessageBatches
from nightpress.batches.ledger import Ledger
from nightpress.batches.model_api import SdkModelApi
from nightpress.batches.polling import BatchWait, Look
from nightpress.batches.submission_records import Wait
from nightpress.costs.plan import Limits, Plan, plan_values, read_plan
from nightpress.costs.receipt_files import read_receipt
from nightpress.errors import (
    RETRY_CANNOT_HELP,
    AccountTroubleError,
    RequestRefusedError,
    ResultsError,
)
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.runs.failed_articles import collect_failures
from nightpress.runs.preparation import prepare_run
from nightpress.runs.publication import check_second_round, order_results, publish_run
from nightpress.runs.run import Reuse, Run, Source
from nightpress.runs.shard_submission import Sender, send_shard
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.storage import StoragePath
from tests.chaos.scenarios import PLAIN, Asked
from tests.chaos.steps import CountedTransport, Steps

RETRIES = 5
POLL_SECONDS = 300.0
MAX_REQUESTS_IN_FLIGHT = 1_000
SYSTEM = "Follow the style guide of the newsroom. " * 100

HTTP_SECONDS = 1.0
"""Real time after which a request times out; only ``hang`` faults take longer."""

LONGEST_SECONDS = 30 * 24 * 3600.0
"""Time on the shared clock after which a run counts as stuck."""

_replace, _sleep = os.replace, time.sleep

Task = Generator[float, None, Any]


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a run.

    :param run: run id; a second start with the same id continues the run.
    :param remembers: False repeats every task after a kill, as after "clear all".
    :param order: seed for the order in which the shards' tasks take turns.
    :param die_at: see :class:`Steps`.
    :param pause: real seconds that the API gets to finish its work before time passes.
    :param delay: real seconds before the start.
    """

    root: str
    source: str
    base_url: str
    run: str
    pipeline: str
    day: str
    max_requests: int
    remembers: bool
    order: int
    die_at: int | None
    pause: float
    delay: float
    report: str
    sabotaged: bool = False
    max_cost_usd: float | None = None
    asked: Asked = PLAIN


class StoppedError(Exception):
    """The run stops with a message for a person, as ``AirflowFailException`` stops it."""


class StuckError(Exception):
    """The run waits forever."""


class SharedClock:
    """The offline API's clock, which advances only while no POST is in progress."""

    def __init__(self, spec: Spec) -> None:
        self.pause = spec.pause
        self._host = urlsplit(spec.base_url).netloc
        self._lock = os.open(f"{spec.root}/clock.lock", os.O_RDWR | os.O_CREAT)
        self._begun = self()

    def __call__(self) -> float:
        return self._post(0.0)

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            if os.pread(self._lock, 1, 0) == b"!":
                _sleep(self.pause)
                os.pwrite(self._lock, b".", 0)
            now = self._post(seconds)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        if now - self._begun > LONGEST_SECONDS:
            raise StuckError(f"{LONGEST_SECONDS / 3600:.0f} hours have passed")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no time pass in this block, nor after it until the API has had time to finish."""
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        try:
            os.pwrite(self._lock, b"!", 0)
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _post(self, seconds: float) -> float:
        connection = http.client.HTTPConnection(self._host, timeout=20)
        try:
            headers = {"content-type": "application/json"}
            connection.request("POST", "/local/clock", json.dumps({"advance_seconds": seconds}), headers)
            now: float = json.loads(connection.getresponse().read())["now"]
        finally:
            connection.close()
        return now


class Api(MessageBatches):
    """The API on the shared clock."""

    def __init__(self, spec: Spec, steps: Steps, clock: SharedClock) -> None:
        http_client = anthropic.DefaultHttpxClient(transport=CountedTransport(steps))
        client = anthropic.Anthropic(
            api_key="test-key", base_url=spec.base_url, http_client=http_client, timeout=HTTP_SECONDS
        )
        if spec.sabotaged:
            client.with_options = lambda **_: client  # type: ignore[method-assign, assignment]
        super().__init__(client, clock, clock)
        self.clock, self.models = clock, SdkModelApi(client, "offline")

    def create(self, body: StoragePath, size: int, *, deadline: float, betas: Sequence[str] = ()) -> Batch:
        with self.clock.stopped():
            return super().create(body, size, deadline=deadline, betas=betas)


class PipelineRun:
    """One run of the pipeline.

    :param note: called with each event of the run.
    """

    def __init__(self, spec: Spec, steps: Steps, note: Callable[[str], None]) -> None:
        self.spec, self.steps, self.note = spec, steps, note
        self.root = DataRoot(UPath(f"file://{spec.root}"))
        self.clock = SharedClock(spec)
        self.api = Api(spec, steps, self.clock)
        self.ledger = Ledger(self.root.ledger(), self.api.scope)
        self.identity = Run(spec.pipeline, spec.day, spec.run, self.root, self.ledger)
        self.limits = ShardLimits(max_requests=spec.max_requests)
        self.random = random.Random(spec.order)
        self._memory = f"{spec.root}/memory-{spec.run}.json"
        self._done: dict[str, Any] = {}
        if spec.remembers and os.path.exists(self._memory):  # noqa: PTH110
            with open(self._memory, "rb") as stream:  # noqa: PTH123
                self._done = json.load(stream)
        time.sleep = self.clock.sleep  # for the SDK's retries

    def run(self) -> dict[str, Any]:
        """Publish the day and return its receipt."""
        (prepared,) = self._together([self._task("read_articles", self._read)])
        shards, plan = prepared["shards"], read_plan(prepared["plan"])
        first = self._send_all("shard", shards)
        (again,) = self._together(
            [self._task("collect_failures", lambda: self._collect_failures(shards, first, plan))]
        )
        second = self._send_all("second_round", again)
        (receipt,) = self._together(
            [self._task("publish", lambda: self._publish(shards, first, again, second, plan))]
        )
        return dict(receipt)

    def _send_all(self, group: str, references: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        tasks = [self._send(group, Shard.from_reference(reference)) for reference in references]
        return [result for result in self._together(tasks) if result is not None]

    def _together(self, tasks: Sequence[Task]) -> list[Any]:
        """Let tasks take turns, each until it waits; one that fails does not stop the others."""
        results: list[Any] = [None] * len(tasks)
        waiting = dict.fromkeys(range(len(tasks)), 0.0)
        failures: list[Exception] = []
        while waiting:
            now = self.clock()
            ready = [index for index, moment in waiting.items() if moment <= now]
            if not ready:
                self.clock.sleep(min(waiting.values()) - now + 0.01)
                continue
            index = self.random.choice(ready)
            try:
                waiting[index] = next(tasks[index])
            except StopIteration as stop:
                results[index] = stop.value
                del waiting[index]
            except StuckError:
                raise
            except Exception as error:
                failures.append(error)
                del waiting[index]
        if failures:
            raise failures[0]
        return results

    def _task(self, name: str, body: Callable[[], Task]) -> Task:
        if name in self._done:
            return self._done[name]
        failures = 0
        while True:
            try:
                value = yield from body()
                break
            except (*RETRY_CANNOT_HELP, StoppedError, StuckError):
                raise
            except Exception as error:
                failures += 1
                self.note(f"error {type(error).__name__}")
                if failures > RETRIES:
                    raise
            yield self.clock() + 15.0 * 2**failures
        self.steps(f"task {name.partition(' ')[0]} done")
        # In the second group a shard that is refused again is cleared by hand; in the first it stays skipped.
        if value is not None or "second_round" not in name:
            self._remember(name, value)
        return value

    def _remember(self, name: str, value: Any) -> None:
        self._done[name] = value
        if self.spec.remembers:
            with open(self._memory + ".new", "w") as stream:  # noqa: PTH123
                json.dump(self._done, stream)
            _replace(self._memory + ".new", self._memory)

    def _forget(self, group: str) -> None:
        self._done = {name: value for name, value in self._done.items() if group not in name}
        self._remember("", None)

    def _read(self) -> Task:
        yield from ()
        files = find_files(UPath(f"file://{self.spec.source}"))
        asked = self.spec.asked
        template = RequestTemplate(
            asked.model,
            asked.max_tokens,
            PromptTemplate("<article>{content}</article>"),
            SYSTEM if asked.cached else None,
            cache=asked.cached,
            thinking=asked.thinking,
            effort=asked.effort,
            request={"inference_geo": "us"} if asked.us else None,
        )
        prepared = prepare_run(
            self.identity,
            Source(self.spec.source, files, FieldMap()),
            template,
            shard_limits=self.limits,
            max_rejected_share=0.2,
            reuse=Reuse(),
            limits=Limits(max_cost_usd=self.spec.max_cost_usd),
            model_api=self.api.models if asked.counted else None,
        )
        self.note(f"plan ${prepared.plan.cost_upper_usd:.9f}")
        prepared.plan.check_budget()
        return {
            "shards": [shard.to_reference() for shard in prepared.shards],
            "plan": msgspec.to_builtins(plan_values(prepared.plan)),
        }

    def _send(self, group: str, shard: Shard) -> Task:
        name = f"{group} {shard.name}"
        batch_id = yield from self._task(f"submit {name}", lambda: self._submit(shard))
        if batch_id is None:
            return None
        yield from self._task(f"wait {name}", lambda: self._wait(batch_id))
        return (yield from self._task(f"write {name}", lambda: self._write(shard, batch_id)))

    def _submit(self, shard: Shard) -> Task:
        sender = Sender(self.spec.pipeline, self.spec.run)
        while True:
            try:
                outcome = send_shard(
                    shard,
                    sender,
                    self.api,
                    self.ledger,
                    self.root,
                    self.clock,
                    max_requests_in_flight=MAX_REQUESTS_IN_FLIGHT,
                )
            except RequestRefusedError as error:
                if error.account:
                    return None
                raise
            if not isinstance(outcome, Wait):
                self.note(outcome.how)
                return outcome.batch_id
            yield from self._pass_wait(outcome)

    def _pass_wait(self, wait: Wait) -> Task:
        if not wait.batch_ids:
            self.note("waiting")
            yield wait.until
            return
        self.note("candidates")
        waiting = BatchWait(wait.batch_ids, wait.until)
        while waiting.on_look(self._look(waiting)) is None:
            yield self.clock() + POLL_SECONDS

    def _wait(self, batch_id: str) -> Task:
        waiting = BatchWait([batch_id], self.clock() + 26 * 3600)
        while (outcome := waiting.on_look(self._look(waiting))) is None:
            yield self.clock() + POLL_SECONDS
        if outcome.status != "ended":
            raise StoppedError(outcome.message)
        return batch_id

    def _look(self, wait: BatchWait) -> Look:
        """Poll as the trigger does: first the list, then each batch that is missing in it."""
        now = self.clock()
        try:
            batches = {batch.id: batch for batch in self.api.list().data}
            absent = []
            for batch_id in wait.open - batches.keys():
                try:
                    batches[batch_id] = self.api.retrieve(batch_id)
                except anthropic.NotFoundError:
                    absent.append(batch_id)
        except anthropic.APIError as error:
            refused = isinstance(error, (anthropic.AuthenticationError, anthropic.PermissionDeniedError))
            return Look(at=now, error=type(error).__name__, refused=refused)
        return Look(at=now, batches=batches, absent=absent)

    def _write(self, shard: Shard, batch_id: str) -> Task:
        yield from ()
        provenance = Provenance(self.spec.pipeline, self.spec.day, batch_id)
        return asdict(
            collect_batch(shard, self.root, provenance, self.api, self.ledger, sleep=self.clock.sleep)
        )

    def _collect_failures(
        self, references: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]], plan: Plan
    ) -> Task:
        yield from ()
        shards = [Shard.from_reference(reference) for reference in references]
        resend = collect_failures(shards, results, plan, self.ledger, self.root, self.limits)
        return [shard.to_reference() for shard in resend.shards]

    def _publish(
        self,
        shards: Sequence[dict[str, Any]],
        results: Sequence[dict[str, Any]],
        second_shards: Sequence[dict[str, Any]],
        second_results: Sequence[dict[str, Any]],
        plan: Plan,
    ) -> Task:
        yield from ()
        try:
            ordered = order_results(self.identity, shards, results, second_shards, second_results)
        except ResultsError as error:
            raise StoppedError(str(error)) from error
        try:
            check_second_round(self.identity, ordered)
        except AccountTroubleError:
            # A person clears the second round once the account works again.
            self._forget("second_round")
            raise
        published = publish_run(self.identity, ordered, plan, self.clock)
        return dict(msgspec.to_builtins(read_receipt(published.receipt)))


__all__ = ["PipelineRun", "ResultsError", "Spec", "StoppedError", "StuckError"]
