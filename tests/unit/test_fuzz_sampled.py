"""A few hundred inputs of ``make fuzz``, and what its longer runs have found."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nightpress.batches.batch import decode_batch, decode_page
from nightpress.batches.model_api import SdkModelApi
from nightpress.errors import ApiReplyError
from nightpress.results.answer_columns import to_columns
from nightpress.results.decode import StreamReport, iter_blocks
from nightpress.results.result_lines import read_line
from tests.fuzz.runner import Failure, run_inputs


@pytest.mark.parametrize("target", ["reader", "results", "api", "ledger", "overview"])
def test_damaged_input_ends_in_an_error_of_ours_soon_and_in_little_memory(target: str) -> None:
    assert [failure.show(7, target) for failure in run_inputs(7, 0, 60, target)] == []


def test_an_input_that_breaks_a_reader_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_data: bytes) -> None:
        raise KeyError("x")

    monkeypatch.setattr("tests.fuzz.targets.decode_batch", broken)

    def failures() -> Iterator[Failure]:
        yield from run_inputs(7, 0, 30, "api")

    with pytest.raises(KeyError):  # even the undamaged input fails
        list(failures())


@pytest.mark.parametrize(
    "data", [b'{"id": "a\xff"}', b'\xff{"data": []}', b'{"data": [{"id": "\xc3"}]}', b"[" * 5000]
)
def test_a_reply_of_the_api_that_is_not_utf8_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(ApiReplyError):
        decode_batch(data)
    with pytest.raises(ApiReplyError):
        decode_page(data)
    response = SimpleNamespace(content=data)
    client = SimpleNamespace(get=lambda *_, **__: response, post=lambda *_, **__: response)
    client.with_options = lambda **_: client
    api = SdkModelApi(cast(Any, client), "offline")
    assert api.list_models() is None
    assert api.count_tokens(b"{}") is None


@pytest.mark.parametrize("start", [b"", b'"', b'x"y ', b'{"a": "b'])
@pytest.mark.parametrize("deep", [b'{"a":', b'{"a":[', b"[{"])
def test_a_line_that_is_nested_too_deep_ends(start: bytes, deep: bytes) -> None:
    assert read_line(start + deep * 5_000) == []


def test_a_block_in_which_every_line_is_damaged_brings_no_rows() -> None:
    report = StreamReport()
    (block,) = iter_blocks([b'de "expired"}}\n\n' * 1000], "0" * 64, 4, report)
    assert report.malformed == 1000
    assert list(to_columns(block.ordinals, block.outcomes)) == []
