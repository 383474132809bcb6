"""The files in a run's folder and in a ledger's folder; :mod:`nightpress.layout` says where these folders are."""

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
        """The marker that all rows of a query or a function are stored."""
        return self.path / "source" / "complete.json"

    def reused(self, number: int) -> StoragePath:
        """Return the file of block ``number``, from 0, of the rows whose answer was paid for before."""
        return self.path / f"reused-{number:05d}.parquet"

    def source_rows(self, number: int) -> StoragePath:
        """Return the file of block ``number``, from 0, of the rows that a query or a function returned."""
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

    def paid(self, key: str) -> StoragePath:
        """Return the keys of the requests of a submitted shard whose files another shard of the run replaced."""
        return self.path / f"paid-{key}.parquet"

    @property
    def sent_before(self) -> StoragePath:
        """The POSTs of the day's other runs that this run's plan knows."""
        return self.path / "sent-before.json"

    def sent(self, shard: str, key: str, token: str) -> StoragePath:
        """Return the file that tells the day's other runs of a POST of a shard.

        :param token: of the attempt in the ledger.
        """
        return self.path / f"sent.{shard}.{key}.{token}.json"

    def checks(self, shard: str) -> StoragePath:
        """Return the file of answers that the output model's own validators refused, by ordinal."""
        return self.path / f"checks-{shard}.json"

    def results(self, shard: str) -> StoragePath:
        """Return a shard's results, one row for each article."""
        return self.path / f"results-{shard}.parquet"

    def given(self, task: str) -> StoragePath:
        """Return the record of the requests that were passed to a task."""
        return self.path / f"given-{task}.json"

    def given_plan(self, task: str) -> StoragePath:
        """Return the plan of the requests that were passed to a task."""
        return self.path / f"given-{task}.plan.json"

    def paused(self, cause: str) -> StoragePath:
        """Return the marker of an account problem that stopped the run."""
        return self.path / f"paused-{cause}.json"


@dataclass(frozen=True, slots=True)
class LedgerFolder:
    """The folder of one API's ledger, ``ledger/<api>/``; :mod:`nightpress.batches.ledger` says what is in its files.

    :param path: the ledger's folder.
    """

    path: StoragePath

    @property
    def attempts(self) -> StoragePath:
        """The folder of all attempts."""
        return self.path / "attempts"

    @property
    def owners(self) -> StoragePath:
        """The folder of the records that say which shard owns a batch."""
        return self.path / "owners"

    @property
    def size(self) -> StoragePath:
        """The file with the number of entries at the last full listing."""
        return self.path / "changes" / "size.json"

    @property
    def snapshot(self) -> StoragePath:
        """Copies of all entries in one file, to show a large ledger quickly."""
        return self.path / "changes" / "entries.msgpack.gz"

    def entry(self, key: str) -> StoragePath:
        """Return a shard's entry."""
        return self.path / f"{key}.json"

    def attempt(self, key: str, number: int) -> StoragePath:
        """Return the file that gives the right to POST a shard for the ``number``-th time, from 1."""
        return self.attempts / f"{key}.{number}.json"

    def owner(self, batch_id: str) -> StoragePath:
        """Return the file that says which shard a batch belongs to."""
        return self.owners / f"{batch_id}.json"

    def owned(self, key: str) -> StoragePath:
        """Return the folder of the batches that a shard may own."""
        return self.path / "owned" / key

    def owned_batch(self, key: str, batch_id: str) -> StoragePath:
        """Return the file that records that a shard may own a batch."""
        return self.owned(key) / f"{batch_id}.json"

    @property
    def all_discarded(self) -> StoragePath:
        """The folder of everything that a person set aside."""
        return self.path / "discarded"

    def discarded(self, stamp: str, key: str) -> StoragePath:
        """Return the folder of a shard's entry and attempts that a person set aside."""
        return self.all_discarded / f"{stamp}-{key}"

    def discarded_entry_in(self, name: str) -> StoragePath:
        """Return the entry in a folder of what a person set aside."""
        return self.all_discarded / name / "entry.json"

    def discarded_entry(self, stamp: str, key: str) -> StoragePath:
        """Return the entry that was set aside."""
        return self.discarded(stamp, key) / "entry.json"

    def discarded_attempt(self, stamp: str, key: str, number: int) -> StoragePath:
        """Return an attempt that was set aside."""
        return self.discarded(stamp, key) / f"attempt.{number}.json"

    def changes(self, day: str) -> StoragePath:
        """Return the folder with copies of the entries that changed on a UTC day."""
        return self.path / "changes" / day

    def change(self, day: str, key: str) -> StoragePath:
        """Return the copy of an entry that changed on a UTC day."""
        return self.changes(day) / f"{key}.json"
