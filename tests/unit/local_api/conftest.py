from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest

from tests.local_api_server import LocalApiServer


@pytest.fixture(scope="package")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    with LocalApiServer(tmp_path_factory.mktemp("api"), seconds_per_batch=1000.0) as server:
        yield server


@pytest.fixture
def server(_server: LocalApiServer) -> LocalApiServer:
    """An empty server whose batches take 1,000 s of its own clock: tests move that clock."""
    _server.reset()
    return _server


@pytest.fixture
def client(server: LocalApiServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="test-key", base_url=server.base_url, max_retries=0) as client:
        yield client
