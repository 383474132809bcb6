"""Keep POST bodies that have been sent in compressed form, in the folder where they were staged.

A body is staged uncompressed, because the submission checks and streams exactly these bytes. Once its shard has
results, only a second round or a person reads it, so it is replaced by ``requests-….json.zst``.
"""

from __future__ import annotations

import logging

from nightpress.parquet_files import as_arrow_file
from nightpress.shards.request_keys import custom_id
from nightpress.storage import StoragePath, atomic_writer, open_reader

_CODEC = "zstd"

_BLOCK_BYTES = 1024 * 1024
"""Bytes of a body in one frame of the compressed form."""

_BEGINNING = 200
"""Bytes at the beginning of a body that contain its first custom_id."""

log = logging.getLogger(__name__)


class DamagedBodyError(Exception):
    """The compressed form of a body cannot be read."""


def packed_path(body: StoragePath) -> StoragePath:
    """Return where a body is kept once it is compressed."""
    return body.with_name(f"{body.name}.zst")


def pack_body(body: StoragePath) -> None:
    """Replace a body by its compressed form; a killed process leaves both files, or the body.

    A full disk must not fail a task whose answers are paid for: the body then stays uncompressed.
    """
    import pyarrow as pa

    try:
        with open_reader(body) as stream, atomic_writer(packed_path(body)) as target:
            codec = pa.Codec(_CODEC)
            # At least one frame: an empty file is not valid zstd.
            target.write(codec.compress(stream.read(_BLOCK_BYTES)))
            while block := stream.read(_BLOCK_BYTES):
                target.write(codec.compress(block))
        body.unlink()
    except FileNotFoundError:
        return  # packed before
    except OSError as error:
        log.warning("%s stays uncompressed (%s)", body, type(error).__name__)


def unpack_body(body: StoragePath, key: str) -> bool:
    """Restore the staged body of a shard that is submitted once more; return whether that was possible.

    :param key: of the shard; a body of another shard is left alone.
    """
    try:
        content = read_body(body)
    except (FileNotFoundError, DamagedBodyError):
        return False
    if custom_id(key, 0).encode() not in content[:_BEGINNING]:
        return False
    with atomic_writer(body) as target:
        target.write(content)
    return True


def read_body(body: StoragePath) -> bytes:
    """Return the bytes of a body, whether it is compressed or not.

    :param body: where it was staged.
    :raises FileNotFoundError: it is gone.
    :raises DamagedBodyError: its compressed form cannot be read.
    """
    import pyarrow as pa

    try:
        return body.read_bytes()
    except FileNotFoundError:
        packed = open_reader(packed_path(body))
    with packed:
        try:
            with pa.CompressedInputStream(as_arrow_file(packed), _CODEC) as content:
                return bytes(content.read())
        except OSError as error:
            raise DamagedBodyError(f"{packed_path(body)} cannot be read: {error}") from error
