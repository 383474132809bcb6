"""Keep a connection's key out of errors, logs and the ledger, whatever a proxy or a gateway echoes.

An echoed key may be escaped or encoded, as in a URL, JSON, HTML, Python or base64. Each of these forms is removed
as well.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from nightpress.batches.refusals import describe_status
from nightpress.plain_text import for_log

MIN_KEY_CHARACTERS = 16
"""The vendor's keys are longer; removing a shorter one from answers could change their text."""

_REMOVED = b"[key removed]"
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")
"""Characters that no escaping changes."""

_LONGEST_WRITTEN = 20
"""Bytes of a character's longest escaped form."""

_MAX_GUARDED = 1_000
_ENTITIES = {'"': "quot", "<": "lt", ">": "gt", "'": "apos"}
_OF_SECRETS = re.compile(r"auth|key|token|secret|password|cookie|credential", re.IGNORECASE)


def find_secrets(client: object) -> tuple[str, ...]:
    """Return the client's secrets: its key and token, secret headers, and the password in its URL."""
    named = [getattr(client, "api_key", None), getattr(client, "auth_token", None)]
    for headers in (getattr(client, "auth_headers", None), getattr(client, "_custom_headers", None)):
        if isinstance(headers, Mapping):
            values = {value for name, value in headers.items() if _OF_SECRETS.search(str(name))}
            named += [re.sub(r"^(Bearer|Basic) ", "", str(value)) for value in values]
    with suppress(ValueError):
        password = urlsplit(str(getattr(client, "base_url", ""))).password or ""
        named += [password, unquote(password)]
    return tuple({value for value in named if isinstance(value, str) and len(value) >= 4})


def remove_secrets(text: str, secrets: Sequence[str]) -> str:
    """Return a text with each secret, in any of its forms, replaced by a placeholder."""
    for secret in secrets:
        text = _written(secret).sub(_REMOVED.decode(), text)
        for form in _encoded(secret):
            text = text.replace(form, _REMOVED.decode())
    return text


def redact_bytes(content: bytes, secrets: Sequence[str]) -> bytes:
    """Return the content of a reply without the secrets; short ones stay, since they may be part of an id."""
    for secret in filter(_is_long, secrets):
        content = _remove(content, secret)
        for form in _encoded(secret):
            content = content.replace(form.encode(), _REMOVED)
    return content


def _is_long(secret: str) -> bool:
    return len(secret) >= MIN_KEY_CHARACTERS


def _remove(content: bytes, secret: str) -> bytes:
    if _PLAIN.fullmatch(secret):
        return content.replace(secret.encode(), _REMOVED)
    return _written_bytes(secret).sub(_REMOVED, content)


@lru_cache(maxsize=64)
def _written(secret: str) -> re.Pattern[str]:
    """Return a pattern for a secret in text: as it is, or escaped (even twice) as in JSON, Python, HTML or a URL."""
    return re.compile("".join(map(_write, secret)))


@lru_cache(maxsize=64)
def _written_bytes(secret: str) -> re.Pattern[bytes]:
    return re.compile(_written(secret).pattern.encode())


def _write(character: str) -> str:
    if _PLAIN.fullmatch(character):
        return re.escape(character)
    code, entity = ord(character), _ENTITIES.get(character, "amp")
    return (
        rf"(?:\\{{0,8}}(?:{re.escape(character)}|[uU]00(?i:{code:02x})|x(?i:{code:02x}))|%(?:25){{0,3}}(?i:{code:02x})"
        rf"|&(?:amp;){{0,3}}(?i:#0{{0,5}}{code}|#x0{{0,5}}{code:x}|{entity});)"
    )


@lru_cache(maxsize=64)
def _encoded(secret: str) -> tuple[str, ...]:
    """Return the strings that show a secret in the hex or base64 form of a longer text, at any offset."""
    if not _is_long(secret):
        return ()
    plain = secret.encode()
    forms = {plain.hex(), plain.hex().upper()}
    for before, of_others in ((0, 0), (1, 2), (2, 3)):
        # Only whole groups of three bytes, since the characters around them also hold bits of the neighbours.
        group = base64.b64encode(bytes(before) + plain)[of_others : (before + len(plain)) // 3 * 4].decode()
        forms |= {group, group.replace("+", "-").replace("/", "_")}
    return tuple(sorted(forms, key=len, reverse=True))


def redact_stream(chunks: Iterator[bytes], secrets: Sequence[str]) -> Iterator[bytes]:
    """Yield a stream without the secrets, including a secret that spans two chunks.

    Only secrets of at least :data:`MIN_KEY_CHARACTERS` are removed, since an answer may hold a shorter one by chance.
    """
    keys = list(filter(_is_long, secrets))
    if not keys:
        yield from chunks
        return
    # Up to this many bytes at the end of a chunk may begin a key that continues in the next one.
    longest = [len(key) * (1 if _PLAIN.fullmatch(key) else _LONGEST_WRITTEN) for key in keys]
    held, size = b"", max(longest) - 1
    try:
        for chunk in chunks:
            data = held + chunk
            for key in keys:
                data = _remove(data, key)
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
        if isinstance(found, BaseExceptionGroup):
            pending += found.exceptions
        found.args = tuple(_redact_value(value, secrets) for value in found.args)
        for name, value in list(vars(found).items()):
            if isinstance(value, (str, bytes, dict, list, tuple)):
                setattr(found, name, _redact_value(value, secrets))


def _redact_value(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return remove_secrets(value, secrets)
    if isinstance(value, bytes):
        return redact_bytes(value, secrets)
    if isinstance(value, dict):
        return {_redact_value(name, secrets): _redact_value(item, secrets) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_redact_value(item, secrets) for item in value)
    return value


class _KeyFilter(logging.Filter):
    """Removes keys from the reply headers that the HTTP libraries log at level DEBUG."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: tuple[str, ...] = ()

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record."""
        record.msg, record.args = remove_secrets(record.getMessage(), self.secrets), ()
        if record.exc_info and record.exc_info[1] is not None:
            redact_error(record.exc_info[1], self.secrets)
        return True


_key_filter = _KeyFilter()
_LOGGERS = (
    "anthropic._base_client",
    "anthropic._response",
    "httpx2",
    *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)


def guard_logs(secrets: Sequence[str]) -> None:
    """Keep these secrets, and those of earlier calls, out of the logs of the libraries that send requests."""
    _key_filter.secrets = tuple(dict.fromkeys((*_key_filter.secrets, *secrets)))[-_MAX_GUARDED:]
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_key_filter)


def describe_error(error: Exception) -> str:
    """Return one line on a failed request, for logs and messages."""
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        return describe_status(error)
    return for_log(f"{type(error).__name__}: {str(error)[:300]}")
