from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from upath import UPath

from nightpress.costs import receipt_files as receipts
from nightpress.costs.estimate import AnswerHistory
from nightpress.costs.receipt import BatchReceipt, make_receipt
from nightpress.costs.receipt_files import read_answer_history, read_receipt, write_receipt
from nightpress.errors import ResultsError
from nightpress.layout import DataRoot

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def batch(listed: float | None, paid: float | None, batch_id: str = "msgbatch_1") -> BatchReceipt:
    return BatchReceipt(
        batch_id=batch_id,
        shard_key="k",
        requests=2,
        by_status={"succeeded": 2},
        input_tokens=10,
        output_tokens=5,
        list_usd=listed,
        paid_usd=paid,
        cache_saved_usd=0.25,
    )


def test_a_receipt_adds_up_its_batches(tmp_path: Path) -> None:
    batches = [batch(2.0, 1.0), batch(4.0, 2.0)]
    receipt = make_receipt(batches, pipeline="p", day="2026-11-22", run="r", offline=True, wasted_usd=0.5)
    assert (receipt.list_usd, receipt.paid_usd, receipt.saved_usd, receipt.cache_saved_usd) == (
        6.0,
        3.0,
        3.0,
        0.5,
    )
    path = write_receipt(receipt, DataRoot(UPath(tmp_path)))
    assert str(path).endswith("receipts/p/day=2026-11-22.json")
    stored = json.loads(path.read_bytes())
    assert stored["wasted_usd"] == 0.5
    assert [batch["paid_usd"] for batch in stored["batches"]] == [1.0, 2.0]


@pytest.mark.parametrize(("listed", "paid"), [(None, 1.0), (1.0, None), (None, None)])
def test_what_is_not_known_is_not_zero(listed: float | None, paid: float | None) -> None:
    receipt = make_receipt(
        [batch(1.0, 0.5), batch(listed, paid)], pipeline="p", day="d", run="r", offline=False, wasted_usd=None
    )
    assert receipt.saved_usd is None
    assert (receipt.list_usd is None) is (listed is None)


def test_an_empty_day_cost_nothing() -> None:
    receipt = make_receipt([], pipeline="p", day="d", run="r", offline=False, wasted_usd=0.0)
    assert (receipt.list_usd, receipt.paid_usd, receipt.saved_usd) == (0.0, 0.0, 0.0)


