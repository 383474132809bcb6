"""Result lines as the API writes them (API documentation, "Retrieving batch results")."""

from __future__ import annotations

import json
from typing import Any


def succeeded(custom_id: str, text: str = "An answer.", **message: Any) -> bytes:
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 40,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "service_tier": "batch",
    }
    body = {
        "id": f"msg_{custom_id}",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    } | message
    return line(custom_id, {"type": "succeeded", "message": body})


def errored(custom_id: str, kind: str = "invalid_request_error", message: str = "what was wrong") -> bytes:
    inner = {"type": kind, "message": message}
    return line(
        custom_id, {"type": "errored", "error": {"type": "error", "error": inner, "request_id": "req_1"}}
    )


def line(custom_id: str, result: dict[str, Any]) -> bytes:
    return json.dumps({"custom_id": custom_id, "result": result}).encode() + b"\n"
