"""``prune`` removes what nothing needs; whatever it removed, days replay, and nothing is paid twice."""

from __future__ import annotations

import json
import os
import time
from itertools import islice
from pathlib import Path
from typing import Any

import anthropic
import pytest
from upath import UPath

from message_batches.command.main import main
from nightpress.articles.article import Article
from nightpress.batches.client import MessageBatches
from nightpress.batches.ledger import Ledger
from nightpress.batches.submission_records import Submitted
from nightpress.days.replay import replay_day
from nightpress.errors import ConfigurationError, LedgerError, ResultsError
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.runs.given_requests import stage_requests
from nightpress.runs.prune import (
    COLLECTED_BODY,
    LEFT_ASIDE,
    REPLACED_RUN,
    UNSENT_RUN,
    PruneRules,
    plan_prune,
    remove_unneeded,
)
from nightpress.runs.publication import RunResults, publish_run
from nightpress.runs.run import Run
from nightpress.runs.shard_submission import Sender, send_shard
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.writer import write_shards
from tests.support.offline_api_server import LocalApiServer

DAY = "2026-11-22"
DAYS_LATER = time.time() + 40 * 86_400
RULES = PruneRules(30)
REPLACED = PruneRules(30, 35)


class PrunedRuns:
    """A data root in which runs are made, as far as each of them came."""

    def __init__(self, server: LocalApiServer, folder: Path) -> None:
        self.server, self.folder, self.root = server, folder, DataRoot(UPath(folder))
        self.api = MessageBatches(anthropic.Anthropic(api_key="k", base_url=server.base_url, max_retries=0))
        self.ledger = Ledger(self.root.ledger(), self.api.scope)

    def run(self, name: str, *, until: str, text: str = "", day: str = DAY) -> Shard:
        """Make a run: staged, submitted, collected or published."""
        run = Run("p", day, name, self.root, self.ledger)
        prompt = RequestTemplate("claude-haiku-4-5", 20, PromptTemplate(f"{text or name} {{content}}"))
        rows = [Article(f"a{n}", f"t{n}", f"text {n}", {}, "f", n + 1) for n in range(3)]
        (shard,) = write_shards(rows, run.folder, prompt, limits=ShardLimits()).shards
        shard = Shard(self.root.reference(UPath(shard.uri)), shard.articles, shard.bytes, shard.key)
        if until == "staged":
            return shard
        sent = send_shard(shard, Sender("p", name), self.api, self.ledger, self.root, time.time)
        assert isinstance(sent, Submitted)
        if until == "submitted":
            return shard
        self.server.advance_clock(5_000)
        provenance = Provenance("p", day, sent.batch_id)
        results = collect_batch(shard, self.root, provenance, self.api, self.ledger)
        if until == "published":
            values = {name: getattr(results, name) for name in results.__dataclass_fields__}
            publish_run(run, RunResults([values]), None, time.time)
        return shard

    def age(self, name: str, days: float, day: str = DAY) -> None:
        """Let a run's files have changed so many days before now."""
        for path in (self.folder / "runs" / "p" / day / name).rglob("*"):
            os.utime(path, (time.time() - days * 86_400,) * 2)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def going(self, rules: PruneRules = RULES, now: float = DAYS_LATER) -> dict[str, set[str]]:
        plan = plan_prune(self.root, rules, now)
        return {reason: {file.reference for file in files} for reason, files in plan.going.items()}


@pytest.fixture
def runs(server: LocalApiServer, tmp_path: Path) -> PrunedRuns:
    return PrunedRuns(server, tmp_path)


def in_run(name: str, files: set[str]) -> set[str]:
    return {path for path in files if path.startswith(f"runs/p/{DAY}/{name}/")}


def test_what_is_young_or_open_or_published_stays(runs: PrunedRuns) -> None:
    runs.run("published", until="published")
    runs.run("open", until="submitted")
    runs.run("plan", until="staged")
    assert runs.going(now=time.time()) == {}
    going = runs.going()
    assert going == {
        COLLECTED_BODY: {f"runs/p/{DAY}/published/requests-00000.json.zst"},
        UNSENT_RUN: in_run("plan", runs.files()),
    }
    kept = plan_prune(runs.root, RULES, DAYS_LATER).kept
    assert kept == {"with a batch that is open": 1, "needed by a publication": 1}


