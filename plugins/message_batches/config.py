"""What the adapters take from their environment: the connection, the data root and the run's day."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from airflow.sdk import BaseHook, ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.local import LocalFileSystem

from message_batches.airflow_private import ResolveMixin
from message_batches.switched_on import switched_on_at
from nightpress.articles.published_source import SCHEME
from nightpress.errors import ConfigurationError
from nightpress.layout import DataRoot, check_day

if TYPE_CHECKING:
    import anthropic
    from airflow.sdk import Context

    from nightpress.articles.allowed_sources import AllowedSources
    from nightpress.batches.client import MessageBatches
    from nightpress.batches.ledger import Ledger
    from nightpress.runs.unrequested_runs import RunStart

DEFAULT_CONN_ID = "anthropic_default"

_KNOWN_CONNECTIONS: set[str] = set()
"""Those that this process has found: the data root is opened many times."""

LateSchedule: TypeAlias = Literal["ask", "run"]
"""What a run of the schedule does that only began because its DAG was switched on: ask a person, or go on."""

LATE_SCHEDULE: tuple[str, ...] = ("ask", "run")


def data_root() -> DataRoot:
    """Return the data root, under which everything is stored.

    There is no default: workers that each used a local disk would each have their own ledger, and all pay for
    the same articles.

    :raises ConfigurationError: ``NIGHTPRESS_ROOT`` is not set.
    """
    root = os.environ.get("NIGHTPRESS_ROOT")
    if not root:
        raise ConfigurationError(
            "NIGHTPRESS_ROOT is not set: it names the folder of ledger, answers and reports, and must be the same "
            "for the API server and all workers, for example s3://my_connection@my-bucket/nightpress or "
            "file:///srv/nightpress",
            code="root_unknown",
        )
    return DataRoot(open_path(root))


def open_path(url: str) -> ObjectStoragePath:
    """Return the path of a URL, or of a file or folder of this machine: the one place where a task opens either.

    :param url: as people write it, an Airflow connection in it included: ``s3://my_connection@my-bucket/nightpress``.
    :raises ConfigurationError: that connection does not exist.
    """
    check_connection(url)
    path = ObjectStoragePath(url if "://" in url else f"file://{Path(url).absolute()}")
    if path.protocol == "file" and path.conn_id is None:
        # Else Airflow loads the object stores of all providers first, a quarter of a second of CPU.
        attach("file", fs=LocalFileSystem())
    return path


def project_folder() -> Path:
    """Return the folder of relative sources: the project's, or ``AIRFLOW_HOME`` beside an installed wheel."""
    package = Path(__file__).resolve().parent
    if package.parent.name == "plugins":
        return package.parents[1]
    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()


def connect(conn_id: str) -> MessageBatches:
    """Return the Message Batches API of an Airflow connection.

    :raises ConfigurationError: the connection's platform does not serve message batches.
    """
    from nightpress.batches.client import MessageBatches
    from nightpress.batches.lean_client import LeanClient, suits_lean_client

    connection = BaseHook.get_connection(conn_id)
    if suits_lean_client(connection.password, connection.host, connection.extra_dejson):
        base_url = connection.host or None
        return MessageBatches(LeanClient(connection.password or "", base_url, lambda: _sdk_client(conn_id)))
    return MessageBatches(_sdk_client(conn_id))


def _sdk_client(conn_id: str) -> anthropic.Anthropic:
    import anthropic
    from airflow.providers.anthropic.hooks.anthropic import FIRST_PARTY_PLATFORMS, AnthropicHook

    hook = AnthropicHook(conn_id=conn_id)
    if hook.platform not in FIRST_PARTY_PLATFORMS:
        raise ConfigurationError(
            f"connection {conn_id!r} is of platform {hook.platform!r}, which does not serve message batches; "
            f"use one of: {', '.join(sorted(FIRST_PARTY_PLATFORMS))}"
        )
    client = hook.get_conn()
    assert isinstance(client, anthropic.Anthropic)
    return client


def open_ledger(scope: str) -> Ledger:
    """Return the ledger of one API."""
    from nightpress.batches.ledger import Ledger

    return Ledger(data_root().ledger(), scope)


