"""A real browser for a test, found or set up: headless Chromium driven by playwright.

with open_browser() as browser:
    page = browser.new_page()

The fixture ``browser`` in `tests/conftest.py` gives one to a module's tests. While it is open, playwright keeps an
event loop in the thread, so a test that uses it cannot call ``asyncio.run``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--no-first-run",
    "--password-store=basic",
)
_SET_UP_SECONDS = 600


class NoBrowserError(Exception):
    """There is no Chromium and none can be set up; the message says what was tried."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Open headless Chromium, setting one up when this machine has none.

    :raises NoBrowserError: there is none, and set-up failed.
    """
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work as root, and containers seldom have the user namespaces it needs.
        options = [*OPTIONS, "--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=find_chromium(playwright), args=options)
        try:
            yield browser
        finally:
            browser.close()


def find_chromium(playwright: Playwright) -> str:
    """Return the path of a Chromium: on PATH, playwright's own, or one that is installed now.

    :raises NoBrowserError: there is none; the message says what was tried.
    """
    if found := _find_on_path():
        return found
    own = Path(playwright.chromium.executable_path)
    tried = []
    for command in ([], *_installers()):
        if command:
            tried.append(f"{' '.join(command)}: {_run(command)}")
        if found := _find_on_path():
            return found
        if own.exists():
            return str(own)
        if shells := sorted(own.parents[1].parent.glob("chromium_headless_shell-*/*/*headless*shell")):
            return str(shells[-1])
    raise NoBrowserError(
        f"the browser tests need Chromium: none of {', '.join(NAMES)} is on PATH, and setting one up failed.\n"
        + "\n".join(tried)
        + "\nInstall one (Debian: apt-get install chromium) and run the tests again."
    )


def _find_on_path() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _installers() -> list[list[str]]:
    commands = [[sys.executable, "-m", "playwright", "install", "chromium", "--only-shell"]]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        commands += [
            ["apt-get", "update"],
            ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
        ]
    return commands


def _run(command: list[str]) -> str:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=_SET_UP_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return f"exit code {done.returncode}: {' | '.join(lines[-3:])}"
