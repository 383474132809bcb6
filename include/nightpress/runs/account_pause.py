"""Pause a run for an account problem: key, credit, permission or a limit of the account.

Such a problem stops every request, and only a person can fix it. So the run stops with one message, and the
next try continues. **A run pauses once for each distinct cause.** If the credit is topped up and then the key
turns out to be revoked, the run pauses again. It does not pause twice for the same cause, because the person
who continued the run has seen it, and articles that failed because of it are sent again anyway.
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
        re.compile(
            r"credit.balance|balance (is|has)|(out of|no|more|enough) (\w+ )?credit"
            r"|credits? (limit|is|are|has|have|exhausted)"
            r"|insufficient|payment.(required|method|is|was|has)|billing_(error|unavailable)|subscription|trial has"
            r"|card was|billing (is )?not"
            r"|HTTP 402",
            re.IGNORECASE,
        ),
    ),
    (
        "limit",
        re.compile(
            r"usage limit|spend[_ ]limit|(spend|cost|usage|billing) cap|budget|current quota|HTTP 429",
            re.IGNORECASE,
        ),
    ),
    ("organization", re.compile(r"organization_on_hold|on hold|cmek_key|human_review", re.IGNORECASE)),
    ("key", re.compile(r"authentication_error|HTTP 401|no credentials", re.IGNORECASE)),
    ("permission", re.compile(r"permission_error|HTTP 403", re.IGNORECASE)),
)
_MAX_DESCRIBED = 10
"""Messages that are shown; a gateway may write a number of its own into each."""

OTHER = "account"
"""The cause of a problem whose message names no other cause."""


@dataclass(frozen=True, slots=True)
class AccountTrouble:
    """An account problem of a run.

    :param reason: the API's message, or its error type.
    :param effect: the consequence, such as ``2 shard(s) with 20 articles were not submitted``.
    """

    reason: str
    effect: str

    @property
    def cause(self) -> str:
        """The cause: one of ``credit``, ``limit``, ``organization``, ``key``, ``permission``."""
        return next((cause for cause, words in _CAUSES if words.search(self.reason)), OTHER)


def pause_once(
    folder: StoragePath, troubles: Iterable[AccountTrouble], *, stage: str = "", code: str = "account_trouble"
) -> bool:
    """Stop the run the first time a cause occurs; return whether there was any account problem.

    The causes for which the run was stopped are recorded as ``paused-<cause>.json`` in its folder.

    :param folder: folder of the run.
    :param stage: a later stage of the run, which stops once more for each cause; empty is the first round.
    :param code: code of the error.
    :raises AccountTroubleError: a cause for which the run was not stopped before.
    """
    met = list(troubles)
    if not met:
        return False
    described = "; ".join(f"{trouble.effect} ({trouble.reason})" for trouble in met[:_MAX_DESCRIBED])
    if len(met) > _MAX_DESCRIBED:
        described += f"; and {len(met) - _MAX_DESCRIBED:,} more messages"
    message = (
        f"the API rejects requests because of an account problem: {described}. What was answered is kept. Fix the "
        "key, the credit or the permission; then the run continues where it was, and pays only for what has no answer."
    )
    causes = sorted({trouble.cause for trouble in met})
    record = msgspec.json.encode({"message": message})
    # Record all causes, not only the first new one: the message names them all.
    new = [
        cause for cause in causes if create_exclusively(RunFolder(folder).paused(f"{stage}{cause}"), record)
    ]
    if new:
        raise AccountTroubleError(message, code=code)
    return True
