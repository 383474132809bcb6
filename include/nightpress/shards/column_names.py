"""Reserved column names, and how a source's field with such a name is renamed. Cheap to import: DAG files do so."""

from __future__ import annotations

from collections.abc import Collection

TOKEN_COLUMNS = (
    "input_tokens",
    "output_tokens",
    "thinking_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)
"""Columns of a row's tokens, as the API counts them."""

AMOUNT_COLUMNS = ("cost_usd", "list_cost_usd")
"""Columns of a row's cost, and of its cost at list price, outside a batch."""

RESERVED = frozenset(
    {
        "article_id",
        "title",
        "custom_id",
        "request_key",
        "status",
        "text",
        "stop_reason",
        "model",
        *TOKEN_COLUMNS,
        *AMOUNT_COLUMNS,
        "error_type",
        "error_message",
        "message_id",
        "batch_id",
        "round",
        "reused",
        "day",
        "source_file",
        "source_position",
    }
)
"""Nightpress's own column names, lower case; a metadata field of the same name is kept as ``source_<name>``."""


_MAX_KNOWN = 1_000


def column_name(field: str, taken: Collection[str] = ()) -> str:
    """Return the Parquet column of a metadata field; names that differ in capitals only are one name to SQL.

    :param taken: the output's column names, lower case, which a metadata field must not have either.
    """
    while field.casefold() in RESERVED or field.casefold() in taken:
        field = f"source_{field}"
    return field


class MetadataColumnNames:
    """Column names of a run's metadata; fields of one row that differ only in capitals get different columns.

    :param output_names: columns of the output, lower case.
    """

    def __init__(self, output_names: Collection[str] = ()) -> None:
        self._output_names = output_names
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._spelling: dict[str, str] = {}
        self.count = 0

    def columns(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        """Return the columns of a row's fields, in their order.

        >>> MetadataColumnNames().columns(("Brand", "brand", "Status"))
        ('Brand', 'source_brand', 'source_Status')
        """
        if (known := self._known.get(fields)) is not None:
            return known
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        names: dict[str, str] = {}
        for field in fields:
            name = column_name(field, self._output_names)
            while name.casefold() in names:
                name = f"source_{name}"
            names[name.casefold()] = self._spelling.setdefault(name.casefold(), name)
        self.count = len(self._spelling)
        self._known[fields] = tuple(names.values())
        return self._known[fields]
