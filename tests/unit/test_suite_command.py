"""``make test``: the cluster's tests come last, and are never left out in silence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import __main__ as suite
from tests.support import suite_order

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("codes", "beside", "missing", "expected", "calls"),
    [
        ((0, 0), (0, 0), [], 0, 2),
        ((1, 0), (0, 0), [], 1, 2),
        ((0, 1), (0, 0), [], 1, 2),
        ((0, 0), (1, 0), [], 1, 2),
        ((0, 0), (0, 1), [], 1, 2),
        ((0,), (0, 0), ["S3 (weed)"], suite.NOT_RUN, 1),
        ((0,), (1, 0), ["S3 (weed)"], 1, 1),
        ((0,), (0, 1), ["S3 (weed)"], 1, 1),
        ((1,), (0, 0), ["S3 (weed)"], 1, 1),
        # Interrupted: what comes after is not run.
        ((2,), (1, 1), [], 2, 1),
    ],
)
def test_the_exit_code_of_all_tests(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    codes: tuple[int, ...],
    beside: tuple[int, int],
    missing: list[str],
    expected: int,
    calls: int,
) -> None:
    called: list[tuple[str, ...]] = []

    def run(*words: str) -> int:
        called.append(words)
        return codes[len(called) - 1]

    monkeypatch.setattr(suite, "_pytest", run)
    monkeypatch.setattr(suite, "missing_programs", lambda: missing)
    for name, code in zip(("TYPES", "TESTS"), beside, strict=True):
        ended = f"print({name!r}); raise SystemExit({code})"
        monkeypatch.setattr(suite, name, (sys.executable, "-c", ended))
    assert suite.main([]) == expected
    assert len(called) == calls
    assert {f"--ignore={path}" for path in (suite.CLUSTER, *suite.BESIDE_THE_CLUSTER)} <= {*called[0]}
    assert called[1:] == [(suite.CLUSTER,)] * (calls - 1)
    not_run = f"NOT RUN: {suite.CLUSTER}, since this machine has no {missing[0]}" if missing else ""
    expected_lines = [line for line in ("TESTS", "TYPES", not_run) if line and codes != (2,)]
    assert capfd.readouterr().out.splitlines() == expected_lines


def test_no_test_is_left_out() -> None:
    assert [path for path in suite.BESIDE_THE_CLUSTER if not (PROJECT / path).exists()] == []
    assert suite.TESTS[3:] == suite.BESIDE_THE_CLUSTER


def test_arguments_are_pytests(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(suite, "_pytest", lambda *words: called.append(words) or 5)
    assert suite.main(["tests/unit", "-k", "x"]) == 5
    assert called == [("tests/unit", "-k", "x")]


def test_what_is_named_in_the_order_is_there() -> None:
    assert [path for path in suite_order.LONGEST_FIRST if not (PROJECT / path).exists()] == []
    for name in suite_order.FIRST_IN_FOLDER:
        assert len(list((PROJECT / suite_order.SHARED).glob(f"*/{name}"))) == 1, name


def test_whatever_starts_an_airflow_comes_before_the_rest() -> None:
    """Else two processes would not end at about the same time."""
    mark = "\npytestmark = pytest.mark.airflow\n"
    slow = [path for path in (PROJECT / "tests").rglob("test_*.py") if mark in path.read_text()]
    scopes = {suite_order.scope(str(path.relative_to(PROJECT))) for path in slow}
    assert scopes - set(suite_order.LONGEST_FIRST) == {
        f"{suite.CLUSTER}/test_cluster.py"
    }  # alone, afterwards


def test_a_folder_with_one_airflow_stays_together_in_its_order() -> None:
    folder = f"{suite_order.SHARED}project_dags"
    files = [f"{folder}/{name}" for name in ("test_days.py", "test_examples.py", "test_report.py")]
    assert {suite_order.scope(f"{path}::test_x[a::b]") for path in files} == {folder}
    in_order = sorted([*files, "tests/unit/test_layout.py"], key=suite_order.place)
    assert [Path(path).name for path in in_order] == [
        "test_examples.py",
        "test_days.py",
        "test_report.py",
        "test_layout.py",
    ]
