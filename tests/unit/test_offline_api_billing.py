"""The billing meter against the vendor's price list, worked out by hand to the last digit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import anthropic
import pytest

from offline_api.billing_meter import Bill, bill_of, dollars
from offline_api.model_catalog import MODELS
from tests.support.batch_requests import item
from tests.support.offline_api_server import LocalApiServer

END = 1000.0


def message(**changes: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 0,
        "output_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens_details": {"thinking_tokens": 0},
        "server_tool_use": None,
        "inference_geo": "global",
    }
    content = [{"type": "text", "text": "A."}]
    whole = {"stop_reason": "end_turn", "stop_details": None, "content": content, "usage": usage}
    for name, value in changes.items():
        (whole if name in whole else usage)[name] = value
    return whole


MILLION = 1_000_000
WRITTEN_5M = {"ephemeral_5m_input_tokens": MILLION, "ephemeral_1h_input_tokens": 0}
WRITTEN_1H = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": MILLION}
LONG = {"input_tokens": 100_001, "output_tokens": MILLION}


@pytest.mark.parametrize(
    ("model", "changes", "usd"),
    [
        ("claude-haiku-4-5", {"input_tokens": MILLION}, "0.5"),
        ("claude-haiku-4-5", {"output_tokens": MILLION}, "2.5"),
        ("claude-haiku-4-5", {"cache_creation": WRITTEN_5M}, "0.625"),
        ("claude-haiku-4-5", {"cache_creation": WRITTEN_1H}, "1"),
        ("claude-haiku-4-5", {"cache_read_input_tokens": MILLION}, "0.05"),
        ("claude-sonnet-5-5", {"cache_read_input_tokens": MILLION}, "0.05"),
        ("claude-opus-5-5", {"cache_read_input_tokens": MILLION}, "0.1"),
        ("claude-fable-5-1", {"cache_read_input_tokens": MILLION}, "0.125"),
        ("claude-fable-5-1", {"output_tokens": MILLION}, "25"),
        ("claude-sonnet-4-6", {"input_tokens": MILLION}, "1.5"),
        ("claude-sonnet-5", {"input_tokens": MILLION}, "1"),
        ("claude-opus-4-5", {"output_tokens": MILLION}, "12.5"),
        ("claude-opus-5-5", {"input_tokens": MILLION, "output_tokens": MILLION}, "12"),
        ("claude-haiku-5-5", {"input_tokens": 100_000, "output_tokens": MILLION}, "0.255"),
        ("claude-haiku-5-5", LONG, "1.27500025"),
        ("claude-haiku-5-5", {"input_tokens": 1, "cache_read_input_tokens": 100_000}, "0.00250025"),
        ("claude-sonnet-5", {"input_tokens": MILLION, "inference_geo": "us"}, "1.1"),
        ("claude-haiku-4-5", {"input_tokens": MILLION, "inference_geo": "us"}, "0.5"),
        ("claude-haiku-5-5", {"cache_read_input_tokens": 1, "inference_geo": "us"}, "0.0000000055"),
        (
            "claude-sonnet-5",
            {"input_tokens": 10, "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 9}},
            "0.03001",
        ),
        (
            "claude-sonnet-5",
            {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 9}},
            "0.000045",
        ),
    ],
)
def test_price_list(model: str, changes: dict[str, Any], usd: str) -> None:
    bill = bill_of(MODELS[model], message(**changes))
    assert Decimal(dollars(bill.cost_picodollars)) == Decimal(usd)
    assert (bill.requests, bill.free_refusals) == (1, 0)


@pytest.mark.parametrize(
    "category", [None, "cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"]
)
def test_refusals(category: str | None) -> None:
    details = {"type": "refusal", "category": category}
    refused = {"stop_reason": "refusal", "stop_details": details, "input_tokens": MILLION}
    before = bill_of(MODELS["claude-haiku-4-5"], message(content=[], **refused))
    free = category in (None, "cyber", "general_harms")
    assert dollars(before.cost_picodollars) == ("0.000000000000" if free else "0.500000000000")
    assert (before.requests, before.free_refusals, before.input_tokens) == (
        (0, 1, 0) if free else (1, 0, MILLION)
    )
    begun = bill_of(MODELS["claude-haiku-4-5"], message(**refused))
    assert dollars(begun.cost_picodollars) == "0.500000000000"


def test_every_price_is_a_whole_number_of_picodollars() -> None:
    for model in MODELS.values():
        prices = [model.input_cents, model.output_cents]
        if model.long_prompt:
            prices += [model.long_prompt.input_cents, model.long_prompt.output_cents]
        for cents in prices:
            for permille in (1000, 1250, 2000, model.cache_read_permille):
                for tenths in (10, 11):
                    assert Fraction(cents * permille * tenths, 2).denominator == 1


def test_the_meter_adds_up_by_batch_model_and_workspace(
    server: LocalApiServer, client: anthropic.Anthropic
) -> None:
    models = ["claude-haiku-4-5", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"]
    server.post("/local/account", {"inference_geo": "us"})
    server.faults(
        {"endpoint": "create", "kind": "answers", "answer": "refusal", "category": "bio", "share": 0.2},
        {
            "endpoint": "create",
            "kind": "answers",
            "answer": "web_search",
            "share": 0.2,
            "skip": 1,
            "count": 1,
        },
    )
    system = [{"type": "text", "text": "rule " * 4000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    for number in range(3):
        requests = [
            item(f"{model}-{n}", f"Text {n * number}. Second. Third.", model=model, system=system)
            for model in models
            for n in range(10)
        ]
        client.messages.batches.create(requests=requests)  # type: ignore[arg-type]
        server.request("DELETE", "/local/faults") if number == 1 else None
    server.advance_clock(END)
    meter = server.billing()
    again = Bill()
    for batch in client.messages.batches.list():
        for row in client.messages.batches.results(batch.id):
            if row.result.type == "succeeded":
                shown = row.result.message
                again.add(bill_of(MODELS[shown.model], shown.to_dict(mode="json")))
    assert meter["bill"] == again.view()
    assert meter["bill"]["cache_read_tokens"] > 0 < meter["bill"]["cache_write_1h_tokens"]
    assert meter["bill"]["thinking_tokens"] > 0
    assert set(meter["by_model"]) == set(models)
    for parts in (
        [row["bill"] for row in meter["by_batch"].values()],
        meter["by_model"].values(),
        meter["by_workspace"].values(),
    ):
        assert sum(Decimal(part["cost_usd"]) for part in parts) == Decimal(meter["bill"]["cost_usd"]) > 0


def test_the_bill_does_not_depend_on_who_reads_first(
    server: LocalApiServer, client: anthropic.Anthropic
) -> None:
    batch = client.messages.batches.create(requests=[item(model="claude-sonnet-5")])  # type: ignore[list-item]
    server.advance_clock(END)
    before = server.billing()
    list(client.messages.batches.results(batch.id))
    assert server.billing() == before
    client.messages.batches.delete(batch.id)
    assert server.billing() == before


def test_a_deleted_batch_that_nobody_read_stays_billed(
    server: LocalApiServer, client: anthropic.Anthropic
) -> None:
    batch = client.messages.batches.create(requests=[item()])  # type: ignore[list-item]
    server.advance_clock(END)
    client.messages.batches.delete(batch.id)
    assert server.billing()["requests_billed"] == 1
    assert Decimal(server.billing()["bill"]["cost_usd"]) > 0
