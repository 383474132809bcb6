"""Create a file only if it does not exist yet, on the stores that can do so; this makes the right to POST exclusive.

=====================  ===================================================  ======================================
store                  how                                                  tested here
=====================  ===================================================  ======================================
local disk, NFS        hard link, fails when the name is taken              yes: threads and processes
S3 (AWS)               conditional put, ``If-None-Match: *``                the driver with moto; no real account
S3 of other vendors    the same, if the server honours it: checked once     moto; servers that answer 412 without
                       per process by creating a file twice                 a condition; one that ignores it
Google Cloud Storage   ``ifGenerationMatch=0`` (gcsfs, ``mode="create"``)   the driver's request and its replies
Azure Blob Storage     ``overwrite=False`` (adlfs)                          the driver's request and its replies
memory                 one process only: for tests                          yes
any other              none: the driver checks first and then writes        refused
=====================  ===================================================  ======================================

Without it, two workers could both take the right to POST a shard and pay twice. Such a store is therefore refused
unless ``NIGHTPRESS_ALLOW_UNSAFE_STORE=1`` accepts that risk, for example with a single worker.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

from nightpress.errors import ConfigurationError

UNSAFE_STORE_SETTING = "NIGHTPRESS_ALLOW_UNSAFE_STORE"

_S3 = frozenset({"s3", "s3a"})
_GOOGLE = frozenset({"gs", "gcs"})
_AZURE = frozenset({"abfs", "abfss", "az", "adl"})
_MEMORY = frozenset({"memory"})
_CONFLICT_TRIES = 5

_memory_lock = threading.Lock()
_asked: dict[tuple[str, str], bool] = {}


def create_if_absent(fs: Any, path: str, data: bytes) -> bool:
    """Store ``data`` under ``path`` of an object store unless the file exists; return False if it does.

    :raises OSError: the store does not answer.
    """
    protocols = _protocols(fs)
    if protocols & _MEMORY:
        with _memory_lock:
            return _create(fs, path, data, mode="create")
    if protocols & _AZURE:
        return _create(fs, path, data, overwrite=False)
    return _create(fs, path, data, mode="create")


def _create(fs: Any, path: str, data: bytes, **how: Any) -> bool:
    for number in range(_CONFLICT_TRIES):
        try:
            fs.pipe_file(path, data, **how)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            if is_taken(error):
                return False
            if not _is_conflict(error) or number == _CONFLICT_TRIES - 1:
                raise
            # Another conditional write of the same name is under way: its outcome decides.
            time.sleep(0.05 * 2**number)
        except Exception as error:
            # The drivers for Google and Azure raise their own errors, some of which are not an OSError.
            if is_taken(error):
                return False
            raise
    raise AssertionError("the last try returns or raises")


def is_taken(error: Exception) -> bool:
    """Return whether an error means that the name is taken.

    s3fs raises ``FileExistsError`` only if the reply names the condition; SeaweedFS and others answer a bare 412,
    which arrives as ``OSError`` 22.
    """
    number = getattr(error, "errno", None)
    if isinstance(error, FileExistsError) or number == errno.EEXIST:
        return True
    if number == errno.EINVAL and "pre-condition" in str(error):
        return True
    return any(
        code in {"PreconditionFailed", "412", "ConditionNotMet", "BlobAlreadyExists"} or status == 412
        for code, status in _replies(error)
    )


def _is_conflict(error: OSError) -> bool:
    return any(
        code in {"ConditionalRequestConflict", "409"} or status == 409 for code, status in _replies(error)
    )


def _replies(error: BaseException | None) -> Iterator[tuple[str, int]]:
    """Yield the code and HTTP status of each store reply that an error and its causes hold."""
    for _ in range(10):
        if error is None:
            return
        reply = getattr(error, "response", None)
        if isinstance(reply, dict):
            code = str(reply.get("Error", {}).get("Code", ""))
            yield code, int(reply.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
        # azure-core has code and status in `error_code` and `status_code`; gcsfs has the status in `code`.
        told = getattr(error, "error_code", None)
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        number = int(str(status)) if str(status).isdigit() else 0
        if told or number:
            yield str(told or ""), number
        error = error.__cause__ or error.__context__


def check_exclusive_create(fs: Any, folder: str) -> None:
    """Make sure that a store can create a file exclusively.

    An S3 server of another vendor is checked once per process, by creating a file twice.

    :param folder: where the test file may be created.
    :raises ConfigurationError: it cannot, and the environment does not accept the risk.
    """
    if os.environ.get(UNSAFE_STORE_SETTING) == "1":
        return
    protocols = _protocols(fs)
    if protocols & (_GOOGLE | _AZURE | _MEMORY) or protocols & {"file", "local"}:
        return
    if protocols & _S3:
        endpoint = _endpoint(fs)
        asked = (endpoint, folder.split("/", 1)[0])
        if not endpoint or _is_aws(endpoint) or _asked.get(asked):
            return
        if _honours_condition(fs, folder):
            _asked[asked] = True
            return
        why = f"the S3 server at {endpoint} overwrites a file although it was told not to (If-None-Match)"
    else:
        why = f"the store of {folder} ({', '.join(sorted(protocols))}) cannot create a file only if it is absent"
    raise ConfigurationError(
        f"{why}, so two workers could both send a shard and pay for it twice. Use a local disk or NFS, S3, Google "
        f"Cloud Storage or Azure Blob Storage for the data root; or set {UNSAFE_STORE_SETTING}=1 to take the risk, "
        "for example with a single worker.",
        code="unsafe_store",
    )


def _honours_condition(fs: Any, folder: str) -> bool:
    probe = f"{folder.rstrip('/')}/.exclusive-create-{secrets.token_hex(8)}"
    try:
        return create_if_absent(fs, probe, b"1") and not create_if_absent(fs, probe, b"2")
    finally:
        fs.rm_file(probe)


def _protocols(fs: Any) -> frozenset[str]:
    found = getattr(fs, "protocol", ())
    return frozenset({found} if isinstance(found, str) else found)


def _endpoint(fs: Any) -> str:
    given = getattr(fs, "client_kwargs", None) or {}
    return str(
        getattr(fs, "endpoint_url", None)
        or given.get("endpoint_url")
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or ""
    )


def _is_aws(endpoint: str) -> bool:
    from urllib.parse import urlsplit

    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
