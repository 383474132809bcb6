"""The keys that identify requests: request key, shard key, custom_id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

_PREFIX_LENGTH = 16


def request_key(params: bytes, betas: Sequence[str] = ()) -> bytes:
    """Return the SHA-256 of a request's canonical params, and of the betas it is sent with: 32 bytes."""
    digest = hashlib.sha256(params)
    if betas:
        digest.update(b"\n" + ",".join(betas).encode())
    return digest.digest()


def shard_key(request_keys: Iterable[bytes], salt: str = "") -> str:
    """Return the SHA-256 over a shard's request keys, in order: 64 hexadecimal characters.

    :param salt: text that makes the same requests a different shard, e.g. for fresh answers.
    """
    digest = hashlib.sha256(salt.encode())
    for key in request_keys:
        digest.update(key)
    return digest.hexdigest()


def custom_id_prefix(key: str) -> str:
    """Return what every custom_id of the shard begins with."""
    return f"{key[:_PREFIX_LENGTH]}-"


def custom_id(key: str, ordinal: int) -> str:
    """Return the custom_id of the shard's article number ``ordinal``, counted from 0."""
    return f"{key[:_PREFIX_LENGTH]}-{ordinal}"
