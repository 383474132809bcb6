"""What is known of the vendor's API, fact by fact: each names the tests that show it, and what had none is tested here.

A fact that the offline API leaves out on purpose is in its README, under "Left out on purpose".
"""

from __future__ import annotations

import ast
import time
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.support.offline_api_server import PROJECT, LocalApiServer

FACTS = {
    "100,000 requests, 256 MB, custom_ids": [
        "offline_api_refusals::test_more_than_100_000_requests",
        "offline_api_refusals::test_a_body_over_256_mb",
        "offline_api_refusals::test_bodies_refused_as_a_whole",
    ],
    "counts stay 0 until the end; nulls until they apply": [
        "offline_api_lifecycle::test_nothing_but_processing_moves_before_the_end"
    ],
    "expires after 24 h, results for 29 days": [
        "offline_api_lifecycle::test_what_takes_longer_than_a_day_expires",
        "offline_api_lifecycle::test_results_are_gone_after_29_days",
    ],
    "canceling, then ended": ["offline_api_lifecycle::test_cancel_keeps_what_was_processed"],
    "queue and HTTP limits; counting has its own": [
        "offline_api_account::test_queue_and_rate_limits",
        "offline_api_facts::test_counting_has_a_limit_of_its_own",
    ],
    "list: limit, cursors, newest first": [
        "offline_api_lifecycle::test_list_pages_newest_first",
        "offline_api_refusals::test_bad_list_queries",
        "offline_api_refusals::test_the_largest_limit",
    ],
    "delete: ended only": ["offline_api_lifecycle::test_delete"],
    "params are checked one by one, later": ["offline_api_refusals::test_requests_refused_one_by_one"],
    "models: prices": ["offline_api_billing::test_price_list"],
    "models: thinking, effort, sampling, forced tools, prefill": [
        "offline_api_models::test_allowed_and_refused",
        "offline_api_models::test_who_thinks_unasked",
    ],
    "models: both tables are the same": [
        "offline_api_models::test_the_core_and_this_api_took_the_same_from_the_vendors_pages"
    ],
    "models: lifecycle by the clock, GET /v1/models and its pages": [
        "offline_api_models::test_models_are_what_the_sdk_knows",
        "offline_api_models::test_a_model_is_deprecated_and_retired_by_the_servers_clock",
        "offline_api_facts::test_models_come_in_pages",
    ],
    "thinking counts against max_tokens and may be all there is": [
        "offline_api_models::test_thinking_can_take_all_of_max_tokens"
    ],
    "tokenizers": ["offline_api_models::test_the_new_tokenizer_takes_about_a_third_more"],
    "300,000 tokens of output with a beta; others are taken": [
        "offline_api_models::test_a_beta_allows_longer_output",
        "offline_api_facts::test_beta_headers_are_taken_one_by_one",
    ],
    "prompt cache: minimum, lifetimes, hits": [
        "offline_api_structured::test_the_prefix_is_written_and_read",
        "offline_api_structured::test_without_a_mark_or_too_short_nothing_is_cached",
    ],
    "structured output: refused schemas, citations, capitals of an enum": [
        "offline_api_structured::test_schemas_that_the_api_refuses",
        "offline_api_structured::test_an_enums_capitals_may_differ_and_the_answer_fits",
    ],
    "blocks, stop reasons, refusals": ["offline_api_gateways::test_answers"],
    "refusals: free or billed by category": ["offline_api_billing::test_refusals"],
    "nine inner types of errors": ["offline_api_faults::test_rows"],
    "any order of results; line ends, nulls, unknown fields": [
        "offline_api_lifecycle::test_results_are_shuffled_complete_and_belong_to_their_request",
        "offline_api_gateways::test_line_ends",
        "offline_api_gateways::test_null_and_missing_fields",
        "offline_api_gateways::test_surrogates_and_endless_lines",
    ],
    "credit, limits, holds, at create and in a batch": [
        "offline_api_account::test_money_ends_in_the_middle_of_a_batch",
        "offline_api_account::test_blocks",
        "offline_api_account::test_codes_are_those_of_the_sdk",
    ],
    "413 and others without JSON; 404 that passes": [
        "offline_api_gateways::test_errors_without_json",
        "offline_api_faults::test_not_found_is_transient",
    ],
    "the SDK makes two batches of a dropped reply": [
        "offline_api_faults::test_the_sdk_makes_two_batches_of_a_dropped_reply"
    ],
    "images: how many, how large; 32 MB a request": ["offline_api_facts::test_images_are_bounded"],
    "no stream, speed, fallbacks, max_tokens 0": ["offline_api_refusals::test_requests_refused_one_by_one"],
    "inference in the US: by request and by workspace": [
        "offline_api_account::test_geography_of_a_workspace"
    ],
    "workspaces and their headers": [
        "offline_api_account::test_each_workspace_sees_its_own",
        "offline_api_account::test_a_key_of_several_workspaces_says_which",
    ],
    "count_tokens": ["offline_api_models::test_count_tokens_is_what_is_billed"],
    "redirects": ["offline_api_gateways::test_redirects"],
    "the SDK's types": ["offline_api_lifecycle::test_every_answer_is_of_the_sdks_types"],
}
"""Facts of the vendor's API, and the tests that show that the offline API keeps to them."""

