"""Which tests share a process, and which start first.

The modules of a folder of `tests/integration` share one Airflow, so they run in one process, one after the other.
The longest ones start first. The unit tests come last: their files take seconds each, so two processes end at about
the same time.
"""

from __future__ import annotations

import pytest

SHARED = "tests/integration/"
LONGEST_FIRST = (
    "tests/integration/project_dags",
    "tests/integration/small_shards",
    "tests/integration/test_launch.py",
    "tests/chaos/test_chaos.py",
    "tests/integration/test_wheel.py",
    "tests/integration/test_login.py",
    "tests/integration/test_page_access.py",
    "tests/integration/test_official_clients.py",
    "tests/unit/test_benchmarks_memory.py",
    "tests/mutation/test_safeguards.py",
)
FIRST_IN_FOLDER = ("test_page.py", "test_examples.py")
"""They need an empty page, or schedules that no other module has switched on, so they run first."""


def scope(nodeid: str) -> str:
    """Return the scope that runs in one process: the test's folder if that has one Airflow, else its file.

    >>> scope("tests/integration/small_shards/test_page.py::test_a_plan_is_shown_as_text")
    'tests/integration/small_shards'
    >>> scope("tests/integration/test_launch.py::test_stop_leaves_no_process")
    'tests/integration/test_launch.py'
    """
    path = nodeid.partition("::")[0]
    folder = path.rpartition("/")[0]
    return folder if folder.startswith(SHARED) else path


def place(nodeid: str) -> tuple[int, bool]:
    """Return the key by which tests are sorted."""
    found = scope(nodeid)
    rank = LONGEST_FIRST.index(found) if found in LONGEST_FIRST else len(LONGEST_FIRST)
    return rank, not nodeid.partition("::")[0].endswith(FIRST_IN_FOLDER)


def sort(items: list[pytest.Item]) -> None:
    """Put the longest tests first."""
    items.sort(key=lambda item: place(item.nodeid))