def test_a_day_that_was_run_twice_has_every_batch_on_its_receipt_once(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    about: dict[str, Any] = {"pipeline": "p", "day": "d", "offline": True, "published_at": NOW}
    first = [batch(2.0, 1.0, "a"), batch(4.0, 2.0, "b")]
    write_receipt(make_receipt(first, run="one", wasted_usd=0.5, **about), root)
    again = [batch(4.0, 2.0, "b"), batch(0.2, 0.1, "c")]
    write_receipt(make_receipt(again, run="two", wasted_usd=0.25, **about), root)
    path = write_receipt(make_receipt([], run="three", wasted_usd=0.0, **about), root)
    receipt = read_receipt(path)
    assert receipt is not None
    assert [batch.batch_id for batch in receipt.batches] == ["a", "b", "c"]
    assert (receipt.run, receipt.paid_usd, receipt.wasted_usd) == ("three", pytest.approx(3.1), 0.75)


def test_a_receipt_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "receipts" / "p" / "day=d.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"pipeline": "p"')
    receipt = make_receipt([], pipeline="p", day="d", run="r", offline=True, wasted_usd=0.0)
    with pytest.raises(ResultsError, match="cannot be read"):
        write_receipt(receipt, DataRoot(UPath(tmp_path)))
    assert path.read_bytes() == b'{"pipeline": "p"'


def test_history_is_that_of_the_same_prompt(tmp_path: Path) -> None:
    root, about = DataRoot(UPath(tmp_path)), {"pipeline": "p", "run": "r", "offline": True, "wasted_usd": 0.0}
    for day, template in (("2026-11-20", "x"), ("2026-11-21", "y"), ("2026-11-22", "x")):
        write_receipt(make_receipt([batch(1.0, 1.0)], day=day, template=template, **about), root)
    assert read_answer_history(root, "p", "y") == AnswerHistory("2026-11-21", 2.5)
    assert read_answer_history(root, "p", "x") == AnswerHistory("2026-11-22", 2.5)
    assert read_answer_history(root, "p", "z") == AnswerHistory()
    assert read_answer_history(root, "other", "x") == AnswerHistory()


def test_what_was_paid_is_on_the_receipt_before_the_day_is_published(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    about: dict[str, Any] = {"pipeline": "p", "day": "d", "offline": True}
    write_receipt(make_receipt([batch(2.0, 1.0, "a")], run="one", wasted_usd=0.0, **about), root)
    # The run dies here; the next one finds its answers and sends nothing.
    path = write_receipt(make_receipt([], run="two", wasted_usd=0.0, published_at=NOW, **about), root)
    receipt = read_receipt(path)
    assert receipt is not None
    assert (receipt.run, receipt.paid_usd, [batch.run for batch in receipt.batches]) == ("two", 1.0, [""])


def test_the_books_of_a_run_that_is_not_published_yet_leave_the_last_publication(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    about: dict[str, Any] = {"pipeline": "p", "day": "d", "offline": True, "wasted_usd": 0.25}
    numbers = {"articles": 2}
    published = make_receipt([batch(2.0, 1.0, "a")], run="one", published_at=NOW, numbers=numbers, **about)
    write_receipt(published, root)
    path = write_receipt(make_receipt([batch(1.0, 0.5, "b")], run="two", **about), root)
    receipt = read_receipt(path)
    assert receipt is not None
    assert (receipt.run, receipt.published_at, receipt.numbers) == ("one", NOW, numbers)
    assert (receipt.paid_usd, receipt.wasted_usd) == (1.5, 0.5)


def test_the_books_of_the_offline_api_are_not_those_of_the_real_one(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    about: dict[str, Any] = {"pipeline": "p", "day": "d", "wasted_usd": 0.0, "published_at": NOW}
    tried = make_receipt([batch(2.0, 1.0, "msgbatch_local_1")], run="tried", offline=True, **about)
    write_receipt(tried, root)
    path = write_receipt(make_receipt([batch(1.0, 0.5, "b")], run="paid", offline=False, **about), root)
    receipt = read_receipt(path)
    assert receipt is not None
    assert (receipt.paid_usd, receipt.offline) == (0.5, False)
    # Without a key again, and then with it: what was paid is still known.
    write_receipt(tried, root)
    path = write_receipt(make_receipt([batch(1.0, 0.25, "c")], run="more", offline=False, **about), root)
    receipt = read_receipt(path)
    assert receipt is not None
    assert ([batch.batch_id for batch in receipt.batches], receipt.paid_usd) == (["b", "c"], 0.75)


@pytest.mark.parametrize("moment", ["before the other reads", "before the other writes"])
def test_two_runs_that_write_at_the_same_moment_are_both_on_the_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    root = DataRoot(UPath(tmp_path))
    about: dict[str, Any] = {"pipeline": "p", "day": "d", "offline": True, "wasted_usd": 0.25}
    written: list[str] = []
    write = receipts.write_atomically

    def interrupted(path: UPath, data: bytes) -> None:
        # The other run does all of its work between what this one read and what it writes.
        written.append(path.name)
        if len(written) == (1 if moment == "before the other reads" else 2):
            write_receipt(other, root)
        write(path, data)

    other = make_receipt([batch(1.0, 0.5, "b")], run="two", **about)
    monkeypatch.setattr(receipts, "write_atomically", interrupted)
    ours = make_receipt([batch(2.0, 1.0, "a")], run="one", published_at=NOW, **about)
    receipt = read_receipt(write_receipt(ours, root))
    assert receipt is not None
    assert sorted(batch.batch_id for batch in receipt.batches) == ["a", "b"]
    assert (receipt.paid_usd, receipt.wasted_usd, receipt.run) == (1.5, 0.5, "one")


def test_what_a_killed_writer_left_aside_is_no_part(tmp_path: Path) -> None:
    parts = tmp_path / "receipts" / "p" / "of_runs" / "day=d"
    parts.mkdir(parents=True)
    (parts / ".x7f3.aside").write_bytes(b'{"pipeline"')
    receipt = make_receipt([batch(2.0, 1.0)], pipeline="p", day="d", run="r", offline=True, wasted_usd=0.0)
    stored = read_receipt(write_receipt(receipt, DataRoot(UPath(tmp_path))))
    assert stored is not None
    assert stored.paid_usd == 1.0


def stored(root: DataRoot, **changes: Any) -> Path:
    """A receipt on disk, with something changed in the file."""
    about: dict[str, Any] = {"pipeline": "p", "day": "d", "run": "one", "offline": True, "wasted_usd": 0.0}
    path = Path(write_receipt(make_receipt([batch(2.0, 1.0, "a")], **about), root).path)
    for part in path.parent.rglob("*.json"):
        values = json.loads(part.read_bytes())
        values |= changes
        values["batches"][0] |= {"of_tomorrow": "kept, too"}
        part.write_text(json.dumps({name: value for name, value in values.items() if value != "absent"}))
    return path


def test_a_newer_receipt_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    path = stored(root, schema_version=2)
    before = path.read_bytes()
    with pytest.raises(ResultsError, match=r"version 2; .*versions up to 1"):
        read_receipt(UPath(path))
    receipt = make_receipt([], pipeline="p", day="d", run="two", offline=True, wasted_usd=0.0)
    with pytest.raises(ResultsError, match="version 2"):
        write_receipt(receipt, root)
    assert path.read_bytes() == before


def test_an_older_receipt_is_read_and_nothing_it_holds_is_lost(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    path = stored(root, schema_version="absent", known_paid_usd="absent", of_tomorrow={"kept": 1})
    again = make_receipt(
        [batch(1.0, 0.5, "b")], pipeline="p", day="d", run="two", offline=True, wasted_usd=0.0
    )
    write_receipt(again, root)
    values = json.loads(path.read_bytes())
    assert values["of_tomorrow"] == {"kept": 1}
    assert values["batches"][0]["of_tomorrow"] == "kept, too"
    assert (values["paid_usd"], values["known_paid_usd"], values["schema_version"]) == (1.5, 1.5, 1)


def test_what_is_known_of_an_unknown_sum_is_said(tmp_path: Path) -> None:
    unknown = msgspec.structs.replace(batch(None, None, "b"), known_paid_usd=0.25, unknown_requests=1)
    receipt = make_receipt(
        [batch(2.0, 1.0, "a"), unknown], pipeline="p", day="d", run="r", offline=True, wasted_usd=0.0
    )
    assert (receipt.paid_usd, receipt.known_paid_usd, receipt.unknown_requests) == (None, 1.25, 1)


def test_history_tells_where_inference_ran_whatever_was_asked(tmp_path: Path) -> None:
    root, about = (
        DataRoot(UPath(tmp_path)),
        {"pipeline": "p", "run": "r", "offline": False, "wasted_usd": 0.0},
    )
    in_us = msgspec.structs.replace(batch(1.0, 1.0), geographies=("us",))
    write_receipt(make_receipt([in_us], day="2026-11-21", template="other", **about), root)
    assert read_answer_history(root, "p", "x").geographies == ("us",)
    assert read_answer_history(root, "p", "x", offline=True) == AnswerHistory()
