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

from tests.support import suite_order

if TYPE_CHECKING:
    import anthropic
    from playwright.sync_api import Browser

    from tests.support.offline_api_server import LocalApiServer
    from tests.support.priced_runs import PricedRuns
    from tests.support.suite_scheduler import FoldersAndFiles

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="nightpress-test-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

settings.register_profile("nightpress", deadline=None)
settings.load_profile("nightpress")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first."""
    suite_order.sort(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FoldersAndFiles:
    """Keep the modules that share an Airflow in one process."""
    from tests.support.suite_scheduler import FoldersAndFiles

    return FoldersAndFiles(config, log)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium; see `tests.support.browser`."""
    from tests.support.browser import open_browser

    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def _offline_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    from tests.support.offline_api_server import LocalApiServer

    with LocalApiServer(tmp_path_factory.mktemp("api"), seconds_per_batch=1000.0) as server:
        yield server


@pytest.fixture
def server(_offline_api: LocalApiServer) -> LocalApiServer:
    """An empty offline API whose batches take 1,000 s of its own clock: tests move that clock."""
    _offline_api.reset()
    return _offline_api


@pytest.fixture
def client(server: LocalApiServer) -> Iterator[anthropic.Anthropic]:
    """The SDK, connected to the offline API, without retries."""
    import anthropic

    with anthropic.Anthropic(api_key="test-key", base_url=server.base_url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def _priced_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PricedRuns]:
    from tests.support.offline_api_server import LocalApiServer
    from tests.support.priced_runs import PricedRuns

    folder = tmp_path_factory.mktemp("priced_runs")
    with LocalApiServer(folder / "api", seconds_per_batch=0.05) as server:
        yield PricedRuns(server, folder / "data")


@pytest.fixture
def runs(_priced_runs: PricedRuns) -> PricedRuns:
    """A data root and an offline API without faults whose meter bills; a module's tests share both."""
    _priced_runs.server.request("DELETE", "/local/faults")
    return _priced_runs


@pytest.fixture
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every shard several buckets of two rows."""
    from nightpress.results import shard_rows

    monkeypatch.setattr(shard_rows, "BUCKET_ROWS", 2)
