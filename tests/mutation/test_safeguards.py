"""A sample of ``make mutation``: the script works, and every mutation still fits its source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutation.check_safeguards import (
    MUTATIONS,
    Mutation,
    MutationError,
    copy_tree,
    mutate,
    try_mutation,
)


def of(name: str) -> Mutation:
    return next(mutation for mutation in MUTATIONS if mutation.name == name)


def test_a_missing_safeguard_turns_a_test_red() -> None:
    verdict = try_mutation(of("c"), ["tests/unit/test_batches_submission.py"])
    assert verdict.noticed
    assert "test_another_batch_of_the_same_size_is_not_adopted" in verdict.by


def test_a_change_that_no_test_sees_is_told() -> None:
    harmless = replace(of("d"), new="SETTLING_SECONDS = 61.0\n")
    verdict = try_mutation(harmless, ["tests/unit/test_batches_submission.py", "-k", "adopt"])
    assert not verdict.noticed
    assert verdict.by == "NO TEST WENT RED"


def test_every_mutation_fits_its_source(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    for mutation in MUTATIONS:
        path = tmp_path / mutation.file
        before = path.read_text()
        mutate(tmp_path, mutation)
        assert path.read_text() != before
        compile(path.read_text(), mutation.file, "exec")
        path.write_text(before)
    with pytest.raises(MutationError, match="holds 'not there' 0 times"):
        mutate(tmp_path, replace(of("c"), old="not there"))
