"""Keeping a connection's key out of errors, logs and the ledger, whatever a proxy or a gateway echoes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nightpress.batches.refusals import describe_status

MIN_KEY_CHARACTERS = 16
"""A shorter key is none of the vendor's; removing it from answers could change what they say."""

_REMOVED = b"[key removed]"


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
        text = text.replace(secret, _REMOVED.decode())
    return text


def redact_stream(chunks: Iterator[bytes], secrets: Sequence[str]) -> Iterator[bytes]:
    """Yield a stream without the secrets, also where one lies across two chunks.

    Words that any answer may hold are left as they are: only secrets of :data:`MIN_KEY_CHARACTERS` are looked for.
    """
    keys = [secret.encode() for secret in secrets if len(secret) >= MIN_KEY_CHARACTERS]
    if not keys:
        yield from chunks
        return
    # So much of a chunk may be the beginning of a key that continues in the next one.
    held, size = b"", max(map(len, keys)) - 1
    try:
        for chunk in chunks:
            data = held + chunk
            for key in keys:
                data = data.replace(key, _REMOVED)
            if len(data) > size:
                yield data[:-size]
            held = data[-size:]
    except Exception:
        # A stream that breaks off behind its last line is whole.
        yield held
        raise
    yield held


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
