"""Write amounts of money in the same way in plan, log, form, page, report and terminal."""

from __future__ import annotations

from math import isfinite

UNKNOWN = "unknown"
_SMALLEST_SHOWN = 0.0001


def paid_in_words(amount: float | None, known: float | None, unknown_requests: int) -> str:
    """Write what was paid; if the sum is only partly known, the known part and the number of unknown requests.

    >>> paid_in_words(0.5, 0.5, 0), paid_in_words(None, 0.25, 2), paid_in_words(None, None, 0)
    ('$0.5000', 'at least $0.2500; 2 requests unknown', 'unknown')
    """
    if amount is not None or not known or not unknown_requests:
        return dollars(amount)
    plural = "request" if unknown_requests == 1 else "requests"
    return f"at least {dollars(known)}; {unknown_requests:,} {plural} unknown"


def dollars(amount: float | None, unknown: str = UNKNOWN) -> str:
    """Write an amount in USD: with cents, and with four decimals below a dollar.

    >>> dollars(1234.5), dollars(0.0432), dollars(-0.5), dollars(0.00001), dollars(None)
    ('$1,234.50', '$0.0432', '-$0.5000', '<$0.0001', 'unknown')

    :param amount: None or a number that is not finite means unknown, which is never shown as zero.
    :param unknown: the text for an unknown amount.
    """
    if amount is None or not isfinite(amount):
        return unknown
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    if size >= 1 or size == 0:
        return f"{sign}${size:,.2f}"
    return f"{sign}<${_SMALLEST_SHOWN}" if size < _SMALLEST_SHOWN / 2 else f"{sign}${size:.4f}"
