"""The data root and the API for commands that run without Airflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from launch.__main__ import PROJECT, read_layout
from launch.environment import OFFLINE_KEY, Api, LaunchError, find_api, read_dotenv

if TYPE_CHECKING:
    from upath import UPath

    from nightpress.batches.client import MessageBatches


def read_settings() -> dict[str, str]:
    """Return the settings of ``.env`` and the shell; the shell's win."""
    return {**read_dotenv(PROJECT / ".env"), **os.environ}


def open_root(settings: Mapping[str, str], given: str = "") -> UPath:
    """Return the data root: given, else ``NIGHTPRESS_ROOT``, else ``data/`` in the project."""
    return open_path(read_layout({**settings, **({"NIGHTPRESS_ROOT": given} if given else {})}).root)


def open_path(url: str) -> UPath:
    """Open a URL as Airflow writes it.

    An Airflow connection in it (``s3://conn@bucket``) is not known here: the store's own default
    credentials are used, e.g. ``AWS_PROFILE``.

    :raises LaunchError: the store's fsspec package is not installed.
    """
    from upath import UPath

    parts = urlsplit(url)
    if "@" in parts.netloc:
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        path = UPath(url)
        _ = path.fs
    except (ImportError, ValueError) as error:
        raise LaunchError(f"{url} cannot be opened: {error}") from None
    return path


def connect(
    settings: Mapping[str, str], scope: str, *, base_url: str = "", api_key: str = ""
) -> MessageBatches:
    """Return the API whose ledger is ``scope``.

    Given by hand, else for ``offline`` the offline API of ``make up``, else ``ANTHROPIC_API_KEY``.

    :raises LaunchError: none is known.
    """
    import anthropic

    from nightpress.batches.client import MessageBatches, is_loopback

    if base_url:
        key = api_key or (OFFLINE_KEY if is_loopback(base_url) else settings.get("ANTHROPIC_API_KEY", ""))
        found = Api(key, base_url)
    elif scope == "offline":
        found = _running_offline_api(read_layout(settings).home)
    else:
        chosen = find_api({**settings, **({"ANTHROPIC_API_KEY": api_key} if api_key else {})})
        if chosen is None:
            raise LaunchError(
                f"no API key for {scope}: set ANTHROPIC_API_KEY in the shell or in .env, or give --api-key"
            )
        found = chosen
    if not found.key:
        raise LaunchError(f"no API key for {found.base_url}: give --api-key or set ANTHROPIC_API_KEY")
    client = anthropic.Anthropic(
        api_key=found.key, base_url=found.base_url or "https://api.anthropic.com", timeout=60.0
    )
    return MessageBatches(client)


def _running_offline_api(home: Path) -> Api:
    try:
        port = int((home / "offline-api.port").read_text())
    except (OSError, ValueError):
        raise LaunchError(
            "this shard was sent to the offline API, which is not running: start it with `make up`, or give its "
            "address with --base-url"
        ) from None
    return Api(OFFLINE_KEY, f"http://127.0.0.1:{port}", offline=True)
