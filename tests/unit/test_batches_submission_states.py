"""The protocol against a model of the API: whatever happens, never two paid batches, never stuck."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nightpress.batches.ledger import Ledger
from nightpress.batches.streamed_body import POST_SECONDS
from nightpress.batches.submission import MAX_LOST_ATTEMPTS
from nightpress.batches.submission_records import Submitted, Wait
from nightpress.batches.unknown_outcome import SETTLING_SECONDS, UNKNOWN_RECHECK_SECONDS
from nightpress.errors import SubmissionError
from nightpress.shards.request_keys import custom_id_prefix
from tests.support.model_api import Crash, Sent, status_error
from tests.support.shard_sender import ShardSender

POSTS = ("accept", "accept_then_drop", "drop", "accept_then_crash", "crash", 429, 500)


class CrashingLedger(Ledger):
    """Dies at a chosen write: before it, or right after it."""

    crash_at: int | None = None
    after = False

    def _step(self) -> bool:
        if self.crash_at is None:
            return False
        self.crash_at -= 1
        if self.crash_at >= 0:
            return False
        self.crash_at = None
        if not self.after:
            raise Crash
        return True

    def save(self, entry):  # type: ignore[no-untyped-def]
        dies = self._step()
        saved = super().save(entry)
        if dies:
            raise Crash
        return saved

    def take_batch(self, batch_id, key, identity=None):  # type: ignore[no-untyped-def]
        dies = self._step()
        taken = super().take_batch(batch_id, key, identity)
        if dies:
            raise Crash
        return taken

    def take_attempt(self, entry, now, deadline, **known):  # type: ignore[no-untyped-def]
        dies = self._step()
        taken = super().take_attempt(entry, now, deadline, **known)
        if dies:
            raise Crash
        return taken


class Submission(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.sender = ShardSender(self.folder)
        self.ledger = CrashingLedger(self.sender.ledger.folder.parent, self.sender.api.scope)
        self.sender.ledger = self.ledger
        self.done: str | None = None

    def teardown(self) -> None:
        try:
            self.must_come_to_an_end()
        finally:
            shutil.rmtree(self.folder)

    def ours(self) -> list[Sent]:
        prefix = custom_id_prefix(self.sender.shard.key)
        return [sent for sent in self.sender.api.batches if sent.custom_ids[0].startswith(prefix)]

    @rule(
        what=st.sampled_from(POSTS),
        delay=st.sampled_from([0.0, 5.0, SETTLING_SECONDS - 1]),
        offset=st.sampled_from([0.0, -250.0, 250.0]),
        crash_at=st.none() | st.integers(0, 3),
        after=st.booleans(),
    )
    def submit(self, what: object, delay: float, offset: float, crash_at: int | None, after: bool) -> None:
        self.sender.api.plan = [status_error(what) if isinstance(what, int) else what]
        self.sender.api.listing_delay, self.sender.api.creation_offset = delay, offset
        self.ledger.crash_at, self.ledger.after = crash_at, after
        try:
            outcome = self.sender.submit()
        except (SubmissionError, Crash):
            return
        finally:
            self.sender.api.plan.clear()
            self.ledger.crash_at = None
        if isinstance(outcome, Submitted):
            assert self.done in {None, outcome.batch_id}
            self.done = outcome.batch_id

    @rule(seconds=st.sampled_from([1.0, 20.0, SETTLING_SECONDS, 700.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.sender.clock.now += seconds

    @rule(hours=st.sampled_from([-30.0, -3.0, -0.1, 0.1, 3.0, 30.0]))
    def the_local_clock_is_set_wrong(self, hours: float) -> None:
        """Or this task runs on another machine now: the API's clock continues as before."""
        self.sender.clock.now += hours * 3600
        self.sender.api.skew -= hours * 3600

    @rule(which=st.integers(0, 5))
    def a_batch_ends(self, which: int) -> None:
        if which < len(self.sender.api.batches):
            self.sender.api.batches[which].ended = True

    @rule(count=st.sampled_from([3, 4]))
    def somebody_else_submits(self, count: int) -> None:
        self.sender.api.put([f"{'e' * 16}-{n}" for n in range(count)])

    @invariant()
    def never_paid_twice(self) -> None:
        assert len(self.ours()) <= 1

    def must_come_to_an_end(self) -> None:
        """With no more faults and all batches ending, the shard gets its one batch.

        A local clock that was set wrong can delay that by as much again, and no more.
        """
        for _ in range(4 + 2 * round((POST_SECONDS + SETTLING_SECONDS) / UNKNOWN_RECHECK_SECONDS)):
            for sent in self.sender.api.batches:
                sent.ended = True
            lost = sum(attempt.outcome == "lost" for attempt in self.attempts())
            try:
                outcome = self.sender.submit()
            except SubmissionError:
                assert lost >= MAX_LOST_ATTEMPTS
                return
            if isinstance(outcome, Submitted):
                assert [sent.id for sent in self.ours()] == [outcome.batch_id]
                return
            assert isinstance(outcome, Wait)
            assert outcome.until > self.sender.clock.now
            self.sender.clock.now = outcome.until
        raise AssertionError("still waiting after everything has ended")

    def attempts(self):  # type: ignore[no-untyped-def]
        entry = self.ledger.load(self.sender.shard.key)
        return entry.attempts if entry else ()


TestSubmission = Submission.TestCase
TestSubmission.settings = settings(max_examples=60, stateful_step_count=20)
