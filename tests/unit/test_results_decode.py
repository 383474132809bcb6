from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightpress.results.decode import StreamReport, iter_outcomes
from nightpress.shards.request_keys import custom_id
from tests.support.result_lines import errored, line, succeeded

pytestmark = pytest.mark.usefixtures("small_buckets")

KEY = "0123456789abcdef" * 4


def decode(data: bytes, articles: int = 4) -> tuple[dict[int, str], StreamReport]:
    report = StreamReport()
    found = {n: outcome.type for n, outcome in iter_outcomes(io.BytesIO(data), KEY, articles, report)}
    return found, report


def test_every_kind_of_outcome_is_read() -> None:
    data = (
        succeeded(custom_id(KEY, 3))
        + errored(custom_id(KEY, 1))
        + line(custom_id(KEY, 0), {"type": "expired"})
        + line(custom_id(KEY, 2), {"type": "canceled"})
    )
    found, report = decode(data)
    assert found == {3: "succeeded", 1: "errored", 0: "expired", 2: "canceled"}
    assert (report.good, report.foreign, report.repeated, report.malformed) == (4, 0, 0, 0)


def test_only_text_blocks_are_the_answer() -> None:
    content = [
        {"type": "text", "text": "a"},
        {"type": "tool_use", "input": {}},
        {"type": "text", "text": "b"},
    ]
    ((_, outcome),) = iter_outcomes(
        io.BytesIO(succeeded(custom_id(KEY, 0), content=content)), KEY, 1, StreamReport()
    )
    assert outcome.message is not None
    assert "".join(block.text for block in outcome.message.content if block.type == "text") == "ab"


@pytest.mark.parametrize(
    "foreign",
    [
        "article-1",
        "0123456789abcde0-1",
        custom_id(KEY, 4),
        "0123456789abcdef-",
        "0123456789abcdef-01",
        "0123456789abcdef-١",
    ],
)
def test_a_line_of_another_shard_is_never_used(foreign: str) -> None:
    found, report = decode(succeeded(foreign))
    assert found == {}
    assert report.foreign == 1


def test_the_first_line_of_a_request_counts(caplog: pytest.LogCaptureFixture) -> None:
    found, report = decode(succeeded(custom_id(KEY, 0)) + errored(custom_id(KEY, 0)))
    assert found == {0: "succeeded"}
    assert report.repeated == 1
    assert report.examples == ["line 2 is repeated"]


def test_blank_lines_and_a_missing_last_newline_do_no_harm() -> None:
    found, report = decode(b"\n\n" + succeeded(custom_id(KEY, 0)) + b"  \n" + errored(custom_id(KEY, 1))[:-1])
    assert found == {0: "succeeded", 1: "errored"}
    assert report.malformed == 0


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"null\n",
        b"[]\n",
        b'{"custom_id": 1, "result": {"type": "expired"}}\n',
        b"\xff\xfe\n",
        b'{"custom_id": "\xff"}\n',
    ],
)
def test_a_damaged_line_is_counted_and_left_out(bad: bytes) -> None:
    found, report = decode(succeeded(custom_id(KEY, 1)) + bad)
    assert found == {1: "succeeded"}
    assert report.malformed == 1


def test_a_success_without_a_message_is_damaged() -> None:
    found, report = decode(line(custom_id(KEY, 0), {"type": "succeeded"}))
    assert found == {}
    assert report.malformed == 1


good_lines = st.builds(
    lambda n, kind: succeeded(custom_id(KEY, n)) if kind else errored(custom_id(KEY, n)),
    st.integers(0, 5),
    st.booleans(),
)


@given(st.lists(st.one_of(good_lines, st.binary(max_size=60)), max_size=20), st.data())
def test_damage_never_crashes_and_never_makes_a_wrong_row(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(lines)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(stream)))
        stream = stream[:at] + data.draw(st.binary(max_size=5)) + stream[at + data.draw(st.integers(0, 9)) :]
    report = StreamReport()
    seen = []
    for ordinal, outcome in iter_outcomes(io.BytesIO(stream), KEY, 4, report):
        seen.append(ordinal)
        if outcome.type == "succeeded":
            assert outcome.message is not None
    assert len(seen) == len(set(seen)) == report.good
    assert set(seen) <= set(range(4))
    filled = sum(1 for part in stream.split(b"\n") if part.strip())
    # A line whose line feed is gone may hold two results.
    assert report.good + report.foreign + report.repeated + report.malformed >= filled


@pytest.mark.parametrize(
    "odd",
    [
        succeeded("0123456789abcde0-1"),
        succeeded(custom_id(KEY, 0)),
        line(custom_id(KEY, 3), {"type": "succeeded"}),
        b"{\n",
        b"\n",
    ],
)
def test_one_odd_line_among_good_ones_changes_nothing_for_them(odd: bytes) -> None:
    good = [succeeded(custom_id(KEY, n)) for n in range(3)]
    for at in range(4):
        found, report = decode(b"".join([*good[:at], odd, *good[at:]]))
        assert found == dict.fromkeys(range(3), "succeeded")
        assert report.good == 3
        kinds = (report.foreign, report.repeated, report.malformed)
        assert sum(kinds) == (0 if odd == b"\n" else 1)
        assert report.examples == ([] if odd == b"\n" else [report.examples[0]])


def test_lines_are_counted_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    good = [succeeded(custom_id(KEY, n)) for n in range(4)]
    for size in range(1, 3 * len(good[0]), 37):
        monkeypatch.setattr("nightpress.results.decode.BLOCK_BYTES", size)
        found, report = decode(b"".join([*good[:3], b"{\n", good[3]]))
        assert sorted(found) == [0, 1, 2, 3]
        assert report.examples == ["line 4 is malformed"]
