"""Result lines: made once, when an ended batch's results are first asked for, and kept."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from offline_api.account_blocks import CREDIT_TOO_LOW, SPEND_LIMIT_REACHED
from offline_api.api_errors import envelope
from offline_api.billing_meter import Bill, bill_of
from offline_api.body_checks import decode_params
from offline_api.canned_answers import Answer, answer
from offline_api.model_catalog import MODELS, Model
from offline_api.outcomes import (
    CANCELED,
    EXPIRED,
    FORCED,
    FORCED_ERRORS,
    NO_CREDIT,
    OVER_LIMIT,
    Plan,
    answer_kind,
    has_answer,
    map_items,
)
from offline_api.parameter_checks import Circumstances, refusal
from offline_api.prompt_cache import PromptCache
from offline_api.store import Record, Store
from offline_api.token_counts import count_input, tokenizer

_encode = msgspec.json.Encoder().encode
_WRITE_BYTES = 1 << 20
_UNPAID = {NO_CREDIT: CREDIT_TOO_LOW, OVER_LIMIT: SPEND_LIMIT_REACHED}


class ResultsWriter:
    """Makes the results of ended batches, and computes their bills at the same time.

    :param seed: for the order of the lines, which differs from the order of the requests.
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
            bills: dict[str, Bill] = {}
            with partial.open("wb", buffering=_WRITE_BYTES) as stream:
                stream.writelines(self._iter_lines(record, bills))
            self.store.set_bill(record.id, bills)
            partial.rename(path)

    def bill(self, record: Record) -> dict[str, Bill]:
        """Return the bill of a batch by model: the final one, or else the expected one if nothing changes."""
        found = self.store.bill(record.id)
        if found is None:
            if record.deleted:
                return {}
            with self._lock:
                found = {}
                for _ in self._iter_lines(record, found):
                    pass
                self.store.set_bill(record.id, found)
        return found

    def stop_when_spent(self, record: Record, body: Path, plan: Plan, left: Mapping[int, int]) -> None:
        """Make the requests of a batch errored from the one at which the money runs out.

        :param left: for each limit, the code that requests get and the picodollars left under it.
        """
        spent, codes = 0, bytearray(plan.codes)
        for index, _, _, bill in self._iter_results(record, codes, body):
            over = [code for code, limit in left.items() if spent >= limit]
            if bill is not None and over:
                plan.codes[index] = over[0]
            elif bill is not None:
                spent += bill.cost_picodollars

    def _iter_lines(self, record: Record, bills: dict[str, Bill]) -> Iterator[bytes]:
        codes, body = self.store.plan(record.id).codes, self.store.body_path(record.id)
        for _, custom_id, result, bill in self._iter_results(record, codes, body):
            if bill is not None:
                bills.setdefault(result["message"]["model"], Bill()).add(bill)
            yield _encode({"custom_id": custom_id, "result": result}) + b"\n"

    def _iter_results(
        self, record: Record, codes: bytearray, body: Path
    ) -> Iterator[tuple[int, str, dict[str, Any], Bill | None]]:
        items = map_items(body)
        maker = ResultMaker(record)
        order = list(range(record.requests))
        random.Random(f"{self.seed}:{record.ordinal}").shuffle(order)  # noqa: S311
        for index in order:
            result, bill = maker.result(index, codes[index], items[index].params)
            yield index, items[index].custom_id, result, bill


class ResultMaker:
    """Makes the results of one batch, one after the other."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.around = Circumstances(record.created_at, record.betas_sent())
        self.cache = PromptCache()

    def result(self, index: int, code: int, raw: msgspec.Raw) -> tuple[dict[str, Any], Bill | None]:
        if code == CANCELED:
            return {"type": "canceled"}, None
        if code == EXPIRED:
            return {"type": "expired"}, None
        if FORCED <= code < FORCED + len(FORCED_ERRORS):
            error_type = FORCED_ERRORS[code - FORCED]
            message = self.record.forced_message or f"{error_type} asked for by a fault rule"
            return self._errored(index, error_type, message, self.record.forced_code or None), None
        if code in _UNPAID:
            return self._errored(index, "invalid_request_error", _UNPAID[code]), None
        params = decode_params(index, raw)
        if not has_answer(code):
            refused = refusal(params, self.around, memoryview(raw).nbytes)
            return self._errored(index, *(refused or ("api_error", "Internal server error"))), None
        model = MODELS[params["model"]]
        answered = self._message(index, params, model, code)
        return {"type": "succeeded", "message": answered}, bill_of(model, answered)

    def _errored(self, index: int, error_type: str, message: str, code: str | None = None) -> dict[str, Any]:
        request_id = f"req_local_{self._suffix(index)}"
        return {"type": "errored", "error": envelope(error_type, message, request_id, error_code=code)}

    def _suffix(self, index: int) -> str:
        return f"{self.record.id.rpartition('_')[2]}{index:06x}"

    def _message(self, index: int, params: dict[str, Any], model: Model, code: int) -> dict[str, Any]:
        counter = tokenizer(model.new_tokenizer)
        input_tokens = count_input(params, counter)
        room = model.context_tokens - input_tokens
        suffix = self._suffix(index)
        made = answer(params, model, kind=answer_kind(code), suffix=suffix, room_tokens=room)
        used = self.cache.use(params, index, model, counter)
        return {
            "id": f"msg_local_{suffix}",
            "type": "message",
            "role": "assistant",
            "model": params["model"],
            "content": made.content,
            "stop_reason": made.stop_reason,
            "stop_sequence": made.stop_sequence,
            "stop_details": made.stop_details,
            "usage": {
                "input_tokens": max(0, input_tokens - used.written_5m - used.written_1h - used.read),
                "cache_creation_input_tokens": used.written_5m + used.written_1h,
                "cache_read_input_tokens": used.read,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": used.written_5m,
                    "ephemeral_1h_input_tokens": used.written_1h,
                },
                **_output_usage(made),
                "inference_geo": self._place(params, model),
                "service_tier": "batch",
            },
        }

    def _place(self, params: dict[str, Any], model: Model) -> str | None:
        if not model.geography:
            return None
        return params.get("inference_geo") or self.record.inference_geo


def _output_usage(made: Answer) -> dict[str, Any]:
    searches = {"web_search_requests": made.web_searches, "web_fetch_requests": 0}
    return {
        "output_tokens": made.output_tokens,
        "output_tokens_details": {"thinking_tokens": made.thinking_tokens},
        "server_tool_use": searches if made.web_searches else None,
    }
