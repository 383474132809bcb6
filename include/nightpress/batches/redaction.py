"""Keeping a connection's key out of errors, logs and the ledger, whatever a proxy or a gateway echoes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nightpress.batches.refusals import describe_status


def find_secrets(client: object) -> tuple[str, ...]:
    """Return what must never be stored, logged or raised: the client's key and token."""
    named = [getattr(client, "api_key", None), getattr(client, "auth_token", None)]
    headers = getattr(client, "auth_headers", None)
    if isinstance(headers, dict):
        named += [str(value).removeprefix("Bearer ") for value in headers.values()]
    return tuple({value for value in named if isinstance(value, str) and len(value) >= 4})


def remove_secrets(text: str, secrets: Sequence[str]) -> str:
    """Return a text with each secret replaced by a word that says so."""
    for secret in secrets:
        text = text.replace(secret, "[key removed]")
    return text


def redact_error(error: BaseException, secrets: Sequence[str]) -> None:
    """Remove secrets from an error and its causes, where messages, logs and tracebacks take their text from."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        found = pending.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        pending += [found.__cause__, found.__context__]
        found.args = tuple(_redact_value(value, secrets) for value in found.args)
        for name in ("message", "body", "api_message", "request_id", "type", "error_code"):
            if isinstance(value := getattr(found, name, None), (str, dict, list)):
                setattr(found, name, _redact_value(value, secrets))


def _redact_value(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return remove_secrets(value, secrets)
    if isinstance(value, dict):
        return {name: _redact_value(item, secrets) for name, item in value.items()}
    return [_redact_value(item, secrets) for item in value] if isinstance(value, list) else value


def describe_error(error: Exception) -> str:
    """Return one line on a failed request, for logs and messages."""
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        return describe_status(error)
    return f"{type(error).__name__}: {str(error)[:300]}"
