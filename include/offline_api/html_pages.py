"""Two small pages for people: all batches, and one."""

from __future__ import annotations

import secrets
from base64 import b64decode
from contextlib import suppress
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from offline_api.api_errors import ApiError
from offline_api.batch_state import view
from offline_api.local_endpoints import bill
from offline_api.server import sent_key, server_of

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
td, th {{ text-align: left; padding: .2rem 1rem .2rem 0 }} .note {{ background: #fff3c4; padding: .5rem 1rem }}
@media (prefers-color-scheme: dark) {{ body {{ background: #191919; color: #ddd }} a {{ color: #8bf }}
.note {{ background: #443a10 }} }}</style>
<h1>{title}</h1>
<p class="note">Offline Message Batches API: no model was called, nothing was billed. The answers are the
articles' own first sentences, or values made up of them that fit the schema asked for.</p>
{content}
</html>
"""
_SHOWN = 200


def _page(title: str, content: str) -> Response:
    return HTMLResponse(_PAGE.format(title=escape(title), content=content))


def _table(rows: list[list[str]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def _check_access(request: Request) -> None:
    """Ask a browser for the server's key, as the password of any user.

    :raises ApiError: 401.
    """
    key = server_of(request).key
    if key is None:
        return
    kind, _, pair = request.headers.get("authorization", "").partition(" ")
    sent = sent_key(request)
    if kind.lower() == "basic":
        with suppress(ValueError):
            sent = b64decode(pair).decode().partition(":")[2]
    if not secrets.compare_digest(sent.encode(), key.encode()):
        headers = {"www-authenticate": 'Basic realm="offline API: the key is the password"'}
        raise ApiError(401, "The key that the server was started with is needed", headers=headers)


def index(request: Request) -> Response:
    """Show the newest batches and the meter."""
    _check_access(request)
    server = server_of(request)
    found, has_more = server.batches.page(_SHOWN, None, None)
    meter = bill(server)
    names = ("batches_accepted", "requests_billed", "input_tokens", "output_tokens")
    cost = meter["bill"]["cost_usd"]
    rows = [["<b>batch</b>", "<b>status</b>", "<b>requests</b>", "<b>created</b>"]]
    for record in found:
        shown = view(record, server.clock.now(), "")
        link = f'<a href="/batches/{escape(record.id)}">{escape(record.id)}</a>'
        rows.append([link, shown["processing_status"], str(record.requests), shown["created_at"]])
    totals = ", ".join(f"{meter[name]:,} {name.replace('_', ' ')}" for name in names)
    more = f"<p>Only the newest {_SHOWN} are shown.</p>" if has_more else ""
    return _page(
        "Message batches", f"<p>As a real API would have counted: {totals}, ${cost}.</p>{_table(rows)}{more}"
    )


def batch(request: Request) -> Response:
    """Show one batch."""
    _check_access(request)
    server = server_of(request)
    record = server.batches.get(str(request.path_params["batch_id"]))
    shown = view(record, server.clock.now(), str(request.base_url).rstrip("/"))
    counts = shown.pop("request_counts")
    rows = [[escape(name), escape("–" if value is None else str(value))] for name, value in shown.items()]
    rows += [[f"requests {escape(name)}", f"{count:,}"] for name, count in counts.items()]
    return _page(f"Batch {record.id}", _table(rows) + '<p><a href="/">All batches</a></p>')


ROUTES = [
    Route("/", index, methods=["GET"]),
    Route("/batches/{batch_id}", batch, methods=["GET"]),
]