CASES = {
    "a model that thinks by default": [
        "models_catalogue::test_off_asks_for_the_least_thinking_that_the_model_allows",
        "costs_every_model::test_a_table_of_every_model",
        "results_lenient::test_a_status_says_what_the_model_did",
    ],
    "the plan's upper bound": [
        "costs_every_model::test_every_model_with_all_the_thinking_it_wants",
        "costs_plan::test_the_upper_bound_is_above_what_the_offline_api_counts",
    ],
    "credit runs out inside a batch": [
        "results_second_round::test_account_trouble_that_comes_as_an_invalid_request_is_sent_again",
        "batches_submission::test_a_second_round_that_bought_nothing_for_the_accounts_sake_is_sent_again_in_the_same_run",
        "runs_failed_articles::test_a_run_stops_once_for_each_cause",
    ],
    "account trouble at the POST": [
        "batches_refusals::test_account_trouble_stops_all_shards_and_says_what_to_do"
    ],
    "refusal before any output": ["costs_every_model::test_refusals_are_billed_as_the_vendor_does"],
    "inference in the US": [
        "costs_every_model::test_inference_in_the_us_by_the_workspaces_own_setting",
        "costs_plan::test_where_inference_runs_is_known_from_the_request_or_from_earlier_answers",
    ],
    "a model without a batch price": [
        "costs_prices::test_without_a_batch_price_half_of_the_list_price_is_assumed_and_said"
    ],
    "haiku-5-5 above 100,000 tokens": [
        "costs_every_model::test_a_long_prompt_costs_more_and_only_that_one",
        "results_billing::test_a_row_costs_what_the_vendor_bills",
    ],
    "other stop reasons, no content": [
        "results_lenient::test_a_status_says_what_the_model_did",
        "results_reuse::test_what_failed_is_no_answer",
    ],
    "null and missing fields": [
        "results_lenient::test_no_odd_field_costs_an_answer",
        "results_lenient::test_whatever_a_field_holds_the_answer_is_kept",
    ],
    "no last line feed": ["results_decode::test_blank_lines_and_a_missing_last_newline_do_no_harm"],
    "results_url of a gateway": ["batches_client::test_results_are_read_from_the_connections_own_origin"],
    "a gateway on 127.0.0.1": [
        "batches_client::test_the_api_says_itself_that_it_is_offline_and_an_address_says_nothing",
        "adapters_waiting::test_a_real_gateway_on_this_machine_is_looked_at_no_more_often_than_any_other",
    ],
    "a rotated key": ["adapters_waiting::test_a_key_that_was_rotated_while_tasks_wait_is_asked_for_again"],
    "an odd batch in the list, no list": [
        "adapters_waiting::test_an_odd_neighbour_in_the_list_holds_nobody_back",
        "adapters_waiting::test_what_a_list_does_not_tell_is_asked_one_by_one",
        "batches_client::test_an_odd_batch_in_the_list_does_not_hide_the_others",
    ],
    "retry-after": [
        "batches_refusals::test_retry_after_is_bounded_and_finite",
        "batches_polling::test_a_retry_after_is_bounded_and_finite",
    ],
    "key of another workspace": [
        "batches_submission::test_absence_from_the_list_of_another_workspace_proves_nothing"
    ],
    "a wrong clock": [
        "batches_submission::test_a_clock_that_is_wrong_by_hours_while_a_reply_is_lost_pays_once"
    ],
}
"""Cases that once went wrong with the API as it is today, and the tests that show that they do not."""


