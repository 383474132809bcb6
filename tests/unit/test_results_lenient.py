"""What gateways do to result lines: an answer that was paid for is read, whatever else the line lacks."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightpress.results import decode
from nightpress.results.answer_columns import ANSWERS, to_columns
from nightpress.results.decode import StreamReport, iter_blocks
from nightpress.shards.request_keys import custom_id
from tests.support.result_lines import errored, line, succeeded

KEY = "0123456789abcdef" * 4
NAME = custom_id(KEY, 0)
ABSENT = ...


def read(data: bytes, articles: int = 1) -> tuple[list[dict[str, Any]], StreamReport]:
    report = StreamReport()
    rows: dict[int, dict[str, Any]] = {}
    for block in iter_blocks([data], KEY, articles, report):
        for ordinals, found in to_columns(block.ordinals, block.outcomes):
            assert found.schema == ANSWERS
            found.validate(full=True)
            rows |= dict(zip(ordinals.tolist(), found.to_pylist(), strict=True))
    return [rows[ordinal] for ordinal in sorted(rows)], report


def read_one(data: bytes) -> dict[str, Any]:
    (row,), report = read(data)
    assert (report.good, report.malformed) == (1, 0)
    return row


def changed(path: str, value: Any) -> bytes:
    """Return an answer's line with one field replaced, or left out."""
    whole = json.loads(succeeded(NAME, "The answer."))
    place = whole
    *above, last = path.split(".")
    for step in above:
        place = place[int(step) if step.isdecimal() else step]
    if value is ABSENT:
        del place[last]
    else:
        place[last] = value
    return json.dumps(whole).encode() + b"\n"


MESSAGE = "result.message."
FIELDS = [
    "id",
    "type",
    "role",
    "model",
    "stop_reason",
    "stop_sequence",
    "usage",
    "usage.input_tokens",
    "usage.output_tokens",
    "usage.cache_creation",
    "usage.service_tier",
    "usage.cache_creation_input_tokens",
    "usage.cache_read_input_tokens",
    "usage.cache_creation.ephemeral_1h_input_tokens",
    "content.0.type",
    "content.0.thinking",
]
VALUES = [
    ABSENT,
    None,
    "",
    "x" * 300,
    -1,
    2**63,
    2**64,
    10**30,
    1.5,
    1e400,
    True,
    [],
    {},
    [None],
    {"a": 1},
    "\ud800",
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_no_odd_field_costs_an_answer(field: str, value: Any) -> None:
    row = read_one(changed(MESSAGE + field, value))
    assert row["text"] == "The answer."
    # Only the reason why the model stopped says whether the text is an answer.
    assert row["status"] == "succeeded"
    for name in ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read", "thinking"):
        assert row[name] is None or 0 <= row[name] <= 10**12


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (7, 7),
        (7.0, 7),
        ("7", 7),
        (0, 0),
        (10**12, 10**12),
        (10**12 + 1, None),
        (-7, None),
        (7.5, None),
        (None, None),
        (ABSENT, None),
        ("seven", None),
        (2**63, None),
        (True, None),
        ("9" * 5_000, None),
    ],
    ids=repr,
)
def test_a_number_that_cannot_be_told_is_null(value: Any, known: int | None) -> None:
    row = read_one(changed("result.message.usage.input_tokens", value))
    assert (row["input"], row["output"]) == (known, 20)


BILLED = {
    "cache_read_input_tokens": {},
    "cache_creation.ephemeral_5m_input_tokens": {"cache_creation_input_tokens": 20},
    "cache_creation.ephemeral_1h_input_tokens": {"cache_creation_input_tokens": 10},
    "server_tool_use.web_search_requests": {},
    "server_tool_use.code_execution_requests": {},
}


def usage_of(field: str, value: Any, **more: Any) -> bytes:
    whole = json.loads(succeeded(NAME, "The answer."))
    usage = whole["result"]["message"]["usage"]
    usage |= {"server_tool_use": {}, **more}
    *above, last = field.split(".")
    place = usage[above[0]] if above else usage
    place.pop(last, None)
    if value is not ABSENT:
        place[last] = value
    return json.dumps(whole).encode() + b"\n"


