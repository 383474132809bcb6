"""Secrets of one instance: its random keys, the user's password, and the one-time link of a start.

All are files in the home with mode 0600, and the home itself is closed to others (0700).
"""

from __future__ import annotations

import json
import os
import secrets
from base64 import urlsafe_b64encode
from pathlib import Path

USER = "admin"
LINK_VARIABLE = "NIGHTPRESS_LOGIN_LINK_FILE"
SECRET_BYTES = {
    "fernet_key": 32,
    "jwt_secret": 64,
    "api_secret_key": 32,
    "password": 18,
    "offline_api_key": 24,
}
"""Bytes: Fernet needs exactly 32; SHA-512, which signs Airflow's tokens, 64 or more (RFC 7518, 3.2)."""

SECRETS_FILE = "launch-secrets.json"


def read_secrets(home: Path) -> dict[str, str]:
    """Return the instance's random keys and password; make and store missing ones."""
    path = home / SECRETS_FILE
    kept = json.loads(path.read_text()) if path.is_file() else {}
    found = {name: str(kept[name]) for name in SECRET_BYTES if kept.get(name)}
    if len(found) == len(SECRET_BYTES):
        return found
    made = {
        name: urlsafe_b64encode(secrets.token_bytes(size)).decode() for name, size in SECRET_BYTES.items()
    }
    write_private(path, json.dumps({**made, **found}))
    return {**made, **found}


def write_private(path: Path, text: str) -> None:
    """Write a file atomically that only its owner can read."""
    close_home(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def close_home(home: Path) -> None:
    """Make a home that only its owner can enter: database, logs and secrets are in it."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if home.stat().st_uid == os.getuid() and home.stat().st_mode & 0o077:
        home.chmod(0o700)


def passwords_file(home: Path) -> Path:
    """Return the file from which Airflow's simple auth manager reads the password."""
    return home / "launch-passwords.json"


def link_file(home: Path) -> Path:
    """Return the file that holds this start's one-time key until it is used."""
    return home / "launch-login-link.key"


def write_login(home: Path) -> str:
    """Store the user's password and a new one-time key; return the key."""
    key = secrets.token_urlsafe(24)
    write_private(passwords_file(home), json.dumps({USER: read_secrets(home)["password"]}))
    write_private(link_file(home), key)
    return key
