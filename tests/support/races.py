"""Races for the right to POST a shard: two processes, each with a ledger and a driver of its own, at one moment.

``make races`` runs 10,000 of them on SeaweedFS and on moto; tests run a few hundred.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from upath import UPath

from launch.cluster.servers import BUCKET, S3_KEY, S3_SECRET, Servers, missing_programs
from launch.processes import Processes
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.ledger_records import Attempt, decode
from nightpress.store_reads import read_files
from tests.support import s3_server

SCOPE = "api.anthropic.com"
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of some races.

    :param winners: number of races by number of winners; an exclusive store has only ``{1: races}``.
    :param wins: races that each process won.
    :param mistaken: races whose file on the store does not hold the token of the only winner.
    """

    races: int
    winners: Mapping[int, int]
    wins: tuple[int, ...]
    mistaken: int
    seconds: float

    @property
    def is_exclusive(self) -> bool:
        """True when each race had exactly one winner, whose token is on the store."""
        return self.winners == {1: self.races} and not self.mistaken

    def describe(self) -> str:
        """Return a line for a person."""
        winners = ", ".join(f"{count:,} with {number}" for number, count in sorted(self.winners.items()))
        shares = " and ".join(f"{wins:,}" for wins in self.wins)
        return (
            f"{self.races:,} races in {self.seconds:.0f} s. Winners: {winners}. The two processes won {shares}. "
            f"Another token on the store: {self.mistaken}."
        )


def run_races(root: str, options: Mapping[str, Any], races: int) -> Outcome:
    """Let two processes race for the first attempt of each of this many shards.

    :param root: URL of an empty folder.
    :param options: storage options for its driver.
    """
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(2), spawn.SimpleQueue()
    began = time.monotonic()
    both = [
        spawn.Process(target=_race, args=((root, options), races, barrier, answers, number), daemon=True)
        for number in range(2)
    ]
    try:
        for process in both:
            process.start()
        # A process that fails breaks the barrier, and returns the results it has.
        won = dict(answers.get() for _ in both)
    finally:
        for process in both:
            process.kill()
            process.join()
    return _judge(root, options, races, [won[0], won[1]], time.monotonic() - began)


class _Attempts(Ledger):
    """A ledger that stores only attempts: the entry, which the winner stores next, is not part of the race."""

    def save(self, entry: Entry) -> Entry:
        """Store nothing."""
        return entry


def _race(
    store: tuple[str, Mapping[str, Any]],
    races: int,
    barrier: Barrier,
    answers: SimpleQueue[tuple[int, dict[str, str]]],
    number: int,
) -> None:
    won: dict[str, str] = {}
    try:
        root, options = store
        ledger = _Attempts(UPath(root, **options) / "ledger", SCOPE)
        for race in range(races):
            key = _key(race)
            barrier.wait(_PATIENCE_SECONDS)
            taken = ledger.take_attempt(Entry(key=key, requests=1, bytes=1), 1.0, 2.0)
            if taken is not None:
                won[key] = taken.attempts[-1].token
    finally:
        barrier.abort()
        answers.put((number, won))


def _key(race: int) -> str:
    return f"{race:064x}"


def _judge(
    root: str, options: Mapping[str, Any], races: int, won: list[dict[str, str]], seconds: float
) -> Outcome:
    folder = Ledger(UPath(root, **options) / "ledger", SCOPE).folder / "attempts"
    stored = {
        name.removesuffix(".1.json"): decode(Attempt, content, name).token
        for name, content in read_files(folder, [f"{_key(race)}.1.json" for race in range(races)])
        if isinstance(content, bytes)
    }
    tokens = {
        _key(race): [process[_key(race)] for process in won if _key(race) in process] for race in range(races)
    }
    return Outcome(
        races=races,
        winners=Counter(map(len, tokens.values())),
        wins=tuple(map(len, won)),
        mistaken=sum(found != [stored.get(key)] for key, found in tokens.items()),
        seconds=seconds,
    )


@contextmanager
def seaweedfs(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run SeaweedFS alone, and yield root and options of a folder on it."""
    processes = Processes(logs=folder / "logs", cwd=folder)
    servers = Servers(folder / "servers", processes)
    try:
        servers.start_s3()
        yield f"s3://{BUCKET}/races", s3_server.options(servers.s3_url) | {"key": S3_KEY, "secret": S3_SECRET}
    finally:
        processes.close()


@contextmanager
def moto(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run moto's server, and yield root and options of a folder on it."""
    with s3_server.s3_server(folder) as url:
        options = s3_server.options(url)
        UPath("s3://races/root", **options).fs.call_s3("create_bucket", Bucket="races")
        yield "s3://races/root", options


STORES: Mapping[str, Callable[[Path], Any]] = {"SeaweedFS": seaweedfs, "moto": moto}


def main() -> int:
    """Race on every store and print the results; return 1 if a right was given twice or not at all."""
    parser = argparse.ArgumentParser(prog="make races", description=__doc__)
    parser.add_argument("races", type=int, nargs="?", default=10_000)
    parser.add_argument("--store", choices=list(STORES), action="append", help="only on this one")
    given = parser.parse_args()
    bad = False
    for name in given.store or STORES:
        if name == "SeaweedFS" and (
            missing := [what for what in missing_programs() if what.startswith("S3")]
        ):
            print(f"{name}: not run: there is no {missing[0]}")
            bad = True
            continue
        with (
            tempfile.TemporaryDirectory(prefix="nightpress-races-") as folder,
            STORES[name](Path(folder)) as store,
        ):
            root, options = store
            outcome = run_races(root, options, given.races)
        print(f"{name}: {outcome.describe()}", flush=True)
        bad |= not outcome.is_exclusive
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