def test_results_of_a_replaced_run_go_only_when_asked_for(runs: PrunedRuns) -> None:
    runs.run("first", until="published")
    runs.age("first", 20)
    runs.run("second", until="published")
    # The first is an earlier publication, which can be brought back.
    assert REPLACED_RUN not in runs.going(REPLACED)
    for kept in (runs.folder / "publications").rglob("*.parquet"):
        kept.unlink()
    assert REPLACED_RUN not in runs.going()
    assert runs.going(REPLACED)[REPLACED_RUN] == in_run("first", runs.files())
    assert plan_prune(runs.root, PruneRules(30, 90), DAYS_LATER).kept["with answers that were paid for"] == 1


def test_answers_that_were_never_published_stay(runs: PrunedRuns) -> None:
    runs.run("published", until="published")
    runs.age("published", 20)
    runs.run("later", until="collected")
    assert REPLACED_RUN not in runs.going(REPLACED)


def test_whatever_went_a_day_replays_and_nothing_is_paid_twice(
    runs: PrunedRuns, server: LocalApiServer
) -> None:
    runs.run("first", until="published")
    runs.age("first", 20)
    runs.run("plan", until="staged")
    runs.run("second", until="published")
    for kept in (runs.folder / "publications").rglob("*.parquet"):
        kept.unlink()
    kept_always = {path for path in runs.files() if not path.startswith("runs/")}
    gone = {file.reference for _, file in remove_unneeded(runs.root, REPLACED, DAYS_LATER)}
    assert gone
    assert kept_always <= runs.files()
    assert runs.going(REPLACED) == {}
    assert replay_day(runs.root, "p", DAY, tell=lambda line: None).equal
    # The same articles again: attached to the batches that are paid for, also to the one whose files are gone.
    paid = server.billing()["batches_accepted"]
    for text in ("second", "first"):
        runs.run(f"again-{text}", until="published", text=text)
    assert server.billing()["batches_accepted"] == paid


def test_what_the_api_has_forgotten_too_is_refused_and_not_paid_again(
    runs: PrunedRuns, server: LocalApiServer
) -> None:
    runs.run("first", until="published")
    runs.age("first", 20)
    runs.run("second", until="published")
    for kept in (runs.folder / "publications").rglob("*.parquet"):
        kept.unlink()
    list(remove_unneeded(runs.root, REPLACED, DAYS_LATER))
    server.advance_clock(40 * 86_400)
    paid = server.billing()["batches_accepted"]
    with pytest.raises((ResultsError, anthropic.APIError)):
        runs.run("again", until="published", text="first")
    assert server.billing()["batches_accepted"] == paid


@pytest.mark.parametrize("removed", [0, 1, 2, 5])
def test_a_kill_in_the_middle_leaves_what_the_next_call_removes(runs: PrunedRuns, removed: int) -> None:
    runs.run("published", until="published")
    runs.run("plan", until="staged")
    expected = set().union(*runs.going().values())
    first = {file.reference for _, file in islice(remove_unneeded(runs.root, RULES, DAYS_LATER), removed)}
    assert replay_day(runs.root, "p", DAY, tell=lambda line: None).equal
    second = {file.reference for _, file in remove_unneeded(runs.root, RULES, DAYS_LATER)}
    assert first | second == expected
    assert not first & second


def test_a_run_that_starts_again_meanwhile_keeps_its_files(runs: PrunedRuns) -> None:
    runs.run("plan", until="staged")
    runs.age("plan", 50)
    pruning = remove_unneeded(runs.root, RULES, time.time())
    later = runs.folder / "runs" / "p" / DAY / "plan" / "later"
    plan = plan_prune(runs.root, RULES, time.time())
    assert plan.total.files
    later.write_text("cleared")
    assert list(pruning) == []


