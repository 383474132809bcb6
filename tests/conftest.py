"""What all tests share.

Airflow reads its settings when it is imported: it is given a home of its own before any test does that. Examples of
property tests have no deadline: a busy machine is no defect.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="nightpress-test-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

settings.register_profile("nightpress", deadline=None)
settings.load_profile("nightpress")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium; see `tests.browser`."""
    from tests.browser import open_browser

    with open_browser() as opened:
        yield opened
