from __future__ import annotations

import json
from pathlib import Path

import pytest
from upath import UPath

from include.costs.receipt import BatchReceipt, make_receipt, write_receipt


def batch(listed: float | None, paid: float | None) -> BatchReceipt:
    return BatchReceipt("msgbatch_1", "k", 1, False, 2, {"succeeded": 2}, 10, 5, 0, 0, listed, paid, 0.25)


def test_a_receipt_adds_up_its_batches(tmp_path: Path) -> None:
    batches = [batch(2.0, 1.0), batch(4.0, 2.0)]
    receipt = make_receipt(batches, pipeline="p", day="2026-11-22", run="r", offline=True, wasted_usd=0.5)
    assert (receipt.list_usd, receipt.paid_usd, receipt.saved_usd, receipt.cache_saved_usd) == (
        6.0,
        3.0,
        3.0,
        0.5,
    )
    path = write_receipt(receipt, UPath(tmp_path))
    assert str(path).endswith("receipts/p/day=2026-11-22.json")
    stored = json.loads(path.read_bytes())
    assert stored["wasted_usd"] == 0.5
    assert [one["paid_usd"] for one in stored["batches"]] == [1.0, 2.0]


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
