"""Read the id of a row, and tell values from what programs write where there is no value."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from uuid import UUID

_MAX_ID_CHARS = 1_000
_EXACT_FLOAT = 2**53
_EXCEL_ERRORS = (
    *("#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#FIELD!"),
    *("#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#ÜBERLAUF!"),  # in German
    *("#VALEUR!", "#NOM?", "#NOMBRE!", "#N/D", "#VALORE!", "#NOME?"),  # in French and Italian
    *("#¡VALOR!", "#¿NOMBRE?", "#¡REF!", "#¡NUM!"),  # in Spanish
)
NO_VALUES = frozenset({"", "\\N", "NULL", "null", "(null)", "NaN", "nan", "<NA>", *_EXCEL_ERRORS})
"""What databases, pandas and Excel write into a file where there is no value; all are short."""
_NO_IDS = NO_VALUES - {"nan", "null"}
"""Of these, the words that are hardly an id; a slug may be in small letters."""
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d\d")
"""A long number as Excel shows and saves it (1.23457E+12); its last digits are lost."""
_BLANK = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff" + "".join(
    filter(str.isspace, map(chr, range(0x3001)))
)
"""Characters that nobody sees: white space, and what has no width."""
NO_TEXT = re.compile("[\x00\ud800-\udfff]")
"""Characters that cannot be sent."""


class UnusableRowError(Exception):
    """A row must be rejected.

    :param article_id: the id, if it is known.
    """

    def __init__(self, reason: str, detail: str, article_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.article_id = reason, detail, article_id


def is_no_text(content: str) -> bool:
    """Return whether a content is only a word for no value, or has no visible character.

    >>> is_no_text("NULL"), is_no_text("\u200b"), is_no_text("None")
    (True, True, False)
    """
    return content in NO_VALUES or not content.strip(_BLANK)


def has_id(value: object) -> bool:
    """Return whether a value that need not be there is an id."""
    return value.strip() not in _NO_IDS if isinstance(value, str) else value is not None


def read_id(value: object, name: str) -> str:
    """Return an id as text: stripped, numbers in decimal (1.0 is ``1``); of a list of ids, the first."""
    if type(value) is str:
        article_id = value.strip()
        if article_id in _NO_IDS and article_id:
            raise UnusableRowError("missing_id", f"the field {name!r} has the word {article_id} for no value")
        if article_id.isprintable() and 0 < len(article_id) <= _MAX_ID_CHARS:
            if "E+" in article_id and _SHORTENED.fullmatch(article_id):
                raise UnusableRowError("bad_id", _lost_digits(name), article_id)
            return article_id  # as nearly all are
        article_id = article_id.lstrip("\ufeff").lstrip()  # concatenated files may have byte order marks
    elif isinstance(value, list) and value and isinstance(value[0], str):
        return read_id(value[0], name)
    elif value is None or (isinstance(value, float) and math.isnan(value)):
        article_id = ""
    else:
        article_id = _number_id(value, name)
    if not article_id:
        raise UnusableRowError("missing_id", f"the field {name!r} is absent or empty")
    if len(article_id) > _MAX_ID_CHARS:
        raise UnusableRowError(
            "bad_id", f"it has {len(article_id):,} characters; {_MAX_ID_CHARS:,} are allowed", article_id
        )
    if not article_id.isprintable() and NO_TEXT.search(article_id):
        raise UnusableRowError("bad_id", "it holds NUL or a lone surrogate", article_id)
    return article_id


def _lost_digits(name: str) -> str:
    return (
        f"the field {name!r} has a long number as a spreadsheet shortens it, whose last digits are lost; save the "
        "column as text or as whole numbers"
    )


def _number_id(value: object, name: str) -> str:
    if isinstance(value, UUID) or type(value) is int:
        return str(value)
    if isinstance(value, float) and math.isfinite(value) and abs(value) >= _EXACT_FLOAT:
        raise UnusableRowError(
            "bad_id",
            f"the field {name!r} has a floating-point number of 2^53 or more, whose last digits are lost; write ids as "
            "text or as whole numbers",
        )
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < _MAX_ID_CHARS:
        return str(int(value)) if value == int(value) else str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not math.isfinite(value):
        kind = type(value).__name__
        raise UnusableRowError(
            "bad_id", f"the field {name!r} is of type {kind} or not finite; text or a number is needed"
        )
    return str(value)