def test_an_unreadable_ledger_entry_or_list_of_sources_protects(runs: PrunedRuns) -> None:
    runs.run("published", until="published")
    answers = runs.root.answers("p", DAY)
    answers.write_bytes(b"damaged")
    runs.run("other", until="collected")
    assert set(runs.going(REPLACED)) == {COLLECTED_BODY}
    entry = runs.ledger.folder / f"{'f' * 64}.json"
    entry.write_bytes(b"{")
    with pytest.raises(LedgerError, match="nothing was removed"):
        list(remove_unneeded(runs.root, RULES, DAYS_LATER))


def test_answers_to_hand_made_requests_stay(runs: PrunedRuns) -> None:
    messages = [{"role": "user", "content": "Hi."}]
    asked = [
        {"custom_id": "a", "params": {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages}}
    ]
    folder = runs.root.run_folder("p", DAY, "mine")
    shard = stage_requests(asked, folder, runs.root, "t")
    sent = send_shard(shard, Sender("p", "mine"), runs.api, runs.ledger, runs.root, time.time)
    assert isinstance(sent, Submitted)
    runs.server.advance_clock(5_000)
    collect_batch(shard, runs.root, Provenance("p", DAY, sent.batch_id), runs.api, runs.ledger)
    assert runs.going(REPLACED) == {COLLECTED_BODY: {f"{shard.uri}.zst"}}


def test_leftovers_of_killed_writers_go_after_a_day(runs: PrunedRuns) -> None:
    left = runs.folder / "p" / "day=2026-11-22" / ".abc.aside"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    assert runs.going(now=time.time()) == {}
    assert runs.going() == {LEFT_ASIDE: {f"p/day={DAY}/.abc.aside"}}


def test_rules_out_of_range_are_refused() -> None:
    for rules in ((0, None), (-1, None), (30, 29), (30, 0)):
        with pytest.raises(ConfigurationError):
            PruneRules(*rules)


def test_the_command_removes_only_with_yes(
    runs: PrunedRuns, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run("plan", until="staged")
    runs.age("plan", 50)
    before = runs.files()
    options = ["prune", "--root", f"file://{runs.folder}"]
    assert main(options) == 0
    shown = capsys.readouterr().out
    assert "Nothing was removed" in shown
    assert UNSENT_RUN in shown
    assert runs.files() == before
    assert main([*options, "--json", "--yes"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["removed"]["files"] == len(before - runs.files()) == told["may_go"][UNSENT_RUN]["files"] > 0
    assert not (runs.folder / "runs" / "p" / DAY / "plan").exists()
    assert main([*options, "--replaced-days", "5"]) == 2


def test_a_shard_whose_body_went_is_refused_and_not_sent(runs: PrunedRuns, server: LocalApiServer) -> None:
    shard = runs.run("plan", until="staged")
    list(remove_unneeded(runs.root, RULES, DAYS_LATER))
    with pytest.raises(LedgerError, match=r"is gone; nothing was sent\. Read the articles again"):
        send_shard(shard, Sender("p", "plan"), runs.api, runs.ledger, runs.root, time.time)
    assert server.billing()["batches_accepted"] == 0


def test_an_object_store_is_pruned_too() -> None:
    root = DataRoot(UPath(f"memory://prune-{os.getpid()}/root"))
    names = [
        f"runs/p/{DAY}/plan/{name}"
        for name in ("requests-00000.json", "plan.json", "source/rows-00000.parquet")
    ]
    for name in (*names, f"p/day={DAY}/other.txt"):
        root.open(name).parent.mkdir(parents=True, exist_ok=True)
        root.open(name).write_bytes(b"x" * 10)
    plan = plan_prune(root, RULES, DAYS_LATER)
    assert {file.reference for file in plan.going[UNSENT_RUN]} == set(names)
    assert plan.total.size_bytes == 30
    assert plan_prune(root, RULES, time.time()).total.files == 0
    assert len(list(remove_unneeded(root, RULES, DAYS_LATER))) == 3
    assert not root.open(names[0]).exists()
    assert root.open(f"p/day={DAY}/other.txt").exists()