@pytest.mark.parametrize("field", BILLED)
@pytest.mark.parametrize("value", [-1, 1.5, 2**63, 10**30, float("nan"), float("inf"), "x", "", True, [], {}])
def test_a_billed_count_that_cannot_be_read_is_not_nothing(field: str, value: Any) -> None:
    row = read_one(usage_of(field, value, **BILLED[field]))
    assert (row["text"], row["status"]) == ("The answer.", "succeeded")
    assert row["unclear"]


@pytest.mark.parametrize("field", BILLED)
@pytest.mark.parametrize("value", [ABSENT, None, 0])
def test_a_count_that_the_api_leaves_out_is_nothing(field: str, value: Any) -> None:
    row = read_one(usage_of(field, value, **BILLED[field]))
    assert not row["unclear"]
    assert row["cache_write_1h"] is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cache_creation", "x"),
        ("cache_creation", []),
        ("server_tool_use", 7),
        ("inference_geo", 7),
        ("inference_geo", {}),
    ],
)
def test_a_part_of_the_usage_of_another_kind_leaves_the_cost_unknown(field: str, value: Any) -> None:
    assert read_one(usage_of(field, value))["unclear"]


def test_code_that_the_api_ran_leaves_the_cost_unknown() -> None:
    assert read_one(usage_of("server_tool_use.code_execution_requests", 1))["unclear"]
    assert not read_one(usage_of("server_tool_use.web_fetch_requests", 9))["unclear"]


@pytest.mark.parametrize(
    ("calls", "unclear"),
    [
        (None, False),
        ([], False),
        ([{"type": "message", "input_tokens": 3}, {"type": "message"}], False),
        # The counts of the whole answer leave these out (SDK 2.14.0, types/beta/beta_iterations_usage.py).
        ([{"type": "compaction", "input_tokens": 9_000}, {"type": "message"}], True),
        ([{"type": "advisor_message", "model": "claude-opus-5"}], True),
        ([{"type": "a_new_one"}], True),
        ([{"type": None}], True),
        ([7], True),
        ({"type": "compaction"}, True),
        ("many", True),
    ],
)
def test_model_calls_that_the_counts_leave_out_leave_the_cost_unknown(calls: Any, unclear: bool) -> None:
    assert read_one(usage_of("iterations", calls))["unclear"] is unclear


@pytest.mark.parametrize(
    ("whole", "minutes", "hour", "known"),
    [
        (30, 10, 20, (10, 20)),
        (30, 30, None, (30, 0)),
        (30, None, 30, (0, 30)),
        (None, 10, 20, (10, 20)),
        (0, None, None, (0, 0)),
        # A missing part is what the other one leaves of the sum.
        (30, 10, None, (10, 20)),
        (30, 10, ABSENT, (10, 20)),
        (30, None, 20, (10, 20)),
        # What the rest was written for is not known, and the prices differ.
        (30, None, None, (30, None)),
        (30, 10, 0, (30, None)),
        (30, 10, 5, (30, None)),
        # The parts say more than a sum that is too low.
        (0, 10, 20, (10, 20)),
        (5, 10, 20, (10, 20)),
    ],
)
def test_cache_writes_are_told_by_their_lifetimes_and_their_sum(
    whole: Any, minutes: Any, hour: Any, known: tuple[int, int | None]
) -> None:
    parts = {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour}
    parts = {name: value for name, value in parts.items() if value is not ABSENT}
    row = read_one(usage_of("cache_creation", parts, cache_creation_input_tokens=whole))
    assert (row["cache_write_5m"], row["cache_write_1h"]) == known


def test_without_usage_no_number_is_made_up() -> None:
    row = read_one(changed("result.message.usage", None))
    names = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read", "thinking", "web_searches")
    assert [row[name] for name in names] == [None] * 7
    failed = read_one(errored(NAME))
    assert [failed[name] for name in names] == [0] * 7


def test_what_billing_needs_is_read() -> None:
    usage = {
        "input_tokens": 5,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
        "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
        "inference_geo": "us",
        "service_tier": "batch",
    }
    details = {"type": "refusal", "category": "cyber", "explanation": "no"}
    row = read_one(succeeded(NAME, usage=usage, stop_reason="refusal", stop_details=details))
    assert (row["thinking"], row["web_searches"], row["inference_geo"], row["service_tier"]) == (
        4,
        2,
        "us",
        "batch",
    )
    assert (row["status"], row["refusal_category"]) == ("refused", "cyber")
    # The sum is missing, its parts are there.
    assert (row["cache_write_5m"], row["cache_write_1h"], row["cache_read"]) == (1, 2, 0)


