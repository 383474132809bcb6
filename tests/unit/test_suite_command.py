"""``make test``: the cluster's tests come last, and are never left out in silence."""

from __future__ import annotations

import pytest

from tests import __main__ as suite


@pytest.mark.parametrize(
    ("codes", "missing", "expected", "calls"),
    [
        ((0, 0), [], 0, 2),
        ((1, 0), [], 1, 2),
        ((0, 1), [], 1, 2),
        ((0,), ["S3 (weed)"], suite.NOT_RUN, 1),
        ((1,), ["S3 (weed)"], 1, 1),
        # Interrupted: what comes after is not run.
        ((2,), [], 2, 1),
    ],
)
def test_the_exit_code_of_all_tests(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    codes: tuple[int, ...],
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
    assert suite.main([]) == expected
    assert len(called) == calls
    assert f"--ignore={suite.CLUSTER}" in called[0]
    assert called[1:] == [(suite.CLUSTER,)] * (calls - 1)
    last = capsys.readouterr().out.strip()
    assert last == (
        f"NOT RUN: {suite.CLUSTER}, since this machine has no {missing[0]}" if missing and calls == 1 else ""
    )


def test_arguments_are_pytests(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(suite, "_pytest", lambda *words: called.append(words) or 5)
    assert suite.main(["tests/unit", "-k", "x"]) == 5
    assert called == [("tests/unit", "-k", "x")]
