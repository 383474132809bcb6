"""What is inside a run's folder and inside a ledger's; where these folders are is in :mod:`nightpress.layout`."""

from __future__ import annotations

from dataclasses import dataclass

from nightpress.storage import StoragePath


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run, ``runs/<pipeline>/<day>/<run>/``.

    :param path: as :meth:`nightpress.layout.DataRoot.run_folder` gives it.
    """

    path: StoragePath

    @property
    def plan(self) -> StoragePath:
        """The plan, as it was when the run began."""
        return self.path / "plan.json"

    @property
    def rejected(self) -> StoragePath:
        """Rows of the source that were not sent, each with its reason."""
        return self.path / "rejected.parquet"

    @property
    def output_schema(self) -> StoragePath:
        """The schema of typed answers; a run without one has no such file."""
        return self.path / "output.json"

    @property
    def source_complete(self) -> StoragePath:
        """Says that all rows that a source itself gave are stored."""
        return self.path / "source" / "complete.json"

    def reused(self, number: int) -> StoragePath:
        """Return the file with the ``number``-th block of rows whose answer was paid for before, from 0."""
        return self.path / f"reused-{number:05d}.parquet"

    def source_rows(self, number: int) -> StoragePath:
        """Return the file with the ``number``-th block of rows that a source itself gave, from 0."""
        return self.path / "source" / f"rows-{number:05d}.parquet"

    def requests(self, shard: str) -> StoragePath:
        """Return the exact POST body of a shard."""
        return self.path / f"requests-{shard}.json"

    def articles(self, shard: str) -> StoragePath:
        """Return a shard's articles, in the order of the body."""
        return self.path / f"articles-{shard}.parquet"

    def raw(self, shard: str) -> StoragePath:
        """Return a shard's result stream, untouched."""
        return self.path / f"raw-{shard}.jsonl.zst"

    def checks(self, shard: str) -> StoragePath:
        """Return what the output model's own validators refused, by ordinal."""
        return self.path / f"checks-{shard}.json"

    def results(self, shard: str) -> StoragePath:
        """Return a shard's results, one row for each article."""
        return self.path / f"results-{shard}.parquet"

    def given(self, task: str) -> StoragePath:
        """Return the record of the requests that a task was given."""
        return self.path / f"given-{task}.json"

    def given_plan(self, task: str) -> StoragePath:
        """Return the plan of the requests that a task was given."""
        return self.path / f"given-{task}.plan.json"

    def paused(self, cause: str) -> StoragePath:
        """Return the mark of an account problem that the run was stopped for."""
        return self.path / f"paused-{cause}.json"


@dataclass(frozen=True, slots=True)
class LedgerFolder:
    """The folder of one API's ledger, ``ledger/<api>/``; :mod:`nightpress.batches.ledger` says what is in its files.

    :param path: of the API's ledger.
    """

    path: StoragePath

    @property
    def attempts(self) -> StoragePath:
        """The folder of all attempts."""
        return self.path / "attempts"

    @property
    def owners(self) -> StoragePath:
        """The folder of all owners of batches."""
        return self.path / "owners"

    @property
    def size(self) -> StoragePath:
        """How many entries there were when the ledger was last listed in full."""
        return self.path / "changes" / "size.json"

    @property
    def snapshot(self) -> StoragePath:
        """All entries in one file, for who shows a large ledger."""
        return self.path / "changes" / "entries.msgpack.gz"

    def entry(self, key: str) -> StoragePath:
        """Return a shard's entry."""
        return self.path / f"{key}.json"

    def attempt(self, key: str, number: int) -> StoragePath:
        """Return the right to POST a shard for the ``number``-th time, from 1."""
        return self.attempts / f"{key}.{number}.json"

    def owner(self, batch_id: str) -> StoragePath:
        """Return which shard a batch belongs to."""
        return self.owners / f"{batch_id}.json"

    def owned(self, key: str) -> StoragePath:
        """Return the folder of the batches that a shard may own."""
        return self.path / "owned" / key

    def owned_batch(self, key: str, batch_id: str) -> StoragePath:
        """Return the note that a shard may own a batch."""
        return self.owned(key) / f"{batch_id}.json"

    def discarded(self, stamp: str, key: str) -> StoragePath:
        """Return the folder of what a person set aside of a shard."""
        return self.path / "discarded" / f"{stamp}-{key}"

    def discarded_entry(self, stamp: str, key: str) -> StoragePath:
        """Return the entry that was set aside."""
        return self.discarded(stamp, key) / "entry.json"

    def discarded_attempt(self, stamp: str, key: str, number: int) -> StoragePath:
        """Return an attempt that was set aside."""
        return self.discarded(stamp, key) / f"attempt.{number}.json"

    def changes(self, day: str) -> StoragePath:
        """Return the folder of copies of what changed on a UTC day."""
        return self.path / "changes" / day

    def change(self, day: str, key: str) -> StoragePath:
        """Return the copy of an entry that changed on a UTC day."""
        return self.changes(day) / f"{key}.json"
