"""Two writers that make a day the current one at the same moment: every publication stays in the history."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nightpress.days import publications, publish
from nightpress.days.publications import list_publications, restore_publication
from nightpress.days.publish import Replacing
from nightpress.storage import StoragePath
from tests.support.ended_batches import DAY
from tests.support.whole_runs import PIPELINE, WholeRuns

Writer = Callable[[], object]


def rows(run: str, count: int = 3) -> list[dict[str, str]]:
    return [{"content": f"{run} {number}"} for number in range(count)]


def shown(runs: WholeRuns) -> list[str]:
    return sorted(found.run for found in list_publications(runs.root, PIPELINE, DAY))


def at_once(*writers: Writer) -> None:
    """Run writers in threads; an error of one fails the test."""
    errors: list[BaseException] = []

    def call(writer: Writer) -> None:
        try:
            writer()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


@pytest.fixture
def runs(tmp_path: Path) -> WholeRuns:
    return WholeRuns(tmp_path)


def prepare(runs: WholeRuns, *names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs come as far as their publication."""
    with monkeypatch.context() as patch:
        patch.setattr(runs, "publish_again", lambda name, replacing: None)
        for name in names:
            runs.publish(name, rows(name))


def after_keeping(both: threading.Barrier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop every writer when it has kept the current publication, until all have."""
    for module in (publish, publications):
        real = module.keep_publication

        def stopped(
            *given: object, real: Callable[..., StoragePath | None] = real, **more: object
        ) -> StoragePath | None:
            kept = real(*given, **more)
            both.wait()
            return kept

        monkeypatch.setattr(module, "keep_publication", stopped)


@pytest.mark.parametrize("before", [[], ["zero"]], ids=["first publication", "published before"])
def test_two_runs_publish_at_the_same_moment(
    runs: WholeRuns, before: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in before:
        runs.publish(name, rows(name))
    prepare(runs, "one", "two", monkeypatch=monkeypatch)
    with monkeypatch.context() as patch:
        after_keeping(threading.Barrier(2, timeout=60), patch)
        at_once(lambda: runs.publish_again("one"), lambda: runs.publish_again("two"))
    assert shown(runs) == sorted([*before, "one", "two"])
    for found in list_publications(runs.root, PIPELINE, DAY)[1:]:
        assert restore_publication(runs.root, PIPELINE, DAY, found.name).run == found.run
    assert shown(runs) == sorted([*before, "one", "two"])


def test_a_publication_that_is_restored_while_a_run_publishes_stays(
    runs: WholeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has kept the publication before it, and replaces the restored one without having seen it."""
    for name in ("zero", "one"):
        runs.publish(name, rows(name))
    prepare(runs, "two", monkeypatch=monkeypatch)
    _, zero = list_publications(runs.root, PIPELINE, DAY)
    real = publish.keep_publication

    def restore_meanwhile(*given: object, **more: object) -> StoragePath | None:
        kept = real(*given, **more)  # type: ignore[arg-type]
        restore_publication(runs.root, PIPELINE, DAY, zero.name)
        return kept

    with monkeypatch.context() as patch:
        patch.setattr(publish, "keep_publication", restore_meanwhile)
        runs.publish_again("two")
    assert shown(runs) == ["one", "two", "zero"]


def test_two_runs_that_keep_the_same_publication_do_not_stop_each_other(
    runs: WholeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find its earlier copy, and each replaces it by its own."""
    for name in ("zero", "one"):
        runs.publish(name, rows(name))
    _, zero = list_publications(runs.root, PIPELINE, DAY)
    restore_publication(runs.root, PIPELINE, DAY, zero.name)
    restore_publication(runs.root, PIPELINE, DAY, list_publications(runs.root, PIPELINE, DAY)[1].name)
    prepare(runs, "two", "three", monkeypatch=monkeypatch)
    both, real = threading.Barrier(2, timeout=60), publications._copy

    def together(source: StoragePath, target: StoragePath) -> None:
        real(source, target)
        if source.name == "answers.parquet":
            both.wait()

    with monkeypatch.context() as patch:
        patch.setattr(publications, "_copy", together)
        at_once(lambda: runs.publish_again("two"), lambda: runs.publish_again("three"))
    assert set(shown(runs)) == {"zero", "one", "two", "three"}


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_what_is_stored_in_advance_does_not_count(
    runs: WholeRuns, keep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has not published lets every later one store its own file too."""
    prepare(runs, "waiting", monkeypatch=monkeypatch)
    for name in ("zero", "one", "two", "three"):
        runs.publish(name, rows(name), replacing=Replacing(keep=keep))
    assert len(list_publications(runs.root, PIPELINE, DAY)) == 1 + keep


def test_a_day_with_one_run_is_stored_once(runs: WholeRuns) -> None:
    runs.publish("zero", rows("zero"))
    assert not runs.root.publications(PIPELINE, DAY).exists()
