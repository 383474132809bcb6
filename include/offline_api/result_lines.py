"""Result lines: made once, when an ended batch's results are first asked for, and kept."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import msgspec

from offline_api import canned_answers
from offline_api.api_errors import envelope
from offline_api.checks import decode_params, refusal
from offline_api.outcomes import (
    CANCELED,
    EXPIRED,
    FORCED,
    FORCED_ERRORS,
    MISFIT,
    has_answer,
    map_items,
    misfit_of,
)
from offline_api.prompt_cache import PromptCache
from offline_api.store import Record, Store

_encode = msgspec.json.Encoder().encode
_WRITE_BYTES = 1 << 20


class ResultsWriter:
    """Writes the results of ended batches.

    :param seed: of the order of the lines, which is never that of the requests.
    """

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.seed = store, seed
        self._lock = threading.Lock()  # one batch at a time: memory stays flat

    def write(self, record: Record) -> None:
        """Write the result lines of an ended batch, unless they are there already."""
        path = self.store.results_path(record.id)
        with self._lock:
            if path.exists():
                return
            partial = self.store.partial_path(path.name)
            with partial.open("wb", buffering=_WRITE_BYTES) as stream:
                stream.writelines(self._iter_lines(record))
            partial.rename(path)

    def _iter_lines(self, record: Record) -> Iterator[bytes]:
        codes = self.store.plan(record.id).codes
        items = map_items(self.store.body_path(record.id))
        cache = PromptCache()
        order = list(range(record.requests))
        random.Random(f"{self.seed}:{record.ordinal}").shuffle(order)  # noqa: S311
        for index in order:
            result = _result(record.id, index, codes[index], items[index].params, cache)
            yield _encode({"custom_id": items[index].custom_id, "result": result}) + b"\n"


def _result(batch_id: str, index: int, code: int, raw: msgspec.Raw, cache: PromptCache) -> dict[str, Any]:
    if code == CANCELED:
        return {"type": "canceled"}
    if code == EXPIRED:
        return {"type": "expired"}
    if FORCED <= code < MISFIT:
        error_type = FORCED_ERRORS[code - FORCED]
        return _errored(batch_id, index, error_type, f"{error_type} asked for by a fault rule")
    params = decode_params(index, raw)
    if has_answer(code):
        return {"type": "succeeded", "message": _message(batch_id, index, params, cache, misfit_of(code))}
    return _errored(batch_id, index, *(refusal(params) or ("api_error", "Internal server error")))


def _errored(batch_id: str, index: int, error_type: str, message: str) -> dict[str, Any]:
    request_id = f"req_local_{_suffix(batch_id, index)}"
    return {"type": "errored", "error": envelope(error_type, message, request_id)}


def _suffix(batch_id: str, index: int) -> str:
    return f"{batch_id.rpartition('_')[2]}{index:06x}"


def _message(
    batch_id: str, index: int, params: dict[str, Any], cache: PromptCache, misfit: str | None
) -> dict[str, Any]:
    answer = canned_answers.answer(params, f"toolu_local_{_suffix(batch_id, index)}", misfit)
    input_tokens, output_tokens = canned_answers.tokens(params, answer.text)
    used = cache.use(params, index, canned_answers.count_tokens)
    written = {"5m": 0, "1h": 0, used.ttl: used.written}
    return {
        "id": f"msg_local_{_suffix(batch_id, index)}",
        "type": "message",
        "role": "assistant",
        "model": params["model"],
        "content": answer.content,
        "stop_reason": answer.stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": max(0, input_tokens - used.written - used.read),
            "cache_creation_input_tokens": used.written,
            "cache_read_input_tokens": used.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written["5m"],
                "ephemeral_1h_input_tokens": written["1h"],
            },
            "output_tokens": output_tokens,
            "output_tokens_details": {"thinking_tokens": 0},
            "service_tier": "batch",
        },
    }
