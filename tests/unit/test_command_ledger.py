from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import anthropic
import httpx2
import msgspec
import pytest
from upath import UPath

from message_batches.command import connection
from message_batches.command.command_settings import CommandError
from message_batches.command.main import main
from nightpress.batches.accepted_results import accept_short
from nightpress.batches.ledger import Attempt, Entry, Ledger
from nightpress.batches.manual_ledger import find_ledger_line
from nightpress.errors import LedgerError
from nightpress.layout import DataRoot
from tests.support.model_api import ModelApi
from tests.support.shard_sender import ShardSender

PROJECT = Path(__file__).resolve().parents[2]


class Office(ShardSender):
    """A sender whose clock is the machine's, with the command."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.clock.now = time.time() - 5_000
        self.root = folder

    def run(self, *words: str) -> int:
        command, *rest = words or ("list",)
        return main(["ledger", command, "--root", str(self.root), *rest])

    def lose(self, plan: str) -> str:
        """POST without an answer; return the key as a person would type it."""
        self.api.plan = [plan]
        with pytest.raises(Exception, match="a batch may exist"):
            self.submit()
        return self.shard.key[:16]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    made = Office(tmp_path)

    def connect(settings: object, scope: str, *, base_url: str = "", api_key: str = "") -> ModelApi:
        return made.api

    monkeypatch.setattr(connection, "open_api", connect)
    return made


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    return capsys


def test_an_empty_ledger_says_so_and_what_to_do(office: Office, said: pytest.CaptureFixture[str]) -> None:
    assert office.run() == 0
    out = said.readouterr().out
    assert "The ledger is empty" in out
    assert "NIGHTPRESS_ROOT" in out
    assert office.run("list", "--open") == 0
    assert "Nothing is open" in said.readouterr().out


def test_open_questions_come_first_then_one_line_a_shard(
    office: Office, said: pytest.CaptureFixture[str]
) -> None:
    key = office.lose("drop")
    office.ledger.save(
        Entry(key="b" * 64, requests=12_000, bytes=9, pipeline="p", day="2026-11-22", batch_id="msgbatch_9")
    )
    assert office.run() == 0
    lines = said.readouterr().out.splitlines()
    assert lines[0].startswith("1 open question(s)")
    assert f"{key}  seen:    POST 1 of 3 requests" in lines[2]
    table = [line.split() for line in lines if line.startswith(("key", "bbbb", key))]
    assert table[0][:2] == ["key", "state"]
    assert table[1][:3] == [key, "OPEN", "-"]
    assert table[2][:6] == ["b" * 16, "submitted", "p", "2026-11-22", "12,000", "msgbatch_9"]
    assert lines[-1] == "2 shards, 12,003 requests: 1 submitted, 1 OPEN"


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ((), "abc"),
        (("--pipeline", "p"), "ab"),
        (("--day", "2026-11-21"), "b"),
        (("--state", "submitted"), "b"),
        (("--open",), "c"),
        (("--state", "open"), "c"),
        (("--api", "nowhere"), ""),
    ],
)
def test_filters(office: Office, said: pytest.CaptureFixture[str], words: tuple[str, ...], keys: str) -> None:
    attempt = Attempt(number=1, at=1.0, deadline=2.0)
    for entry in (
        Entry(key="a" * 64, requests=1, bytes=1, pipeline="p", day="2026-11-22"),
        Entry(key="b" * 64, requests=1, bytes=1, pipeline="p", day="2026-11-21", batch_id="m"),
        Entry(key="c" * 64, requests=1, bytes=1, pipeline="q", day="2026-11-22", attempts=(attempt,)),
    ):
        office.ledger.save(entry)
    assert office.run("list", "--json", *words) == 0
    found = json.loads(said.readouterr().out)
    assert sorted(entry["entry"]["key"][0] for entry in found["entries"]) == list(keys)
    assert sum(found["totals"].values()) == found["requests"] == len(keys)
    assert len(found["questions"]) == ("c" in keys)


def test_show_tells_everything_and_what_is_gone(office: Office, said: pytest.CaptureFixture[str]) -> None:
    office.submit()
    entry = msgspec.structs.replace(office.entry(), uri=office.shard.uri, raw=str(office.root / "gone"))
    office.ledger.save(entry)
    assert office.run("show", office.shard.key[:6]) == 0
    out = said.readouterr().out
    assert f"key        {office.shard.key}" in out
    assert "owns       msgbatch_0000" in out
    assert f"{office.shard.uri} ({office.shard.bytes:,} bytes)" in out
    assert f"{office.root / 'gone'} (GONE)" in out
    assert "attempt    1 at" in out
    assert office.run("show", office.shard.key[:6], "--json") == 0
    assert json.loads(said.readouterr().out)["owns"] == ["msgbatch_0000"]


def test_an_unknown_key_is_a_usage_error(office: Office, said: pytest.CaptureFixture[str]) -> None:
    office.submit()
    assert office.run("show", "zzz") == 2
    assert "no shard key in the ledger begins with 'zzz'" in said.readouterr().err


def test_adopt_proves_or_needs_a_persons_word(office: Office, said: pytest.CaptureFixture[str]) -> None:
    key = office.lose("accept_then_drop")
    assert office.run("adopt", key, "msgbatch_0000") == 1
    assert "refused: batch msgbatch_0000 is in_progress" in said.readouterr().err
    assert office.run("adopt", key, "msgbatch_0000", "--unproved") == 0
    assert "on your word" in said.readouterr().out
    assert office.entry().batch_id == "msgbatch_0000"
    assert office.run("adopt", key, "msgbatch_0000") == 1


def test_adopt_with_proof(office: Office, said: pytest.CaptureFixture[str]) -> None:
    key = office.lose("accept_then_drop")
    office.api.batches[0].ended = True
    assert office.run("adopt", key, "msgbatch_0000") == 0
    assert "its results name this shard" in said.readouterr().out


def test_discard_explains_lists_candidates_and_needs_yes(
    office: Office, said: pytest.CaptureFixture[str]
) -> None:
    key = office.lose("accept_then_drop")
    assert office.run("discard", key) == 1
    seen = said.readouterr()
    assert "paid for twice" in seen.out
    assert "could be its batch: msgbatch_0000, 3 requests, in_progress" in seen.out
    assert "Nothing was changed" in seen.err
    assert office.entry().state == "intended"
    assert office.run("discard", key, "--yes") == 0
    assert "Set aside: " in said.readouterr().out
    assert office.ledger.load(office.shard.key) is None
    assert len(list((office.root / "ledger" / office.api.scope / "discarded").iterdir())) == 1


def test_discard_of_what_is_submitted_is_refused_by_name(
    office: Office, said: pytest.CaptureFixture[str]
) -> None:
    office.submit()
    key = office.shard.key[:16]
    assert office.run("discard", key, "--yes") == 1
    assert "owns batch msgbatch_0000, which is paid for" in said.readouterr().err
    assert office.run("discard", key, "--yes", "--even-submitted") == 0
    assert "It has batch msgbatch_0000: paid for" in said.readouterr().out


def test_accept_short_explains_what_it_costs_and_needs_yes(
    office: Office, said: pytest.CaptureFixture[str]
) -> None:
    office.submit()
    key = office.shard.key[:16]
    assert office.run("accept-short", key, "2") == 1
    told = said.readouterr()
    assert "has 3 requests; 1 of them will have no result" in told.out
    assert "paid for AGAIN" in told.out
    assert office.entry().accepted is None
    assert office.run("accept-short", key, "2", "--yes") == 0
    accepted = office.entry().accepted
    assert accepted is not None
    assert (accepted.batch_id, accepted.lines) == (office.entry().batch_id, 2)
    said.readouterr()
    assert office.run("show", key) == 0
    assert "2 lines of results" in said.readouterr().out


@pytest.mark.parametrize(
    ("state", "lines", "message"),
    [
        ("intended", "2", "has no batch"),
        ("submitted", "3", "are not between 1 and 2"),
        ("submitted", "9", "are not between 1 and 2"),
        ("collected", "2", "is collected already"),
    ],
)
def test_accept_short_changes_nothing_where_nothing_lacks(
    office: Office, said: pytest.CaptureFixture[str], state: str, lines: str, message: str
) -> None:
    office.submit()
    collected = datetime(2026, 11, 22, tzinfo=UTC) if state == "collected" else None
    batch = None if state == "intended" else office.entry().batch_id
    office.ledger.save(msgspec.structs.replace(office.entry(), batch_id=batch, collected_at=collected))
    assert office.run("accept-short", office.shard.key[:16], lines, "--yes") == 1
    assert message in said.readouterr().err
    assert office.entry().accepted is None


def test_accept_short_does_not_undo_what_a_task_recorded_meanwhile(office: Office) -> None:
    office.submit()
    line = find_ledger_line(DataRoot(UPath(office.root)), office.shard.key)
    collected = office.ledger.save(
        msgspec.structs.replace(office.entry(), collected_at=datetime(2026, 11, 22, tzinfo=UTC))
    )
    with pytest.raises(LedgerError, match="was changed or set aside by another process"):
        accept_short(line, 2, office.ledger, time.time())
    assert office.entry() == collected


def test_discard_says_when_the_api_cannot_be_looked_at(
    office: Office, said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = office.lose("drop")

    def fail(**_: object) -> None:
        raise anthropic.APIConnectionError(request=httpx2.Request("GET", "https://x"))

    monkeypatch.setattr(office.api, "list", fail)
    assert office.run("discard", key) == 1
    assert "could NOT be read" in said.readouterr().out


def test_connections(tmp_path: Path) -> None:
    settings = {"NIGHTPRESS_HOME": str(tmp_path)}
    with pytest.raises(CommandError, match="start it with `nightpress up`"):
        connection.open_api(settings, "offline")
    (tmp_path / "offline-api.port").write_text("1234")
    offline = connection.open_api(settings, "offline")
    assert str(offline.client.base_url) == "http://127.0.0.1:1234"
    with pytest.raises(CommandError, match="set ANTHROPIC_API_KEY"):
        connection.open_api(settings, "api.anthropic.com")
    keyed = connection.open_api({**settings, "ANTHROPIC_API_KEY": "k"}, "api.anthropic.com")
    assert (keyed.scope, keyed.client.api_key) == ("api.anthropic.com", "k")
    with pytest.raises(CommandError, match="no API key for https://example"):
        connection.open_api(settings, "x", base_url="https://example.com")
    for api in (offline, keyed):
        api.client.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://no_such@bucket/prefix", "the Airflow connection 'no_such', which does not exist"),
        ("s3://no_such@bucket/prefix", "the Airflow connection 'no_such', which does not exist"),
        ("s3://user:secret@bucket/prefix", "the Airflow connection 'user', which does not exist"),
        ("s3://a@b@bucket/prefix", "the Airflow connection 'a@b', which does not exist"),
        ("s3://@bucket/prefix", "the Airflow connection '', which does not exist"),
        ("file://no_such@host/prefix", "the Airflow connection 'no_such', which does not exist"),
        ("nonsense://bucket/prefix", "cannot be opened"),
        ("s3://[bucket/prefix", "cannot be opened"),
    ],
)
def test_a_url_that_cannot_be_opened_as_it_is_written_is_not_opened_in_another_way(
    url: str, said: str
) -> None:
    with pytest.raises(CommandError, match=r"cannot be opened|does not exist") as caught:
        connection.open_path(url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("words", [["--day", "yesterday"], ["show"], ["list", "--state", "lost"]])
def test_usage(words: list[str]) -> None:
    assert main(["ledger", *words]) == 2


def test_ten_thousand_entries_are_listed_without_airflow(tmp_path: Path) -> None:
    folder = tmp_path / "ledger" / "api"
    folder.mkdir(parents=True)
    for n in range(10_000):
        key = f"{n:064x}"
        entry = Entry(key=key, requests=10, bytes=1, pipeline="p", day="2026-11-22", batch_id=f"msgbatch_{n}")
        (folder / f"{key}.json").write_bytes(msgspec.json.encode(entry))
    assert len(list(Ledger(UPath(tmp_path / "ledger"), "api").entries())) == 10_000
    code = (
        "import sys; from message_batches.command.main import main; code = main(); "
        "sys.exit(code or 3 * any(name.split('.')[0] == 'airflow' for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "ledger", "list", "--root", str(tmp_path)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}:{PROJECT / 'plugins'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("10,000 shards, 100,000 requests: 10,000 submitted\n")
