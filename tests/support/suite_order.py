"""Which tests run in one process, and what comes first.

A folder of `tests/integration` has one Airflow for all its modules, so that they run in one process, one after the
other. What takes longest begins first: two processes then end at about the same time, with files of the unit tests,
which take seconds each.
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
"""An empty page, and schedules that no other module has switched on, are had only in the beginning."""


def scope(nodeid: str) -> str:
    """Return what runs in one process: the test's folder where that has one Airflow, else its file.

    >>> scope("tests/integration/small_shards/test_page.py::test_a_plan_is_shown_as_text")
    'tests/integration/small_shards'
    >>> scope("tests/integration/test_launch.py::test_stop_leaves_no_process")
    'tests/integration/test_launch.py'
    """
    path = nodeid.partition("::")[0]
    folder = path.rpartition("/")[0]
    return folder if folder.startswith(SHARED) else path


def place(nodeid: str) -> tuple[int, bool]:
    """Return the key that tests are sorted by."""
    found = scope(nodeid)
    rank = LONGEST_FIRST.index(found) if found in LONGEST_FIRST else len(LONGEST_FIRST)
    return rank, not nodeid.partition("::")[0].endswith(FIRST_IN_FOLDER)


def sort(items: list[pytest.Item]) -> None:
    """Put what takes longest first."""
    items.sort(key=lambda item: place(item.nodeid))
