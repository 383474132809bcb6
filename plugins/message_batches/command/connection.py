"""The data root and the API for commands that run without a task."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from message_batches.command.command_settings import (
    Api,
    CommandError,
    find_api,
    find_home,
    find_root_url,
    read_settings,
)
from nightpress.errors import ConfigurationError

if TYPE_CHECKING:
    from upath import UPath

    from nightpress.batches.client import MessageBatches
    from nightpress.layout import DataRoot

PATIENCE_SECONDS = 10.0
"""How long a command waits for the first answer of the data root's store."""

_ANY_KEY = "offline"
"""An offline API that was started by hand takes any key, unless it was given one."""


def open_root(settings: Mapping[str, str], given: str = "") -> DataRoot:
    """Return the data root: given, else ``NIGHTPRESS_ROOT``, else ``data/`` in the project.

    :raises CommandError: its store does not answer within :data:`PATIENCE_SECONDS`.
    """
    from nightpress.layout import DataRoot

    path = open_path(find_root_url(settings, given))
    check_answers(path)
    return DataRoot(path)


def check_answers(path: UPath, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Ask an object store for one file: its driver would try a store that is away for up to some minutes.

    :raises CommandError: it does not answer in time, or refuses.
    """
    from nightpress.storage import is_local

    if is_local(path):
        return
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            path.fs.info(f"{path.path.rstrip('/')}/ledger")
        except FileNotFoundError:
            pass
        except Exception as error:
            failed.append(error)

    # A daemon: whoever waits for the store in vain must not hold up the end of the command.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience_seconds)
    if not asking.is_alive() and not failed:
        return
    why = (
        f"{type(failed[0]).__name__}: {str(failed[0])[:300]}"
        if failed
        else f"no answer in {patience_seconds:g} s"
    )
    raise CommandError(
        f"the data root {path} cannot be reached ({why}). Is the store up, reachable from this machine, and is the "
        "Airflow connection in its URL known here?"
    )


def open_path(url: str) -> UPath:
    """Open a URL as Airflow writes it.

    An Airflow connection in it (``s3://conn@bucket``) is looked up as Airflow does: in the environment, the secrets
    backend and the database. A URL without one is opened with the store's own default credentials, e.g.
    ``AWS_PROFILE``; they never stand in for a connection that is not there, because they may be somebody else's.

    :raises CommandError: the store's fsspec package is not installed, or there is no such connection.
    """
    from upath import UPath

    try:
        if "@" in urlsplit(url).netloc:
            return _open_with_airflow(url)
        path = UPath(url)
        _ = path.fs
    except (ImportError, ValueError) as error:
        raise CommandError(f"{url} cannot be opened: {error}") from None
    return path


def _open_with_airflow(url: str) -> UPath:
    """Return the path with its Airflow connection.

    :raises CommandError: Airflow does not know it, or has no support for its kind of store.
    """
    from message_batches.command.dag_files import prepare_airflow

    # The root that is set stays what it is: this may be a source.
    prepare_airflow({"NIGHTPRESS_ROOT": url, **read_settings()})
    try:
        from message_batches import config

        config.check_connection(url)
        path = config.open_path(url)
        _ = path.fs
    except ConfigurationError as error:
        raise CommandError(str(error)) from None
    except (ImportError, ValueError, LookupError, OSError, RuntimeError) as error:
        raise CommandError(
            f"{url} cannot be opened with its Airflow connection ({type(error).__name__}: {str(error)[:300]}); install "
            "Airflow's provider for this kind of store, or name the store without a connection to use its own "
            "credentials"
        ) from None
    return cast("UPath", path)


def open_api(
    settings: Mapping[str, str], scope: str, *, base_url: str = "", api_key: str = ""
) -> MessageBatches:
    """Return the API whose ledger is ``scope``.

    Given by hand, else for ``offline`` the offline API of ``nightpress up``, else ``ANTHROPIC_API_KEY``.

    :raises CommandError: none is known.
    """
    import anthropic

    from nightpress.batches.client import MessageBatches

    if base_url:
        own = _offline_key(find_home(settings)) if scope == "offline" else ""
        key = api_key or own or settings.get("ANTHROPIC_API_KEY", "")
        found = Api(key, base_url)
    elif scope == "offline":
        found = _running_offline_api(find_home(settings))
    else:
        chosen = find_api({**settings, **({"ANTHROPIC_API_KEY": api_key} if api_key else {})})
        if chosen is None:
            raise CommandError(f"no API key for {scope}: set ANTHROPIC_API_KEY in the shell or in .env")
        found = chosen
    if not found.key:
        raise CommandError(f"no API key for {found.base_url}: set ANTHROPIC_API_KEY")
    client = anthropic.Anthropic(
        api_key=found.key, base_url=found.base_url or "https://api.anthropic.com", timeout=60.0
    )
    return MessageBatches(client)


def _running_offline_api(home: Path | None) -> Api:
    try:
        if home is None:
            raise FileNotFoundError
        port = int((home / "offline-api.port").read_text())
    except (OSError, ValueError):
        raise CommandError(
            "this shard was sent to the offline API, which is not running: start it with `nightpress up`, or give "
            "its address with --base-url"
        ) from None
    return Api(_offline_key(home), f"http://127.0.0.1:{port}", offline=True)


def _offline_key(home: Path | None) -> str:
    """Return the key of the offline API that the launcher started: random, and kept in its home."""
    try:
        if home is None:
            raise FileNotFoundError
        return str(json.loads((home / "launch-secrets.json").read_text())["offline_api_key"])
    except (OSError, ValueError, KeyError):
        return _ANY_KEY