def _tests_of(module: str) -> set[str]:
    tree = ast.parse((PROJECT / "tests" / "unit" / f"test_{module}.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("fact", [*FACTS, *CASES])
def test_what_shows_a_fact_is_there(fact: str) -> None:
    for name in (FACTS | CASES)[fact]:
        module, test = name.split("::")
        assert test in _tests_of(module), name


def params(content: Any = "One. Two.", **changes: Any) -> dict[str, Any]:
    return {
        "model": "claude-haiku-4-5",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": content}],
    } | changes


@pytest.fixture
def client(server: LocalApiServer) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="test-key", base_url=server.base_url, max_retries=0)


def outcomes(server: LocalApiServer, client: anthropic.Anthropic, *asked: dict[str, Any]) -> list[str]:
    """Return what became of each request: its type, or the words of its error."""
    requests: Any = [{"custom_id": f"r-{index}", "params": each} for index, each in enumerate(asked)]
    batch = client.messages.batches.create(requests=requests)
    server.advance_clock(3_600)
    found = {line.custom_id: line.result for line in client.messages.batches.results(batch.id)}
    return [
        result.error.error.message if result.type == "errored" else result.type
        for result in (found[f"r-{index}"] for index in range(len(asked)))
    ]


def test_images_are_bounded(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    def image(characters: int = 8) -> dict[str, Any]:
        source = {"type": "base64", "media_type": "image/png", "data": "A" * characters}
        return {"type": "image", "source": source}

    few, more, many, too_many = ([image()] * number for number in (100, 101, 600, 601))
    modern = {"model": "claude-opus-5", "thinking": {"type": "disabled"}}
    found = outcomes(
        server,
        client,
        params(few),
        params(more),
        params(many, **modern),
        params(too_many, **modern),
        params([image(10_000_000)], **modern),
        params([image(10_000_001)], **modern),
        params([image(9_000_000)] * 4, **modern),
    )
    assert found[0] == found[2] == found[4] == "succeeded"
    assert "at most 100 images" in found[1]
    assert "at most 600 images" in found[3]
    assert "an image exceeds" in found[5]
    assert "maximum size of 32000000 bytes" in found[6]


def test_counting_has_a_limit_of_its_own(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    # To the first second of a minute: none ends in the middle of the test.
    server.advance_clock(61 - time.time() % 60)
    server.post("/local/account", {"count_tokens_per_minute": 2, "requests_per_minute": 3})
    asked: Any = {"model": "claude-haiku-4-5", "messages": params()["messages"]}
    for _ in range(2):
        client.messages.count_tokens(**asked)
    with pytest.raises(anthropic.RateLimitError, match="2 requests per minute") as caught:
        client.messages.count_tokens(**asked)
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60
    for _ in range(3):
        client.messages.batches.list()
    with pytest.raises(anthropic.RateLimitError, match="3 requests per minute"):
        client.messages.batches.list()
    server.advance_clock(60)
    assert client.messages.count_tokens(**asked).input_tokens > 0


def test_models_come_in_pages(client: anthropic.Anthropic) -> None:
    whole = [model.id for model in client.models.list(limit=1000)]
    assert len(whole) > 10
    for limit in (1, 3, len(whole), len(whole) + 1):
        assert [model.id for model in client.models.list(limit=limit)] == whole
    page = client.models.list(limit=2, after_id=whole[0])
    assert [model.id for model in page.data] == whole[1:3]
    assert (page.first_id, page.last_id, page.has_more) == (whole[1], whole[2], True)
    back = client.models.list(limit=2, before_id=whole[4])
    assert [model.id for model in back.data] == whole[2:4]
    with pytest.raises(anthropic.BadRequestError, match="cannot be used together"):
        client.models.list(after_id=whole[0], before_id=whole[4])
    with pytest.raises(anthropic.BadRequestError, match="no model claude-none"):
        client.models.list(after_id="claude-none")


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("output-300k-2026-03-24", True),
        ("files-api-2025-04-14,output-300k-2026-03-24", True),
        ("files-api-2025-04-14 , output-300k-2026-03-24 ,", True),
        ("output-300k", False),
        ("files-api-2025-04-14", False),
        ("a-beta-of-tomorrow-2027-01-01", False),
    ],
)
def test_beta_headers_are_taken_one_by_one(
    server: LocalApiServer, client: anthropic.Anthropic, header: str, allowed: bool
) -> None:
    long = params(model="claude-opus-5", thinking={"type": "disabled"}, max_tokens=300_000)
    found = outcomes(server, client.with_options(default_headers={"anthropic-beta": header}), long, params())
    assert (found[0] == "succeeded") is allowed
    assert allowed or "300000 > 128000" in found[0]
    assert found[1] == "succeeded"


def test_what_is_left_out_on_purpose_is_in_the_readme() -> None:
    text = (Path(PROJECT) / "include" / "offline_api" / "README.md").read_text()
    _, _, left_out = text.partition("Left out on purpose")
    for name in ("/v1/messages", "Files API", "Admin API", "pixels", "tiers", "beta headers", "overshoot"):
        assert name in left_out.split("## ", 1)[0]
