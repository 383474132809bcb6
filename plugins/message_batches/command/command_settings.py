"""Settings of the command: the shell's, and those of ``.env`` in a checkout of the project."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


class CommandError(Exception):
    """Something that the person who typed the command can correct: the message says what. Exit code 2."""


@dataclass(frozen=True, slots=True)
class Api:
    """Which Message Batches API is used, and with which key.

    :param key: sent as ``x-api-key``; never printed.
    :param base_url: None for the SDK's default, the real API.
    :param offline: True when it is the offline API, which calls no model and bills nothing.
    """

    key: str = field(repr=False)
    base_url: str | None = None
    offline: bool = False

    def connection(self) -> str:
        """Return the Airflow connection as JSON, the form that needs no escaping of the key."""
        parts = {"conn_type": "anthropic", "password": self.key}
        if self.base_url:
            parts["host"] = self.base_url
        return json.dumps(parts)


def find_checkout() -> Path | None:
    """Return the project's folder when this package is run from a checkout, None when it was installed."""
    folder = Path(__file__).resolve().parents[3]
    return folder if (folder / "launch" / "__main__.py").is_file() else None


def find_declaration() -> Path | None:
    """Return the ``pyproject.toml`` of the checkout, None outside of one."""
    checkout = find_checkout()
    return checkout / "pyproject.toml" if checkout else None


def read_settings() -> dict[str, str]:
    """Return the environment, and in a checkout also its ``.env``; the environment wins.

    :raises CommandError: a line of ``.env`` cannot be read.
    """
    checkout = find_checkout()
    return {**(read_dotenv(checkout / ".env") if checkout else {}), **os.environ}


def read_dotenv(path: Path) -> dict[str, str]:
    """Read a ``.env`` file; a missing one gives an empty mapping. A ``$`` in a value stays as it is.

    :raises CommandError: a line is not NAME=value, with its number and never its value.
    """
    from dotenv.parser import parse_stream

    if not path.is_file():
        return {}
    values: dict[str, str] = {}
    with path.open(encoding="utf-8-sig") as file:
        for binding in parse_stream(file):
            line = binding.original.line
            if binding.error or (binding.key is not None and not _is_name(binding.key)):
                raise CommandError(f"{path}, line {line}: expected NAME=value (quotes must be closed)")
            if binding.key is not None:
                if binding.value is None:
                    raise CommandError(f"{path}, line {line}: expected NAME=value")
                values[binding.key] = binding.value
    return values


def _is_name(name: str) -> bool:
    return name.replace("_", "a").isalnum() and not name[0].isdigit()


def find_root_url(settings: Mapping[str, str], given: str = "") -> str:
    """Return the URL of the data root: given, else ``NIGHTPRESS_ROOT``, else ``data/`` of the checkout.

    :raises CommandError: none is named, and there is no checkout.
    """
    root = given or settings.get("NIGHTPRESS_ROOT", "")
    if not root:
        checkout = find_checkout()
        if checkout is None:
            raise CommandError(
                "the data root is not known: set NIGHTPRESS_ROOT to that of your Airflow, or give --root, "
                "for example s3://my_connection@my-bucket/nightpress"
            )
        root = str(checkout / "data")
    return root if "://" in root else _file_url(Path(root).expanduser().absolute())


def _file_url(path: Path) -> str:
    """Return the URL under which fsspec finds a local path: it decodes no %20.

    Earlier versions encoded the path; what they wrote is under that name, and a ledger must not get lost.
    """
    encoded = path.as_uri()
    old = Path(encoded.removeprefix("file://"))
    return encoded if old != path and old.exists() and not path.exists() else f"file://{path}"


def find_home(settings: Mapping[str, str]) -> Path | None:
    """Return the home of the Airflow that ``nightpress up`` starts; None outside a checkout."""
    checkout, given = find_checkout(), settings.get("NIGHTPRESS_HOME")
    if given:
        return Path(given).expanduser().absolute()
    return checkout / ".airflow" if checkout else None


def find_api(settings: Mapping[str, str]) -> Api | None:
    """Return the API that the user chose; None means the offline one, whose address is not known yet.

    :param settings: ``ANTHROPIC_API_KEY`` chooses the real API, ``ANTHROPIC_BASE_URL`` its address.
    """
    key = settings.get("ANTHROPIC_API_KEY", "").strip()
    if not key:
        return None
    base_url = settings.get("ANTHROPIC_BASE_URL", "").strip() or None
    if base_url and urlsplit(base_url).scheme not in {"http", "https"}:
        raise CommandError(f"ANTHROPIC_BASE_URL is {base_url!r}; it must begin with https:// or http://")
    return Api(key=key, base_url=base_url)
