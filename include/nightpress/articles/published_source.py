"""The published day of one pipeline as the source of another; a light module, because DAG files import it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from nightpress.errors import ConfigurationError

SCHEME = "published:"
_WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Published:
    """Answers of another pipeline for the same day.

    Written as ``published:<pipeline>``, optionally with ``?content=<column>`` and ``&as=whole``.

    :param pipeline: the other pipeline.
    :param content: the column to read as the text: ``text`` (the answer), or a column of a typed answer.
    :param whole: True joins titles and texts of all rows into one article.
    """

    pipeline: str
    content: str = "text"
    whole: bool = False

    @classmethod
    def of_source(cls, source: object) -> Published | None:
        """Parse a written source; None if it is another kind of source.

        :raises ConfigurationError: it begins with ``published:`` but is invalid.
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
        """Return the source in its written form."""
        options = {"content": self.content} if self.content != "text" else {}
        options |= {"as": _WHOLE} if self.whole else {}
        return f"{SCHEME}{self.pipeline}" + (f"?{urlencode(options)}" if options else "")
