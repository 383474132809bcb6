"""Reading the data root from a web server, without waiting long for a store that does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import HTTPException

from nightpress.errors import NightpressError

T = TypeVar("T")

PATIENCE_SECONDS = 4.0
RETRY_SECONDS = 5.0
_MAX_THREADS = 16
_STORES = (
    "aiobotocore",
    "aiohttp",
    "azure",
    "botocore",
    "fsspec",
    "gcsfs",
    "google",
    "s3fs",
    "adlfs",
    "urllib3",
)

log = logging.getLogger(__name__)


class StoreUnreachableError(OSError):
    """The data root cannot be read now; nothing is wrong with the request."""


class StoreAccess:
    """Calls that read the data root, each in a thread of its own.

    A store that does not answer holds a thread for as long as its client tries, often a minute. So nobody waits for
    it longer than a few seconds, and for a few seconds after a failure nobody asks it again.

    :param on_refusal: called when the store refuses the credentials, which may have been replaced meanwhile.
    :param clock: seconds, never going back.
    """

    def __init__(
        self,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        on_refusal: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience_seconds
        self._retry = retry_seconds
        self._on_refusal = on_refusal
        self._clock = clock
        self._pool = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="nightpress-store")
        self._lock = threading.Lock()
        self._failed_at: float | None = None
        self._reason = ""

    def ask(self, call: Callable[[], T]) -> T:
        """Return what the call returns.

        :raises StoreUnreachableError: the store failed, or has not answered in time.
        :raises FileNotFoundError: there is no such file.
        """
        with self._lock:
            if self._failed_at is not None and self._clock() - self._failed_at < self._retry:
                raise StoreUnreachableError(self._reason)
        try:
            found = self._pool.submit(call).result(self._patience)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, HTTPException, NightpressError):
            raise
        except TimeoutError as error:
            raise self._fail(f"it has not answered within {self._patience:g} seconds") from error
        except Exception as error:
            if not _is_of_store(error):
                raise
            if isinstance(error, PermissionError):
                self._on_refusal()
            raise self._fail(type(error).__name__) from error
        with self._lock:
            self._failed_at = None
        return found

    def _fail(self, reason: str) -> StoreUnreachableError:
        # The text of such an error may hold addresses with passwords; its type is enough, and the log has no more.
        with self._lock:
            self._failed_at, self._reason = self._clock(), f"The data root cannot be read: {reason}"
        log.warning("%s", self._reason)
        return StoreUnreachableError(self._reason)


def _is_of_store(error: BaseException) -> bool:
    modules = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    return isinstance(error, OSError) or not modules.isdisjoint(_STORES)
