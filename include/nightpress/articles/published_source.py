"""The published day of one pipeline as the source of another. Light: DAG files read it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from nightpress.errors import ConfigurationError

SCHEME = "published:"
_WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Published:
    """Answers of another pipeline, of the same day.

    Written as ``published:<pipeline>`` with, if wanted, ``?content=<column>`` and ``&as=whole``.

    :param pipeline: whose.
    :param content: the column that is the text: ``text``, the answer, or a column of a typed one.
    :param whole: the day is one article: each row's title and text, one after the other.
    """

    pipeline: str
    content: str = "text"
    whole: bool = False

    @classmethod
    def of_source(cls, source: object) -> Published | None:
        """Read a source as it is written; None when it is another kind of source.

        :raises ConfigurationError: it begins like one and cannot be understood.
        """
        if not isinstance(source, str) or not source.startswith(SCHEME):
            return None
        pipeline, _, options = source.removeprefix(SCHEME).partition("?")
        given = dict(parse_qsl(options, keep_blank_values=True))
        whole, content = given.pop("as", ""), given.pop("content", "text")
        if not pipeline.strip("/") or "/" in pipeline or given or whole not in ("", _WHOLE) or not content:
            raise ConfigurationError(
                f"the source is {source!r}; published:<pipeline>, with ?content=<column> and &as=whole if wanted, "
                "is how another pipeline's day is named"
            )
        return cls(pipeline, content, bool(whole))

    def to_source(self) -> str:
        """Return it as a source is written."""
        options = {"content": self.content} if self.content != "text" else {}
        options |= {"as": _WHOLE} if self.whole else {}
        return f"{SCHEME}{self.pipeline}" + (f"?{urlencode(options)}" if options else "")
