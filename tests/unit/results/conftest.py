from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.results import rows


@pytest.fixture(scope="package", autouse=True)
def small_buckets() -> Iterator[None]:
    """Make every shard of these tests several buckets of rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "BUCKET_ROWS", 2)
        yield
