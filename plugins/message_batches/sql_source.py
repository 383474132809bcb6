"""Rows of a database as a source: ``source=sql("SELECT …", conn_id="warehouse")``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nightpress.errors import ConfigurationError, InputError

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
        :raises InputError: two columns have one name, or a value cannot be converted as the query asks.
        """
        try:
            from airflow.providers.common.sql.hooks.sql import DbApiHook
        except ImportError:
            raise ConfigurationError(
                "sql(…) needs the package apache-airflow-providers-common-sql: pip install 'nightpress[sql]'"
            ) from None
        from airflow.sdk import BaseHook
        from sqlalchemy import text
        from sqlalchemy.exc import DataError

        hook = BaseHook.get_hook(self.conn_id)
        if not isinstance(hook, DbApiHook):
            raise ConfigurationError(
                f"the connection {self.conn_id!r} is of a kind that does not run SQL ({type(hook).__name__})"
            )
        bound = {"day": day, **self.parameters} if ":day" in self.query else dict(self.parameters)
        # The messages of SQLAlchemy would quote the parameters, which may be secret.
        engine = hook.get_sqlalchemy_engine({"hide_parameters": True})
        problem = ""
        try:
            with engine.connect() as connection:
                options = {"stream_results": True, "yield_per": _FETCHED_ROWS}
                found = connection.execution_options(**options).execute(text(self.query), bound)
                names = list(found.keys())
                _check_names(names, self.shown)
                for row in found:
                    yield dict(zip(names, row, strict=True))
        except DataError:  # its message may quote a row
            problem = (
                "a value in it does not fit its type in the query; cast it otherwise, or leave such rows out"
            )
        finally:
            engine.dispose()
        if problem:
            raise InputError(f"{self.shown}: {problem}. No article is sent until then")


def _check_names(names: list[str], shown: str) -> None:
    """Raise InputError if two columns have the same name: only one of them would be read."""
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        raise InputError(
            f"{shown} gives the column {repeated!r:.60} more than once; name them differently in the query: AS …"
        )


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
