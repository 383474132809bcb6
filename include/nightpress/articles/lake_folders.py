"""Recognize the folders of Delta and Iceberg tables, whose files are never read one by one."""

from __future__ import annotations

from collections.abc import Iterable

from nightpress.errors import InputError
from nightpress.storage import StoragePath


def table_format(folder: StoragePath) -> str | None:
    """Return the kind of table that a folder is; None if it is none."""
    if (folder / "_delta_log").is_dir():
        return "delta"
    metadata = folder / "metadata"
    if metadata.is_dir() and any(path.name.endswith(".metadata.json") for path in metadata.iterdir()):
        return "iceberg"
    return None


def tables_among(names: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Return the folders of Delta and Iceberg tables, by the names of the files in them."""
    tables: dict[tuple[str, ...], str] = {}
    for parts in names:
        if "_delta_log" in parts[:-1]:
            tables[parts[: parts.index("_delta_log")]] = "delta"
        elif parts[-2:-1] == ("metadata",) and parts[-1].endswith(".metadata.json"):
            tables[parts[:-2]] = "iceberg"
    return tables


def refuse_parts_of_a_table(path: StoragePath, known: set[StoragePath]) -> None:
    """Raise InputError if a file or a folder belongs to a Delta or Iceberg table, which may have deleted its rows.

    :param known: folders that belong to no table.
    """
    folder = path.parent
    while "=" in folder.name:
        folder = folder.parent
    if folder in known:
        return
    for table in (folder, folder.parent):
        if (kind := table_format(table)) is not None and (kind == "iceberg" or table == folder):
            raise InputError(
                f"{path} belongs to the {kind.capitalize()} table {table}, and may hold deleted rows; name the table's "
                "folder. No article is sent until then"
            )
    known.add(folder)
