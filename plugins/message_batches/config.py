"""What the adapters take from their surroundings: the connection, the data root and the run's day."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath
from airflow.sdk.definitions._internal.mixins import ResolveMixin
from airflow.sdk.exceptions import AirflowFailException

from nightpress.errors import (
    BudgetError,
    ConfigurationError,
    InputError,
    LedgerError,
    NightpressError,
    RequestRefusedError,
)
from nightpress.layout import DataRoot, check_day

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightpress.batches.client import MessageBatches
    from nightpress.batches.ledger import Ledger

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_CONN_ID = "anthropic_default"

_NO_RETRY = (BudgetError, ConfigurationError, InputError, LedgerError, RequestRefusedError)


def data_root() -> ObjectStoragePath:
    """Return the folder that everything lives under: ``NIGHTPRESS_ROOT``, or ``data/`` in the project."""
    return ObjectStoragePath(os.environ.get("NIGHTPRESS_ROOT") or f"file://{PROJECT_ROOT / 'data'}")


def connect(conn_id: str) -> MessageBatches:
    """Return the Message Batches API of an Airflow connection.

    :raises ConfigurationError: the connection's platform does not serve message batches.
    """
    import anthropic
    from airflow.providers.anthropic.hooks.anthropic import FIRST_PARTY_PLATFORMS, AnthropicHook

    from nightpress.batches.client import MessageBatches

    hook = AnthropicHook(conn_id=conn_id)
    if hook.platform not in FIRST_PARTY_PLATFORMS:
        raise ConfigurationError(
            f"connection {conn_id!r} is of platform {hook.platform!r}, which does not serve message batches; "
            f"use one of: {', '.join(sorted(FIRST_PARTY_PLATFORMS))}"
        )
    client = hook.get_conn()
    assert isinstance(client, anthropic.Anthropic)
    return MessageBatches(client)


def open_ledger(scope: str) -> Ledger:
    """Return the ledger of one API."""
    from nightpress.batches.ledger import Ledger

    return Ledger(data_root() / "ledger", scope)


def day_of_run(context: Context, day: str | None = None) -> str:
    """Return the day a run is for: given, else the run's partition key, else the day it was due.

    :param day: YYYY-MM-DD, or None.
    :raises ConfigurationError: it is not a date.
    """
    run = context["dag_run"]
    chosen = day or getattr(run, "partition_key", None) or run.run_after.date().isoformat()
    return check_day(chosen)


def run_folder(pipeline: str, day: str, run_id: str) -> ObjectStoragePath:
    """Return the folder of a run's files; a run id that is no file name is made one."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", run_id)[:120].lstrip(".")
    if safe != run_id:
        safe += "-" + hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return data_root() / "runs" / pipeline / day / safe


def is_run_folder(name: str) -> bool:
    """Tell whether a name can be that of a run's folder, as `run_folder` makes them."""
    return bool(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,128}", name))


def published_day(pipeline: str, day: str) -> ObjectStoragePath:
    """Return where a day's answers are published."""
    path = DataRoot(data_root()).answers(pipeline, day)
    assert isinstance(path, ObjectStoragePath)
    return path


def resolve(value: Any, context: Context) -> Any:
    """Return a DAG param's value of this run, or the value itself."""
    return value.resolve(context) if isinstance(value, ResolveMixin) else value


@contextmanager
def clear_failures() -> Iterator[None]:
    """Fail a task without further tries where a retry cannot help, with one clear message."""
    try:
        yield
    except _NO_RETRY as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
    except NightpressError:
        raise


def source_path(source: str | None, day: str) -> ObjectStoragePath:
    """Return what to read: the given source, else the day's inbox.

    :param source: URL or path, with ``{day}`` for the day; a relative path is one from the project's folder.
    """
    if not source:
        return data_root() / "inbox" / f"day={day}"
    source = source.replace("{day}", day)
    if "://" in source or Path(source).is_absolute():
        return ObjectStoragePath(source if "://" in source else f"file://{source}")
    return ObjectStoragePath(f"file://{PROJECT_ROOT / source}")
