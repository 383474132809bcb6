"""Keep a connection's key out of errors, logs and the ledger, whatever a proxy or a gateway echoes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nightpress.batches.refusals import describe_status

MIN_KEY_CHARACTERS = 16
"""The vendor's keys are longer; removing a shorter one from answers could change their text."""

_REMOVED = b"[key removed]"


def find_secrets(client: object) -> tuple[str, ...]:
    """Return what must never be stored, logged or raised: the client's key and token."""
    named = [getattr(client, "api_key", None), getattr(client, "auth_token", None)]
    headers = getattr(client, "auth_headers", None)
    if isinstance(headers, dict):
        named += [str(value).removeprefix("Bearer ") for value in headers.values()]
    return tuple({value for value in named if isinstance(value, str) and len(value) >= 4})


def remove_secrets(text: str, secrets: Sequence[str]) -> str:
    """Return a text with each secret replaced by a placeholder."""
    for secret in secrets:
        text = text.replace(secret, _REMOVED.decode())
    return text


def redact_stream(chunks: Iterator[bytes], secrets: Sequence[str]) -> Iterator[bytes]:
    """Yield a stream without the secrets, including a secret that spans two chunks.

    Only secrets of at least :data:`MIN_KEY_CHARACTERS` are removed, since an answer may hold a shorter one by chance.
    """
    keys = [secret.encode() for secret in secrets if len(secret) >= MIN_KEY_CHARACTERS]
    if not keys:
        yield from chunks
        return
    # Up to this many bytes at the end of a chunk may begin a key that continues in the next one.
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
        # A stream that breaks off after its last line is complete.
        yield held
        raise
    yield held


def redact_error(error: BaseException, secrets: Sequence[str]) -> None:
    """Remove secrets from an error and its causes, in all fields that messages, logs and tracebacks show."""
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
