"""What each kind of answer costs, by the vendor's rules: one row, one rule."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from nightpress.models.catalogue import CATALOGUE
from nightpress.results.answer_columns import ANSWERS
from nightpress.results.billing import cache_saved, costs


def answers(*rows: dict[str, Any]) -> pa.Table:
    plain = {
        "status": "succeeded",
        "text": "Yes.",
        "stop_reason": "end_turn",
        "model": "claude-opus-5",
        "input": 1_000,
        "output": 100,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
        "cache_read": 0,
        "thinking": None,
        "web_searches": None,
    }
    return pa.Table.from_pylist([plain | row for row in rows], schema=ANSWERS)


def paid(**row: Any) -> float | None:
    (amount,) = costs(answers(row))[0].to_pylist()
    return amount


PLAIN = (1_000 * 2.5 + 100 * 12.5) / 1e6
REFUSAL: dict[str, Any] = {"status": "refused", "stop_reason": "refusal", "text": None, "output": 0}


@pytest.mark.parametrize(
    ("row", "usd"),
    [
        ({}, PLAIN),
        ({"thinking": 60}, PLAIN),  # thinking is part of the output
        ({"status": "invalid_output"}, PLAIN),
        ({"status": "truncated"}, PLAIN),
        ({"status": "empty", "text": None}, PLAIN),
        ({"status": "unfinished", "text": None}, PLAIN),
        ({"status": "errored", "text": None, "model": None}, 0.0),
        ({"status": "expired", "text": None, "model": None, "input": None, "output": None}, 0.0),
        ({"status": "canceled", "text": None, "model": None, "input": None, "output": None}, 0.0),
        ({"status": "missing", "text": None, "model": None, "input": None, "output": None}, None),
        ({"input": None}, None),
        ({"output": None}, None),
        ({"model": None}, None),
        ({"model": "claude-nope-9"}, None),
        (
            {"model": "claude-opus-4-1"},
            (1_000 * 7.5 + 100 * 37.5) / 1e6,
        ),  # half of list: no batch price is known
        (REFUSAL, 0.0),
        (REFUSAL | {"refusal_category": "cyber"}, 0.0),
        (REFUSAL | {"refusal_category": "general_harms"}, 0.0),
        (REFUSAL | {"refusal_category": "bio"}, 1_000 * 2.5 / 1e6),
        (REFUSAL | {"refusal_category": "frontier_llm"}, 1_000 * 2.5 / 1e6),
        (REFUSAL | {"refusal_category": "reasoning_extraction"}, 1_000 * 2.5 / 1e6),
        (REFUSAL | {"refusal_category": "something_new"}, None),
        (REFUSAL | {"refusal_category": "cyber", "text": "I can", "output": 100}, PLAIN),
        (REFUSAL | {"output": 100, "thinking": 100}, PLAIN),  # output has begun
        ({"inference_geo": "us"}, 1.1 * PLAIN),
        ({"inference_geo": "global"}, PLAIN),
        ({"inference_geo": "not_available"}, PLAIN),
        ({"inference_geo": ""}, PLAIN),
        ({"inference_geo": None}, PLAIN),
        ({"inference_geo": "US"}, 1.1 * PLAIN),
        ({"inference_geo": " us "}, 1.1 * PLAIN),
        ({"inference_geo": "Global"}, PLAIN),
        ({"inference_geo": "eu"}, None),  # no price list names it
        ({"inference_geo": "us-east-1"}, None),
        ({"inference_geo": "eu", "status": "errored", "text": None, "input": None, "output": None}, 0.0),
        ({"model": "claude-opus-4-5", "inference_geo": "eu"}, PLAIN),  # it costs the same everywhere
        (REFUSAL | {"inference_geo": "eu"}, 0.0),
        (REFUSAL | {"refusal_category": "cyber", "output": None}, None),  # whether output began is not known
        (REFUSAL | {"input": None, "output": None}, None),
        (REFUSAL | {"refusal_category": "bio", "output": None}, None),
        (REFUSAL | {"refusal_category": "bio", "inference_geo": "us"}, 1.1 * 1_000 * 2.5 / 1e6),
        ({"model": "claude-haiku-4-5", "inference_geo": "us"}, (1_000 * 0.5 + 100 * 2.5) / 1e6),
        ({"unclear": True}, None),
        # A result of a new type is shown as errored; what it costs is not known.
        ({"unclear": True, "status": "errored", "text": None, "input": 0, "output": 0}, None),
        ({"unclear": False, "status": "errored", "text": None, "input": 0, "output": 0}, 0.0),
        (REFUSAL | {"unclear": True}, 0.0),
        ({"web_searches": 3}, PLAIN + 0.03),
        ({"web_searches": 3, "inference_geo": "us"}, 1.1 * PLAIN + 0.03),
        ({"cache_write_5m": 400}, PLAIN + 400 * 2.5 * 1.25 / 1e6),
        ({"cache_write_1h": 400}, PLAIN + 400 * 2.5 * 2 / 1e6),
        ({"cache_write_5m": 400, "cache_write_1h": None}, None),  # which of the two is not known
        ({"cache_read": 400}, PLAIN + 400 * 2.5 * 0.1 / 1e6),
        ({"model": "claude-opus-5-5", "cache_read": 400}, (1_000 * 2 + 100 * 10 + 400 * 2 * 0.05) / 1e6),
        ({"model": "claude-fable-5-1", "cache_read": 400}, (1_000 * 5 + 100 * 25 + 400 * 5 * 0.025) / 1e6),
        ({"model": "claude-haiku-5-5", "input": 100_000}, (100_000 * 0.05 + 100 * 0.25) / 1e6),
        ({"model": "claude-haiku-5-5", "input": 100_001}, (100_001 * 0.25 + 100 * 1.25) / 1e6),
        (
            {"model": "claude-haiku-5-5", "input": 1, "cache_read": 100_000},
            (1 * 0.25 + 100_000 * 0.025 + 100 * 1.25) / 1e6,
        ),
    ],
)
def test_a_row_costs_what_the_vendor_bills(row: dict[str, Any], usd: float | None) -> None:
    found = paid(**row)
    assert found == (None if usd is None else pytest.approx(usd, rel=1e-9, abs=1e-12))


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=lambda model: model.id)
def test_every_model_has_a_price_and_a_batch_is_half_of_it(model: Any) -> None:
    batch, listed = (column.to_pylist()[0] for column in costs(answers({"model": model.id})))
    assert batch == pytest.approx((1_000 * model.batch_input_usd + 100 * model.batch_output_usd) / 1e6)
    assert listed == pytest.approx(2 * batch)


def test_each_row_is_priced_by_itself() -> None:
    """A long prompt makes no other prompt dear, and an unknown amount no other unknown."""
    rows = [{"model": "claude-haiku-5-5", "input": n} for n in (60_000, 60_000, 150_000)]
    batch = costs(answers(*rows, {"input": None}, {"inference_geo": "us"}))[0].to_pylist()
    assert batch[0] == batch[1] == pytest.approx((60_000 * 0.05 + 100 * 0.25) / 1e6)
    assert batch[2] == pytest.approx((150_000 * 0.25 + 100 * 1.25) / 1e6)
    assert batch[3:] == [None, pytest.approx(1.1 * PLAIN)]


def test_what_the_cache_saved_leaves_out_what_was_free() -> None:
    read = {"cache_read": 1_000, "input": 0}
    free = REFUSAL | read
    assert cache_saved(answers(read)) == pytest.approx(1_000 * 2.5 * 0.9 / 1e6)
    assert cache_saved(answers(read, free)) == pytest.approx(1_000 * 2.5 * 0.9 / 1e6)
    assert cache_saved(answers(read | {"model": "claude-nope-9"})) is None


def test_the_names_of_models_without_a_price_are_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [{"model": f"m{n}\n\x1b[31mERROR all is lost"} for n in range(200)]
    assert costs(answers(*rows))[0].null_count == 200
    (record,) = caplog.records
    assert "is not known; its cost is null" in record.getMessage()
    assert "and 195 more" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
