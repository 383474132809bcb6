"""Pause a run for an account problem: key, credit, permission or a limit of the account.

Such a problem stops every request, and only a person can fix it. So the run stops with one message, and the next
try continues. **A run pauses once for each distinct cause**: when the credit that ran out is topped up and then the
key turns out to be revoked, that is another message; the same cause a second time is not, because the person who
went on has seen it, and what failed for it is sent again anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from nightpress.errors import AccountTroubleError
from nightpress.folders import RunFolder
from nightpress.storage import StoragePath, create_exclusively

_CAUSES = (
    (
        "credit",
        re.compile(r"credit balance|insufficient \w+|payment.required|billing_error|HTTP 402", re.IGNORECASE),
    ),
    ("limit", re.compile(r"usage limit|spend[_ ]limit|budget|current quota|HTTP 429", re.IGNORECASE)),
    ("organization", re.compile(r"organization_on_hold|on hold|cmek_key|human_review", re.IGNORECASE)),
    ("key", re.compile(r"authentication_error|HTTP 401|no credentials", re.IGNORECASE)),
    ("permission", re.compile(r"permission_error|HTTP 403", re.IGNORECASE)),
)
OTHER = "account"
"""The cause of a problem that says nothing else."""


@dataclass(frozen=True, slots=True)
class AccountTrouble:
    """An account problem that a run met.

    :param reason: the API's words, or its error type.
    :param effect: what it stopped, such as ``2 shard(s) with 20 articles were not submitted``.
    """

    reason: str
    effect: str

    @property
    def cause(self) -> str:
        """What is wrong, in a word: one of ``credit``, ``limit``, ``organization``, ``key``, ``permission``."""
        return next((cause for cause, words in _CAUSES if words.search(self.reason)), OTHER)


def pause_once(
    folder: StoragePath, troubles: Iterable[AccountTrouble], *, stage: str = "", code: str = "account_trouble"
) -> bool:
    """Stop the run the first time it meets a cause; return whether there was any trouble.

    What the run has been stopped for is kept in ``paused-<cause>.json`` in its folder.

    :param folder: the run's.
    :param stage: a later part of the run, which stops for a cause once more; empty is the first round.
    :param code: of the error.
    :raises AccountTroubleError: a cause that the run was not stopped for before.
    """
    met = list(troubles)
    if not met:
        return False
    described = "; ".join(f"{trouble.effect} ({trouble.reason})" for trouble in met)
    message = (
        f"the API rejects requests because of an account problem: {described}. What was answered is kept. Fix the "
        "key, the credit or the permission; then the run continues where it was, and pays only for what has no answer."
    )
    causes = sorted({trouble.cause for trouble in met})
    record = msgspec.json.encode({"message": message})
    # All of them, not only the first: each is in the message.
    new = [
        cause for cause in causes if create_exclusively(RunFolder(folder).paused(f"{stage}{cause}"), record)
    ]
    if new:
        raise AccountTroubleError(message, code=code)
    return True
