"""The Batches page, the plan page and the report viewer, served inside Airflow's API server.

Airflow imports its plugins in every component, the DAG processor included; so what is registered is a
shell, and the application is built at the first request.
"""

from __future__ import annotations

from typing import Any

URL_PREFIX = "/nightpress"


class PageApp:
    """An ASGI application that is built when it is first asked for something."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand the request to the application."""
        if self._app is None:
            from message_batches.page.routes import build_pages

            self._app = build_pages()
        await self._app(scope, receive, send)
