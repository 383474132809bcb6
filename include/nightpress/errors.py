"""Every error Nightpress raises, in one tree.

The class says what a retry would do and whether money can be involved::

    NightpressError
    ├── ConfigurationError        before spending; a retry cannot help: change the setting
    │   └── InvalidReferenceError a stored reference points outside the data root
    ├── InputError                before spending; a retry cannot help: fix the source
    │   └── TooManyRejectsError
    ├── AccountTroubleError       the account stops all requests; a retry continues once a person has fixed it
    ├── BudgetError               before spending; a retry cannot help: send less or allow more
    ├── ApiReplyError             the API's reply is unusable and says nothing about a batch; a retry asks again
    ├── SubmissionError
    │   ├── RequestRefusedError   no batch exists; a retry cannot help: fix what the message names
    │   ├── SubmitLaterError      no batch exists; a retry may help (rate limit, overload, API down)
    │   └── UnknownOutcomeError   a batch may exist; a retry looks for it before it sends anything
    ├── LedgerError               the ledger holds something that cannot be trusted; a person decides
    └── ResultsError              paid for; a retry reads the same results again and pays nothing
"""

from __future__ import annotations


class NightpressError(Exception):
    """Base of all errors raised on purpose.

    The message names the thing, the value seen, the limit and the remedy, and also holds outside Airflow. What to do
    in Airflow depends on the task, so the adapter adds that, based on ``code``.

    :param code: a stable identifier of the cause, such as ``results_gone``; empty when the class says enough.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ConfigurationError(NightpressError, ValueError):
    """A setting or argument is not usable; nothing was spent, and a retry cannot help."""


class InvalidReferenceError(ConfigurationError):
    """A stored reference does not name a file below the data root; nothing was opened."""


class InputError(NightpressError):
    """The source cannot be read as articles; nothing was spent, and a retry cannot help."""


class TooManyRejectsError(InputError):
    """More rows were rejected than ``max_rejected_share`` allows; nothing was spent."""


class BudgetError(NightpressError):
    """The plan costs more than was allowed; nothing was spent, and a retry cannot help."""


class AccountTroubleError(NightpressError):
    """The account (key, credit, permission, limit) stops all requests; the run waits for a person."""

    def __init__(self, message: str, *, code: str = "account_trouble") -> None:
        super().__init__(message, code=code)


class ApiReplyError(NightpressError):
    """The API's reply cannot be used, so it says nothing about any batch; a retry asks again."""


class SubmissionError(NightpressError):
    """A batch could not be submitted."""


class RequestRefusedError(SubmissionError):
    """The API refused the batch, so none exists; a retry cannot help.

    :param account: the cause is the account (key, credit, permission), so every other batch would be refused too.
    """

    def __init__(self, message: str, account: bool = False, *, code: str = "") -> None:
        super().__init__(message, code=code)
        self.account = account


class SubmitLaterError(SubmissionError):
    """The API did not accept the batch, so none exists; a retry may help.

    :param retry_after_seconds: the wait that the API asked for, or None.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None, *, code: str = "") -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class UnknownOutcomeError(SubmissionError):
    """The API may have accepted the batch; a retry looks for it before it sends anything."""


class LedgerError(NightpressError):
    """The ledger holds an entry that cannot be trusted; a person decides, nothing is sent."""


class ResultsError(NightpressError):
    """Results could not be collected; they are paid for and kept, so a retry pays nothing."""


RETRY_CANNOT_HELP = (
    AccountTroubleError,
    BudgetError,
    ConfigurationError,
    InputError,
    LedgerError,
    RequestRefusedError,
)
"""Errors that stay the same until a person has done something."""
