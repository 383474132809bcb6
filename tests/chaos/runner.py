"""Runs a scenario to its end, with a new data root and a new API, and audits it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from nightpress.batches.ledger import Ledger
from nightpress.batches.submission import MAX_LOST_ATTEMPTS
from nightpress.errors import LedgerError
from tests.chaos.audit import Books, Source, audit, check_plan
from tests.chaos.pipeline_run import Spec
from tests.chaos.scenarios import PLAIN, Rule, Scenario
from tests.support.offline_api_server import PROJECT, LocalApiServer

PIPELINE, DAY = "chaos", "2026-11-22"
BATCH_SECONDS = 900.0
BUDGET_USD = 100.0
"""Far above the cost of a case, so that the budget is checked but blocks nothing."""
LOWERED_USD = 1e-9
STOPS_BEFORE_MENDING = 3
"""Starts that may end with a clear error before the faults are switched off, as a person would fix them."""

MAX_STOPS = 6
LOST = f"POSTed {MAX_LOST_ATTEMPTS} times without an answer"
_LINES = {"missing_ids", "malformed_lines"}
OUTCOMES = ("untouched", "recovered", "adopted", "resubmitted", "refused", "FAILED")


@dataclass(slots=True)
class Result:
    """The result of a case.

    :param labels: faults that acted, and the steps at which the run was killed.
    """

    scenario: Scenario
    outcome: str
    labels: list[str]
    problems: list[str]
    events: list[dict[str, Any]] = field(default_factory=list)


class Worker:
    """A worker with its own offline API and fork server.

    :param folder: on a fast disk; emptied after each case.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = LocalApiServer(folder / "api", seconds_per_batch=BATCH_SECONDS)
        self._cases = 0

    def __enter__(self) -> Self:
        self.server.start()
        with (self.folder / "child.log").open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.child"],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._child.communicate(timeout=90)
        self.server.stop()

    def start(self, specs: Sequence[Spec]) -> list[str]:
        """Start processes together and return how each ended."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(msgspec.json.encode(specs) + b"\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("the fork server is gone: " + (self.folder / "child.log").read_text()[-2000:])
        ends: list[str] = json.loads(line)
        return ends

    def run(self, scenario: Scenario) -> Result:
        """Run a case to its end."""
        self._cases += 1
        root = self.folder / f"case-{self._cases}"
        root.mkdir()
        try:
            return _Case(self, scenario, root, f"c{self._cases}").run()
        finally:
            shutil.rmtree(root)


class _Case:
    def __init__(self, worker: Worker, scenario: Scenario, root: Path, mark: str) -> None:
        self.worker, self.scenario, self.root = worker, scenario, root
        self.source = Source(mark, scenario.articles)
        self.report = root / "report.jsonl"
        self.problems: list[str] = []
        self.rules: list[Rule] = []
        self.given_up = False
        self.credit = [*scenario.credit]

    def run(self) -> Result:
        server = self.worker.server
        server.reset()
        source = self.root / "articles.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in self.source.rows()))
        if self.scenario.rules:
            server.faults(*self.scenario.rules)
        if self.scenario.workspace_in_us:
            server.post("/local/account", {"inference_geo": "us"})
        if self.credit:
            server.post("/local/account", {"credit_usd": self.credit.pop(0)})
        self._to_the_end()
        if self.scenario.again and not self.problems and not self.given_up:
            if self.scenario.credit:
                server.post("/local/account", {"credit_usd": None})
            self._finish("again")
        self._note_rules()
        events = [json.loads(line) for line in self.report.read_text().splitlines()]
        acted = [rule for rule in self.rules if rule["hits"]]
        books = Books(
            server=server,
            root=self.root,
            pipeline=PIPELINE,
            day=DAY,
            source=self.source,
            receipts=[event["receipt"] for event in events if event["what"] == "done"],
            damaged=any(rule["kind"] in _LINES for rule in acted),
            unanswered=any(rule["kind"] in {*_LINES, "rows", "answers"} for rule in acted)
            # This many tokens may be too few for an answer.
            or self.scenario.asked != PLAIN,
            given_up=self.given_up,
        )
        plans = [
            float(event["what"].removeprefix("plan $"))
            for event in events
            if event["what"].startswith("plan ")
        ]
        self.problems += audit(books)
        self.problems += check_plan(books, max(plans, default=0.0))
        labels = [f"fault {_label(rule)}" for rule in acted]
        labels += [f"kill at {event['at']}" for event in events if event["what"] == "killed"]
        labels += books.notes
        labels += _labels_of(self.scenario)
        if self.scenario.company != "alone":
            labels.append(f"company: {self.scenario.company}")
        return Result(self.scenario, self._outcome(events), labels or ["nothing"], self.problems, events)

    def _to_the_end(self) -> None:
        deaths = [*self.scenario.deaths]
        runs = {"alone": ["a"], "two runs": ["a", "b"], "orphan": ["a", "a"]}[self.scenario.company]
        specs = [
            self._spec(run, deaths.pop(0) if deaths else None, 0.02 * index) for index, run in enumerate(runs)
        ]
        ends = self.worker.start(specs)
        self._judge(ends)
        done = {run for run, end in zip(runs, ends, strict=True) if end == "done"}
        for run in dict.fromkeys(runs):
            if run not in done:
                self._finish(run, deaths)

    def _finish(self, run: str, deaths: Sequence[int | None] = ()) -> None:
        """Start a run again and again until it is done."""
        left, stops, before = [*deaths], 0, 0
        while not self.problems:
            lowered = self.scenario.lower_budget and not stops
            spec = self._spec(run, left.pop(0) if left else None)
            if lowered:
                spec = msgspec.structs.replace(spec, max_cost_usd=LOWERED_USD)
                before = self._count_batches()
            (end,) = self.worker.start([spec])
            self._judge([end])
            if lowered and self._count_batches() > before:
                self.problems.append("SENT OVER THE BUDGET")
            if lowered and end == "stopped" and before:
                self.problems.append("a batch is paid for, and the budget keeps the run from looking for it")
            if end == "done":
                return
            stops += end == "stopped"
            if end == "stopped" and self.scenario.credit:
                self._top_up()
            if stops == STOPS_BEFORE_MENDING:
                self._note_rules()
                self.worker.server.request("DELETE", "/local/faults")
            if stops == MAX_STOPS and LOST in self.report.read_text().splitlines()[-1]:
                self.given_up = True
                return
            if stops == MAX_STOPS:
                self.problems.append("stopped again and again, without any fault")

    def _count_batches(self) -> int:
        return int(self.worker.server.billing()["batches_accepted"])

    def _top_up(self) -> None:
        more: dict[str, Any] = {"add_credit_usd": self.credit.pop(0)} if self.credit else {"credit_usd": None}
        self.worker.server.post("/local/account", more)

    def _judge(self, ends: Sequence[str]) -> None:
        self.problems += [f"the run ended {end}" for end in ends if end not in ("done", "stopped", "SIGKILL")]

    def _note_rules(self) -> None:
        if not self.rules:
            self.rules = self.worker.server.get("/local/faults")["rules"]

    def _spec(self, run: str, die_at: int | None, delay: float = 0.0) -> Spec:
        return Spec(
            root=str(self.root),
            source=str(self.root / "articles.jsonl"),
            base_url=self.worker.server.base_url,
            run=run,
            pipeline=PIPELINE,
            day=DAY,
            max_requests=self.scenario.max_requests,
            remembers=self.scenario.remembers,
            order=self.scenario.order,
            die_at=die_at,
            pause=self.scenario.pause,
            delay=delay,
            report=str(self.report),
            sabotaged=self.scenario.sabotaged,
            max_cost_usd=BUDGET_USD,
            asked=self.scenario.asked,
        )

    def _outcome(self, events: Sequence[dict[str, Any]]) -> str:
        if self.problems:
            return "FAILED"
        what = {event["what"].partition(" ")[0] for event in events}
        if "stopped" in what:
            return "refused"
        try:
            entries = list(Ledger(_upath(self.root) / "ledger", "offline").entries())
        except LedgerError:
            return "FAILED"
        if any(attempt.outcome == "lost" for entry in entries for attempt in entry.attempts):
            return "resubmitted"
        if any(entry.adopted for entry in entries):
            return "adopted"
        return "recovered" if what & {"killed", "error", "waiting", "candidates"} else "untouched"


def _upath(path: Path) -> Any:
    from upath import UPath

    return UPath(f"file://{path}")


def _labels_of(scenario: Scenario) -> list[str]:
    asked, plain = scenario.asked, PLAIN
    labels = {
        f"model {asked.model}": asked.model != plain.model,
        f"thinking {asked.thinking}": asked.thinking != plain.thinking,
        f"effort {asked.effort}": asked.effort is not None,
        "inference in the US": asked.us or scenario.workspace_in_us,
        "prompt cache": asked.cached,
        "credit ends": bool(scenario.credit),
    }
    return [label for label, applies in labels.items() if applies]


def _label(rule: Rule) -> str:
    label = f"{rule['endpoint']} {rule['kind']}"
    if rule["kind"] in ("status", "error_after_accept"):
        label += f" {rule.get('status', 500)}"
    if rule["kind"] == "answers":
        label += f" {rule['answer']}"
    return label