@pytest.mark.parametrize(
    ("parts", "written"),
    [
        ({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 9}, (0, 9)),
        ({"ephemeral_5m_input_tokens": 9, "ephemeral_1h_input_tokens": 0}, (9, 0)),
        ({"ephemeral_1h_input_tokens": 4}, (5, 4)),
        ({"ephemeral_5m_input_tokens": None}, (9, None)),
        ({}, (9, None)),
        (None, (9, None)),
    ],
)
def test_a_lifetime_in_the_cache_is_not_made_up(
    parts: dict[str, int | None] | None, written: tuple[int, int | None]
) -> None:
    usage = {"input_tokens": 5, "output_tokens": 9, "cache_creation_input_tokens": 9, "cache_creation": parts}
    row = read_one(succeeded(NAME, usage=usage))
    assert (row["cache_write_5m"], row["cache_write_1h"]) == written
    nothing = read_one(succeeded(NAME, usage=usage | {"cache_creation_input_tokens": 0}))
    assert nothing["cache_write_1h"] is not None


TEXT, THINKING = {"type": "text", "text": "Yes."}, {"type": "thinking", "thinking": "", "signature": "s"}
TOOL = {"type": "tool_use", "id": "t", "name": "n", "input": {}}


@pytest.mark.parametrize(
    ("content", "stop_reason", "status", "text"),
    [
        ([THINKING, TEXT], "end_turn", "succeeded", "Yes."),
        ([{"type": "redacted_thinking", "data": "x"}, TEXT], "stop_sequence", "succeeded", "Yes."),
        ([{"type": "new_block", "text": "not this"}, TEXT], "end_turn", "succeeded", "Yes."),
        ([TEXT, TOOL], "tool_use", "succeeded", "Yes."),
        ([TEXT], None, "succeeded", "Yes."),
        ([TEXT], "a_new_reason", "succeeded", "Yes."),
        ([{"text": "Yes."}], "end_turn", "succeeded", "Yes."),
        ([None, "Y", {"type": "text", "text": "es."}, 7], "end_turn", "succeeded", "Yes."),
        ("Yes.", "end_turn", "succeeded", "Yes."),
        ([THINKING], "end_turn", "empty", None),
        ([], "end_turn", "empty", None),
        (None, "end_turn", "empty", None),
        ({}, "end_turn", "empty", None),
        ([{"type": "text", "text": None}], "end_turn", "empty", None),
        ([{"type": "text", "text": " \n\u3000"}], "end_turn", "empty", " \n\u3000"),
        ([TOOL], "tool_use", "unfinished", None),
        ([TEXT], "pause_turn", "unfinished", "Yes."),
        ([TEXT], "compaction", "unfinished", "Yes."),
        ([], "pause_turn", "unfinished", None),
        ([THINKING], "max_tokens", "truncated", None),
        ([TEXT], "max_tokens", "truncated", "Yes."),
        ([TEXT], "model_context_window_exceeded", "truncated", "Yes."),
        ([], "refusal", "refused", None),
        ([TEXT], "refusal", "refused", "Yes."),
    ],
)
def test_a_status_says_what_the_model_did(
    content: Any, stop_reason: str | None, status: str, text: str | None
) -> None:
    row = read_one(succeeded(NAME, content=content, stop_reason=stop_reason))
    assert (row["status"], row["text"]) == (status, text)


def test_a_lone_surrogate_is_replaced_and_a_pair_is_kept() -> None:
    data = succeeded(NAME, "PLACE").replace(b"PLACE", rb"a\ud800b \ud83d\ude00")
    assert read_one(data)["text"] == "a\N{REPLACEMENT CHARACTER}b \N{GRINNING FACE}"


@pytest.mark.parametrize(
    "form",
    [
        lambda data: data[:-1],
        lambda data: data[:-1] + b"\r\n",
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: b"\r\n\n \t\n" + data + b"\n\n",
        lambda data: b"data: " + data,
        lambda data: data[:-1] + b",\n",
        lambda data: data.replace(b"An answer.", b"An answer.\tTwo\x01"),
        lambda data: data.replace(b"An answer.", b"An answer.\xff"),
        lambda data: data.replace(b'"role"', b'"deep": ' + b"[" * 5_000 + b"]" * 5_000 + b', "role"'),
        lambda data: data.replace(b'"role"', b'"text": NaN, "role"'),
        lambda data: data.replace(b'"role"', b'"id": 7, "id": null, "role"'),
        lambda data: data.replace(b'"stop_reason"', b'"usage": {}, "stop_reason"'),
    ],
)
def test_a_line_in_another_form_is_read(form: Callable[[bytes], bytes]) -> None:
    row = read_one(form(succeeded(NAME)))
    assert row["text"].startswith("An answer.")
    assert row["status"] == "succeeded"


