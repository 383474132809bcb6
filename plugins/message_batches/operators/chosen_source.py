"""The source that a run reads: what the DAG file declares, or what a person chose in the form, if that is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from message_batches import config
from nightpress.errors import ConfigurationError
from nightpress.plain_text import without_queries

if TYPE_CHECKING:
    from nightpress.articles.allowed_sources import AllowedSources
    from nightpress.articles.row_sources import RowSource
    from nightpress.runs.ceilings import Ceilings
    from nightpress.runs.run import Run, Source
    from nightpress.storage import StoragePath


def merge_read_options(
    read_options: object, form_fields: Mapping[str, object], ceilings: Ceilings | None
) -> dict[str, Any]:
    """Return the reading options of a run, with the declared limits.

    :param form_fields: options that are fields of the form; one that is filled in wins over ``read_options``.
    :raises ConfigurationError: ``read_options`` is not an object, or asks for more than is declared.
    """
    options = read_options or {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(
            f"read_options is of type {type(options).__name__}; it must be an object such as {{'delimiter': ';'}}"
        )
    merged = {**options, **{name: value for name, value in form_fields.items() if value}}
    return ceilings.limit_reading(merged) if ceilings else merged


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChoice:
    """An operator's arguments about its source, rendered.

    :param declared: what the DAG file says: a path, a URL, several of them, a function or a query; None is the inbox.
    :param chosen: what a person gave in the form; wins over ``declared`` unless empty.
    :param allowed: folders or URLs, besides the declared ones, below which ``chosen`` may lie.
    :param fields: the source's names of the fields.
    :param options: reading options by name.
    :param may_be_absent: a declared source that has ``{day}`` in it may be absent: a day without articles.
    :param limit: read at most this many articles; None reads all.
    """

    declared: Any
    chosen: str | None
    allowed: Sequence[str]
    fields: Any
    options: Mapping[str, Any]
    may_be_absent: bool
    limit: int | None

    def open(
        self, run: Run, open_path: Callable[[StoragePath], StoragePath], *, write: bool = True
    ) -> Source:
        """Find the files, and store the rows that no file holds.

        :param open_path: opens files where Airflow's connections are not available.
        :param write: False stores nothing: a preview.
        :raises ConfigurationError: a person chose a source that is not allowed.
        :raises InputError: there is no such source.
        """
        from nightpress.articles.published_source import Published
        from nightpress.articles.reading_options import FieldMap
        from nightpress.articles.row_sources import as_row_source
        from nightpress.runs.run import Source

        given = self.chosen or self.declared
        allowed = self._allowed(run.day) if self.chosen else None
        if allowed is not None:
            if not isinstance(given, str):
                raise ConfigurationError(
                    f"the form's source is of type {type(given).__name__}; it must be text"
                )
            allowed.check(config.absolute_source(given, run.day))
        if (published := Published.of_source(given)) is not None:
            file = open_path(config.data_root().answers(published.pipeline, run.day))
            return Source(given, [file], FieldMap(), limit=self.limit, published=published)
        if (rows := as_row_source(given)) is not None:
            return self._open_rows(rows, run, write)
        return self._open_files(given, run, open_path, allowed)

    def _allowed(self, day: str) -> AllowedSources:
        declared = self.declared if isinstance(self.declared, (list, tuple)) else [self.declared]
        return config.allowed_sources([*declared, *self.allowed], day)

    def _open_rows(self, rows: RowSource, run: Run, write: bool) -> Source:
        from nightpress.articles.reading_options import FieldMap, ReadOptions
        from nightpress.articles.row_sources import stage_rows
        from nightpress.runs.run import Source

        options = ReadOptions.of({**self.options, "partition_columns": False})
        fields = FieldMap.of(self.fields)
        if not write:
            return Source(rows.shown, [], fields, limit=self.limit, options=options, rows=rows)
        files = stage_rows(rows, run.day, run.folder, options.limits)
        return Source(rows.shown, files, fields, limit=self.limit, options=options)

    def _open_files(
        self,
        given: Any,
        run: Run,
        open_path: Callable[[StoragePath], StoragePath],
        allowed: AllowedSources | None,
    ) -> Source:
        from nightpress.articles.reader import find_files
        from nightpress.articles.reading_options import FieldMap, ReadOptions
        from nightpress.runs.run import Source

        # The inbox's folder names say the day, which is the run's own: they are not columns.
        options = ReadOptions.of({"partition_columns": bool(given), **self.options})
        several = given if isinstance(given, (list, tuple)) else [given]
        places = [open_path(config.source_path(place, run.day)) for place in several]
        may_be_absent = self.may_be_absent and not self.chosen and "{day}" in str(given)
        files = find_files(places, missing_ok=not given or may_be_absent, format=options.format)
        if allowed is not None:
            allowed.check_files(files)
        shown = without_queries(", ".join(map(str, places)))
        return Source(shown, files, FieldMap.of(self.fields), limit=self.limit, options=options)
