"""Rows of a database as a source: ``source=sql("SELECT …", conn_id="warehouse")``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nightpress.errors import ConfigurationError

_FETCHED_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class SqlSource:
    """A query through an Airflow connection; made by :func:`sql`."""

    query: str
    conn_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """The connection; the query is in the DAG file."""
        return f"a query of the connection {self.conn_id!r}"

    def iter_rows(self, day: str) -> Iterator[dict[str, Any]]:
        """Run the query and yield its rows, a thousand in memory at a time: by a server-side cursor where there is
        one.

        :raises ConfigurationError: the connection is not one of a database, or its provider is not installed.
        """
        try:
            from airflow.providers.common.sql.hooks.sql import DbApiHook
        except ImportError:
            raise ConfigurationError(
                "sql(…) needs the package apache-airflow-providers-common-sql: pip install 'nightpress[sql]'"
            ) from None
        from airflow.sdk import BaseHook
        from sqlalchemy import text

        hook = BaseHook.get_hook(self.conn_id)
        if not isinstance(hook, DbApiHook):
            raise ConfigurationError(
                f"the connection {self.conn_id!r} is of a kind that does not run SQL ({type(hook).__name__})"
            )
        bound = {"day": day, **self.parameters} if ":day" in self.query else dict(self.parameters)
        engine = hook.get_sqlalchemy_engine()
        try:
            with engine.connect() as connection:
                options = {"stream_results": True, "yield_per": _FETCHED_ROWS}
                found = connection.execution_options(**options).execute(text(self.query), bound)
                names = list(found.keys())
                for row in found:
                    yield dict(zip(names, row, strict=True))
        finally:
            engine.dispose()


def sql(query: str, *, conn_id: str, parameters: Mapping[str, Any] | None = None) -> SqlSource:
    """Return the rows of a query as a source of articles.

    The rows are read once for each run and stored in its folder, so that a retry sends what the first try read.

    Example: ``source=sql("SELECT id, title, body FROM mails WHERE day = :day", conn_id="warehouse")``

    :param query: one SELECT; ``:day`` is bound to the run's day (YYYY-MM-DD), never pasted into the text.
    :param conn_id: an Airflow connection to a database.
    :param parameters: other bound values, by their names in the query (``:country``).
    :raises ConfigurationError: the query is empty, or both it and the parameters name the day.
    """
    if not query.strip():
        raise ConfigurationError("sql(…) needs a query, such as SELECT id, body FROM mails WHERE day = :day")
    if "day" in (parameters or {}):
        raise ConfigurationError(
            "the parameter 'day' is reserved for the run's day; give your parameter another name"
        )
    return SqlSource(query, conn_id, dict(parameters or {}))
