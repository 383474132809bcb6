"""Options for reading a source, in place of detection, and limits on memory and disk."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from nightpress.articles.source_report import SourceReport
from nightpress.errors import ConfigurationError

LINE_BREAKS = ("lf", "crlf", "any")
_TABS = ("\\t", "tab")
QUOTING = ("double", "none", "backslash", "escaped")
FORMATS = (
    "json",
    "jsonl",
    "csv",
    "tsv",
    "psv",
    "parquet",
    "arrow",
    "orc",
    "xlsx",
    "xml",
    "feed",
    "markdown",
    "text",
    "html",
)


@dataclass(frozen=True, slots=True)
class FieldMap:
    """The source's names of the fields; a dotted path leads into nested objects, e.g. ``_source.body``.

    None tries the usual names. A given name must exist in the source.

    :param id: None also accepts a URL or slug as the id, or makes the id from the content.
    :param title: the title is empty in rows without this field.
    :raises ConfigurationError: two names are the same, or one is empty.
    """

    id: str | None = None
    content: str | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        names = [name for name in (self.id, self.content, self.title) if name is not None]
        if not all(names) or len(set(names)) < len(names):
            raise ConfigurationError(
                f"fields maps id, content and title to {', '.join(map(repr, names))}; name different fields"
            )

    @classmethod
    def of(cls, names: object) -> FieldMap:
        """Read names from a DAG file or a form: an object, or nothing; an empty name counts as not given.

        :raises ConfigurationError: another field is mapped, or a name is not text.
        """
        given: Mapping[str, Any] = {} if names in (None, "") else names  # type: ignore[assignment]
        if not isinstance(given, Mapping):
            raise ConfigurationError(
                f"fields is of type {type(given).__name__}; it must be an object such as {{'content': 'body'}}"
            )
        unknown = sorted(str(name) for name in given if name not in {"id", "title", "content"})
        if unknown:
            raise ConfigurationError(f"fields names {unknown}; only id, title and content can be mapped")
        for name, value in given.items():
            if value is not None and not isinstance(value, str):
                raise ConfigurationError(
                    f"fields maps {name} to {value!r:.60}; it must be the name of a field"
                )
        return cls(**{name: value for name, value in given.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """Limits of memory and disk for one source; the error names the limit that was exceeded.

    :param max_row_bytes: size of one row, line or element (default 64 MiB).
    :param max_columns: columns of a table, fields of a row, and different fields in a shard (default 2,000).
    :param max_decompressed_bytes: size of one file after decompression (default 200 GiB).
    :param max_ratio: decompressed bytes per compressed byte, beyond the first 64 MiB (default 400).
    :param max_document_bytes: size of a file that is read as a whole: a feed, a sheet (default 256 MiB).
    """

    max_row_bytes: int = 64 * 1024 * 1024
    max_columns: int = 2_000
    max_decompressed_bytes: int = 200 * 1024**3
    max_ratio: int = 400
    max_document_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{limit.name} is {value!r}; it must be a whole number of 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    r"""A person's settings for a source; None and empty mean detection.

    :param format: one of :data:`FORMATS`, whatever the file's name.
    :param encoding: Python's name of the encoding of text files.
    :param delimiter: the single character between the values of a text table.
    :param quoting: ``double``: values may be quoted, and a quote inside is doubled; ``none``: quotes are
        text; ``backslash``: inside quotes, a backslash makes the next character text; ``escaped``: no quotes,
        and ``\n``, ``\t``, ``\N`` as MySQL and Postgres write them.
    :param line_break: the end of a row in a table: ``lf`` or ``crlf``, and other line breaks are text;
        ``any``: LF, CRLF or CR. None: the same as in the header, and a row with another end is refused.
    :param columns: column names of a table without a header line.
    :param record_path: path of the articles in a JSON object (``data.items``), or their tag in XML.
    :param metadata: the fields to keep beside id, title and content; None keeps all.
    :param partition_columns: True turns folders such as ``lang=en`` into fields of the articles in them.
    :param unfinished_line: read a table whose last line has no line break, which may be cut off.
    :raises ConfigurationError: a value is invalid.
    """

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quoting: str | None = None
    line_break: str | None = None
    columns: tuple[str, ...] | None = None
    record_path: str | None = None
    metadata: tuple[str, ...] | None = None
    partition_columns: bool = True
    unfinished_line: bool = False
    limits: ReadLimits = field(default_factory=ReadLimits)

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise ConfigurationError(f"format is {self.format!r}; it must be one of {', '.join(FORMATS)}")
        if self.quoting is not None and self.quoting not in QUOTING:
            raise ConfigurationError(f"quoting is {self.quoting!r}; it must be one of {', '.join(QUOTING)}")
        if self.line_break is not None and self.line_break not in LINE_BREAKS:
            raise ConfigurationError(
                f"line_break is {self.line_break!r}; it must be one of {', '.join(LINE_BREAKS)}"
            )
        if self.delimiter in _TABS:
            object.__setattr__(self, "delimiter", "\t")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '\r\n"'):
            raise ConfigurationError(
                f"delimiter is {self.delimiter!r}; it must be one character, no quote and no line break"
            )
        if self.columns is not None and (not self.columns or len(set(self.columns)) < len(self.columns)):
            raise ConfigurationError("columns must be different names, one for each column")
        if self.encoding is not None:
            check_encoding(self.encoding)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ReadOptions:
        """Read options from a DAG file or a form: plain values by name, including limits.

        :raises ConfigurationError: a name is unknown, or a value is invalid.
        """
        if not isinstance(options, Mapping):
            raise ConfigurationError(
                f"read_options is of type {type(options).__name__}; it must be an object such as {{'delimiter': ';'}}"
            )
        limits = {limit.name for limit in fields(ReadLimits)}
        names = option_names() - limits
        unknown = sorted(options.keys() - names - limits)
        if unknown:
            raise ConfigurationError(
                f"unknown reading options {', '.join(map(repr, unknown))}; there are "
                + ", ".join(sorted(names | limits))
            )
        for name in names & options.keys():
            _check_type(name, options[name])
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in options.items()
            if name in names and value not in (None, "")
        }
        return cls(limits=ReadLimits(**{name: options[name] for name in options if name in limits}), **given)


def option_names() -> frozenset[str]:
    """Return the names of all reading options, including limits."""
    own = {option.name for option in fields(ReadOptions)} - {"limits"}
    return frozenset(own | {limit.name for limit in fields(ReadLimits)})


def _check_type(name: str, value: object) -> None:
    """Raise ConfigurationError if an option's value has the wrong type; None and "" count as not given."""
    if value is None or value == "":
        return
    if name in {"columns", "metadata"}:
        known = isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value)
        kind = "a list of names"
    elif name in {"partition_columns", "unfinished_line"}:
        known, kind = isinstance(value, bool), "true or false"
    else:
        known, kind = isinstance(value, str), "text"
    if not known:
        raise ConfigurationError(f"{name} is {value!r:.60}; it must be {kind}")


@dataclass(frozen=True, slots=True)
class Reading:
    """The options for reading a source, and the report of what was found."""

    fields: FieldMap
    options: ReadOptions
    report: SourceReport


def check_encoding(encoding: str) -> None:
    """Raise ConfigurationError unless Python knows this text encoding."""
    try:
        known = codecs.lookup(encoding)._is_text_encoding
    except LookupError:
        known = False
    if not known:
        raise ConfigurationError(
            f"encoding is {encoding!r}, which Python does not know; try 'utf-8', 'cp1252', 'gb18030' or 'utf-16'"
        )
