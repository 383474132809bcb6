"""Every error Nightpress raises, in one tree.

The class says what a retry would do and whether money can be involved::

    NightpressError
    ├── ConfigurationError        before spending; a retry cannot help: change the setting
    ├── InputError                before spending; a retry cannot help: mend the source
    │   └── TooManyRejectsError
    ├── BudgetError               before spending; a retry cannot help: send less or allow more
    ├── SubmissionError
    │   ├── RequestRefusedError   no batch exists; a retry cannot help: fix what the message names
    │   ├── SubmitLaterError      no batch exists; a retry may help (rate limit, overload, API down)
    │   └── UnknownOutcomeError   a batch may exist; a retry looks for it, and never creates blindly
    ├── LedgerError               the ledger holds something that cannot be trusted; a person decides
    └── ResultsError              paid for; a retry reads the same results again and pays nothing
"""

from __future__ import annotations


class NightpressError(Exception):
    """Base of all errors raised on purpose."""


class ConfigurationError(NightpressError, ValueError):
    """A setting or argument is not usable; nothing was spent, and a retry cannot help."""


class InputError(NightpressError):
    """The source cannot be read as articles; nothing was spent, and a retry cannot help."""


class TooManyRejectsError(InputError):
    """More rows were rejected than ``max_rejected_share`` allows; nothing was spent."""


class BudgetError(NightpressError):
    """The plan costs more than was allowed; nothing was spent, and a retry cannot help."""


class SubmissionError(NightpressError):
    """A batch could not be submitted."""


class RequestRefusedError(SubmissionError):
    """The API refused the batch, so none exists; a retry cannot help.

    :param account: it is about the account (key, credit, permission), so it would refuse all others too.
    """

    def __init__(self, message: str, account: bool = False) -> None:
        super().__init__(message)
        self.account = account


class SubmitLaterError(SubmissionError):
    """The API did not take the batch, and none exists; a retry may help.

    :param retry_after_seconds: what the API asked for, or None.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnknownOutcomeError(SubmissionError):
    """The API may have accepted the batch; a retry looks for it before it sends anything."""


class LedgerError(NightpressError):
    """The ledger holds an entry that cannot be trusted; a person decides, nothing is sent."""


class ResultsError(NightpressError):
    """Results could not be collected; they are paid for and kept, a retry pays nothing."""
