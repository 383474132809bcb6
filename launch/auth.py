"""The login of an Airflow that Nightpress starts: one user, a one-time link, access from this machine only.

The launcher sets it as Airflow's auth manager. Without a login, every local user, and every web page whose host name
resolves to 127.0.0.1 (DNS rebinding), could trigger runs that spend money on the owner's key.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Any

from airflow.api_fastapi.app import get_auth_manager, get_cookie_path
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi import FastAPI, Request
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from launch.login import LINK_VARIABLE, USER

TRUSTED_HOSTS = ("127.0.0.1", "localhost")


class LocalAuthManager(SimpleAuthManager):
    """Airflow's simple auth manager, with a one-time link and a check of the Host header."""

    def get_fastapi_middlewares(self) -> list[tuple[Any, dict[str, Any]]]:
        """Reject requests whose Host is not this machine: they may come from DNS rebinding."""
        return [
            *super().get_fastapi_middlewares(),
            (TrustedHostMiddleware, {"allowed_hosts": list(TRUSTED_HOSTS)}),
        ]

    def get_fastapi_app(self) -> FastAPI | None:
        """Add ``/auth/link`` to the login pages, before the route that catches all others."""
        app = super().get_fastapi_app()
        assert app is not None
        app.router.routes.insert(0, Route("/link", open_link, methods=["GET"]))
        return app


async def open_link(request: Request) -> Response:
    """Log in with the one-time link and redirect to the UI; a used or wrong link leads to the login form."""
    if not _take_key(request.query_params.get("key", "")):
        return RedirectResponse(f"{request.scope.get('root_path', '/auth')}/login", status_code=303)
    user = SimpleAuthManagerUser(username=USER, role="admin")
    response = RedirectResponse("/", status_code=303, headers={"Referrer-Policy": "no-referrer"})
    response.set_cookie(
        COOKIE_NAME_JWT_TOKEN,
        get_auth_manager().generate_jwt(user),
        path=get_cookie_path(),
        httponly=True,
        samesite="lax",
    )
    return response


def _take_key(given: str) -> bool:
    """Return whether a key is the one stored in the file; if so, delete the file, so the key works only once."""
    path = Path(os.environ[LINK_VARIABLE])
    try:
        wanted = path.read_text().strip()
        if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True