def day_of_run(context: Context, day: str | None = None) -> str:
    """Return the day a run is for: given, else the run's partition key, else the day it was due.

    :param day: YYYY-MM-DD, or None.
    :raises ConfigurationError: it is not a date.
    """
    run = context["dag_run"]
    chosen = day or getattr(run, "partition_key", None) or run.run_after.date().isoformat()
    return check_day(chosen)


def start_of_run(context: Context, late_schedule: LateSchedule) -> RunStart:
    """Return how a run came to start; with ``"run"``, as if its slot or a person had started it."""
    from nightpress.runs.unrequested_runs import RunStart

    run: Any = context["dag_run"]
    return RunStart(
        scheduled=late_schedule == "ask" and getattr(run, "run_type", "") == "scheduled",
        due=getattr(run, "run_after", None),
        started=getattr(run, "start_date", None),
        cleared=bool(getattr(run, "clear_number", 0)),
        switched_on=switched_on_at(run),
    )


def resolve(value: Any, context: Context) -> Any:
    """Return a DAG param's value of this run, or the value itself."""
    return value.resolve(context) if isinstance(value, ResolveMixin) else value


def source_path(source: str | None, day: str) -> ObjectStoragePath:
    """Return what to read: the given source, else the day's inbox.

    :param source: URL or path, with ``{day}`` for the day; a relative path is one from the project's folder.
    """
    if not source:
        inbox = data_root().inbox(day)
        assert isinstance(inbox, ObjectStoragePath)
        return inbox
    return open_path(absolute_source(source, day))


def check_connection(url: str) -> None:
    """Refuse a URL whose Airflow connection does not exist: hooks would take the store's default credentials.

    :raises ConfigurationError: naming the connection, or saying what is wrong with the URL.
    """
    try:
        connection, at, _ = urlsplit(url).netloc.rpartition("@")
    except ValueError as error:
        raise ConfigurationError(f"{url!r:.200} is not a URL: {error}", code="url_invalid") from None
    if not at or connection in _KNOWN_CONNECTIONS:
        return
    # What stands behind a colon may be a password.
    name = connection.partition(":")[0]
    from airflow.sdk.exceptions import AirflowNotFoundException

    with suppress(AirflowNotFoundException):
        if name and name == connection:
            BaseHook.get_connection(name)
            _KNOWN_CONNECTIONS.add(name)
            return
    raise ConfigurationError(
        f"a URL names the Airflow connection {name!r:.100}, which does not exist here; create it (airflow connections "
        "add, or AIRFLOW_CONN_<ID> in the environment), correct its id before the @, or name the store without one to "
        "use the store's own credentials. Nothing was read",
        code="connection_unknown",
    )


def absolute_source(source: str, day: str) -> str:
    """Return a source with its day, a relative path as one from the project's folder."""
    source = source.replace("{day}", day)
    if "://" in source or source.startswith(SCHEME) or Path(source).is_absolute():
        return source
    return str(project_folder() / source)


def allowed_sources(declared: Iterable[object], day: str) -> AllowedSources:
    """Return what a trigger form may name: the inbox, the project's examples, what is declared, and the setting.

    :param declared: sources of the DAG file, ``published:`` ones among them.
    """
    from nightpress.articles.allowed_sources import AllowedSources, fixed_part, read_roots
    from nightpress.articles.published_source import Published

    named = [source for source in declared if isinstance(source, str) and source]
    published = [found.pipeline for source in named if (found := Published.of_source(source)) is not None]
    folders = [source for source in named if Published.of_source(source) is None]
    roots = [
        str(data_root().inboxes()),
        *(str(project_folder() / "include" / name) for name in ("sample", "examples")),
        *(absolute_source(fixed, day) for folder in folders if (fixed := fixed_part(folder)).strip("/")),
        *(absolute_source(root, day) for root in read_roots(os.environ.get("NIGHTPRESS_ALLOWED_SOURCES"))),
    ]
    return AllowedSources(tuple(roots), frozenset(published))