def test_two_results_on_a_line_are_two() -> None:
    data = succeeded(custom_id(KEY, 0), "one")[:-1] + succeeded(custom_id(KEY, 1), "two")
    rows, report = read(data, 2)
    assert [row["text"] for row in rows] == ["one", "two"]
    assert report.good == 2


@pytest.mark.parametrize(
    ("result", "status", "kind", "message"),
    [
        (
            {"type": "errored", "error": {"type": "api_error", "message": "flat"}},
            "errored",
            "api_error",
            "flat",
        ),
        ({"type": "errored", "error": {"error": {"type": "api_error"}}}, "errored", "api_error", None),
        ({"type": "errored", "error": {"error": "words"}}, "errored", "unknown_error", "words"),
        ({"type": "errored", "error": "words"}, "errored", "unknown_error", "words"),
        ({"type": "errored", "error": None}, "errored", None, None),
        (
            {"type": "errored", "error": {"error": {"type": 7, "message": 8}}},
            "errored",
            "unknown_error",
            None,
        ),
        ({"type": "errored", "error": {"type": "error", "error": None}}, "errored", "unknown_error", None),
        ({"type": "errored", "message": {"content": []}}, "errored", None, None),
        ({"type": "canceled", "error": []}, "canceled", None, None),
        ({"type": "expired", "message": 7}, "expired", None, None),
        ({"type": "deferred"}, "errored", "unknown result deferred", None),
    ],
)
def test_a_failure_is_read_in_every_form(
    result: dict[str, Any], status: str, kind: str | None, message: str | None
) -> None:
    row = read_one(line(NAME, result))
    assert (row["status"], row["error_type"], row["error_message"]) == (status, kind, message)


@pytest.mark.parametrize("kind", ["a_new_type", None, 7])
def test_an_answer_of_an_unknown_type_is_an_answer(kind: Any) -> None:
    row = read_one(changed("result.type", kind))
    assert (row["status"], row["text"]) == ("succeeded", "The answer.")


def test_names_are_cut() -> None:
    row = read_one(changed("result.message.model", "m" * 10**6))
    assert row["model"] == "m" * 200


def test_a_line_without_an_end_takes_no_memory_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_LINE_BYTES", 4 * 1024 * 1024)

    def endless() -> Iterator[bytes]:
        for _ in range(60):
            yield b"x" * decode.BLOCK_BYTES
        yield b"\n" + succeeded(NAME)

    report = StreamReport()
    tracemalloc.start()
    blocks = list(iter_blocks(endless(), KEY, 1, report))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [block.ordinals.tolist() for block in blocks] == [[0]]
    assert (report.good, report.malformed) == (1, 1)
    assert report.examples == ["line 1 is malformed"]
    assert peak < 20 * 1024 * 1024


def test_hostile_lines_take_linear_time() -> None:
    started = process_time()
    for data in (b'{"a": ' + b'\\"' * 200_000, b"{" * 200_000, b'{"a":' * 50_000, b'"{' * 200_000):
        read(data + b"\n")
    assert process_time() - started < 5


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(FIELDS), values, st.integers(0, 2))
def test_whatever_a_field_holds_the_answer_is_kept(field: str, value: Any, at: int) -> None:
    good = [succeeded(custom_id(KEY, number)) for number in (1, 2)]
    odd = changed(MESSAGE + field, value)
    rows, report = read(b"".join([*good[:at], odd, *good[at:]]), 3)
    assert [row["text"] for row in rows] == ["The answer.", "An answer.", "An answer."]
    assert (report.good, report.malformed, report.repeated, report.foreign) == (3, 0, 0, 0)


@given(values)
def test_no_result_crashes(result: Any) -> None:
    rows, report = read(
        json.dumps({"custom_id": NAME, "result": result}).encode() + b"\n" + errored(custom_id(KEY, 1)), 2
    )
    assert report.good + report.malformed == 2
    assert rows[-1]["error_type"] == "invalid_request_error"
