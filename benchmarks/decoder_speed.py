"""Decoding a result stream: the lenient decoder compared with the strict one that it replaced.

``python -m benchmarks.decoder_speed [RESULTS] [ROUNDS]``; CPU time of one process, in turns:

* ``ours``: every field is optional and bounded, damaged lines are still read, cut streams are detected;
* ``strict, today's fields``: the decoder before it (a line that does not fit the strict types is malformed and
  paid again), with the fields that receipts need today: thinking, searches, geography, refusals;
* ``before``: the same without those fields, as in the first release; ``types alone`` checks no line;
* ``ours, damaged``: one line of each thousand has ``usage: null``, so that its block is read line by line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from types import GenericAlias
from typing import Any

import msgspec
import numpy as np

from benchmarks.contest import Goal, Measured, Outcome, alternate, run_child
from nightpress.results.decode import BLOCK_BYTES, StreamReport, iter_blocks, make_custom_ids
from nightpress.shards.request_keys import custom_id, custom_id_prefix

KEY = "0123456789abcdef" * 4
_TEXT = "The harbour of the old town was opened again on Tuesday, after eleven months of work. " * 3


def _types(*, todays_fields: bool) -> Callable[[bytes], list[Any]]:
    """Return a decoder of lines by strict types.

    :param todays_fields: include the fields that receipts need today: thinking, searches, geography, refusals.
    """

    def struct(name: str, fields: list[Any], more: list[Any] | None = None) -> Any:
        return msgspec.defstruct(name, [*fields, *(more or [] if todays_fields else [])], gc=False)

    number, text = (int | None, None), (str | None, None)
    lifetimes = struct(
        "Lifetimes", [("ephemeral_5m_input_tokens", int, 0), ("ephemeral_1h_input_tokens", int, 0)]
    )
    details = struct("Details", [("thinking_tokens", *number)])
    tools = struct("Tools", [("web_search_requests", *number)])
    usage = struct(
        "Usage",
        [
            ("input_tokens", int, 0),
            ("output_tokens", int, 0),
            ("cache_creation_input_tokens", *number),
            ("cache_read_input_tokens", *number),
            ("cache_creation", lifetimes | None, None),
        ],
        [
            ("output_tokens_details", details | None, None),
            ("server_tool_use", tools | None, None),
            ("service_tier", *text),
            ("inference_geo", *text),
        ],
    )
    block = struct("Block", [("type", str), ("text", str, "")])
    refusal = struct("Refusal", [("category", *text)])
    message = struct(
        "Message",
        [
            ("id", str),
            ("model", str),
            ("usage", usage),
            ("content", GenericAlias(list, (block,)), []),
            ("stop_reason", *text),
        ],
        [("stop_details", refusal | None, None)],
    )
    error = struct("Error", [("type", str, "unknown_error"), ("message", str, "")])
    envelope = struct("Envelope", [("error", error)])
    outcome = struct(
        "Outcome", [("type", str), ("message", message | None, None), ("error", envelope | None, None)]
    )
    line = struct("Line", [("custom_id", str), ("result", outcome)])
    decode: Callable[[bytes], list[Any]] = msgspec.json.Decoder(line).decode_lines
    return decode


def run(results: int = 100_000, rounds: int = 9) -> Outcome:
    """Run the measurement."""
    found = run_child("benchmarks.decoder_speed", results, rounds)
    measured: Measured = {
        name: [{"seconds": value} for key, value in found.items() if key.rpartition(" #")[0] == name]
        for name in _contenders(0)
    }
    # The minimum of all rounds: other work on the machine only adds time. Two runs of the same code differ by 5 %.
    least = {name: min(run["seconds"] for run in runs) for name, runs in measured.items()}
    goals = tuple(
        Goal(f"the lenient decoder on a clean stream ÷ {name}", least["ours"] / least[name], limit, "×")
        for name, limit in (("strict, today's fields", 1.05), ("before", 1.3))
    )
    note = "the fastest rounds: " + ", ".join(f"{name} {seconds:.3f} s" for name, seconds in least.items())
    return Outcome(f"decoding {results:,} results (CPU seconds)", measured, goals, (note,))


def _contenders(results: int) -> dict[str, Callable[[], None]]:
    clean = list(_blocks(results, damaged=0))
    damaged = list(_blocks(results, damaged=1_000))
    todays, earlier = _types(todays_fields=True), _types(todays_fields=False)
    return {
        "ours": lambda: _decode_ours(clean, results),
        "strict, today's fields": lambda: _decode_as_before(clean, results, todays),
        "before": lambda: _decode_as_before(clean, results, earlier),
        "before, types alone": lambda: _decode_types(clean, earlier),
        "ours, damaged": lambda: _decode_ours(damaged, results),
    }


def _decode_ours(blocks: list[bytes], results: int) -> None:
    report = StreamReport()
    for _ in iter_blocks(blocks, KEY, results, report):
        pass
    assert report.good == results


def _decode_types(blocks: list[bytes], decode_lines: Callable[[bytes], list[Any]]) -> None:
    for block in blocks:
        decode_lines(block)


def _decode_as_before(blocks: list[bytes], results: int, decode_lines: Callable[[bytes], list[Any]]) -> None:
    """Decode a clean stream as the first release did."""
    prefix, seen, good = custom_id_prefix(KEY), np.zeros(results, dtype=bool), 0
    for block in blocks:
        count = block.count(b"\n")
        lines = decode_lines(block)
        outcomes = [line.result for line in lines]
        assert len(lines) == count
        assert not any(map(_is_empty_success, outcomes))
        ordinals = _read_ordinals([line.custom_id for line in lines], prefix, results)
        assert not seen[ordinals].any()
        seen[ordinals] = True
        assert np.unique(ordinals).size == len(ordinals)
        good += len(outcomes)
    assert good == results


def _is_empty_success(outcome: Any) -> bool:
    return bool(outcome.message is None and outcome.type == "succeeded")


def _read_ordinals(custom_ids: list[str], prefix: str, articles: int) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.array(custom_ids, pa.string())
    ordinals: np.ndarray = pc.cast(pc.utf8_slice_codeunits(ids, len(prefix)), pa.int64()).to_numpy()
    assert not len(ordinals) or (ordinals.min() >= 0 and ordinals.max() < articles)
    assert pc.all(pc.equal(make_custom_ids(prefix, ordinals), ids), min_count=0).as_py()
    return ordinals


def _blocks(results: int, *, damaged: int) -> Iterator[bytes]:
    """Yield a stream in pieces of whole lines, each about one block.

    :param damaged: one line in this many has no usage; 0 for none.
    """
    waiting, size = [], 0
    for number in range(results):
        waiting.append(_line(number, damaged=bool(damaged) and number % damaged == 0))
        size += len(waiting[-1])
        if size >= BLOCK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _line(number: int, *, damaged: bool) -> bytes:
    usage = {
        "input_tokens": 900,
        "output_tokens": 120,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens_details": {"thinking_tokens": 0},
        "server_tool_use": None,
        "inference_geo": "global",
        "service_tier": "batch",
    }
    message = {
        "id": f"msg_{number:024x}",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [{"type": "text", "text": f"{number}: {_TEXT}"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": None if damaged else usage,
    }
    row = {"custom_id": custom_id(KEY, number), "result": {"type": "succeeded", "message": message}}
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def _cpu_seconds(run: Callable[[], None]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def child(results: int, rounds: int) -> None:
    """Let the contenders take turns in this process."""
    contenders = _contenders(results)
    for decode in contenders.values():
        decode()

    def measure(name: str) -> dict[str, float]:
        return {"seconds": _cpu_seconds(contenders[name])}

    measured = alternate(contenders, rounds, measure)
    print(
        json.dumps(
            {
                f"{name} #{number}": found["seconds"]
                for name, runs in measured.items()
                for number, found in enumerate(runs)
            }
        )
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*map(int, sys.argv[2:]))
    else:
        print("\n".join(run(*map(int, sys.argv[1:])).lines()))
