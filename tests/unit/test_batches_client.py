"""The client over a real socket: where the key goes, what replies tell, and what is believed of them."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from nightpress.batches.api_addresses import scope_of
from nightpress.batches.api_facts import ApiFacts, Identity, Listed
from nightpress.batches.batch import Batch, BatchPage, decode_batch, decode_page, is_batch_id
from nightpress.batches.client import AsyncMessageBatches, MessageBatches
from nightpress.batches.lean_client import LeanClient
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.redaction import redact_bytes, redact_error, redact_stream, remove_secrets
from nightpress.batches.refusals import read_date
from nightpress.batches.submission import Body, submit_shard
from nightpress.errors import (
    ApiReplyError,
    ConfigurationError,
    RequestRefusedError,
    ResultsError,
    SubmitLaterError,
)
from tests.support.raw_api_server import RawApiServer, Received, Reply, batch, error

KEY = "sk-ant-api03-SECRET_of_the_connection"
LINE = b'{"custom_id": "a", "result": {"type": "canceled"}}\n'


WITH_SDK = [True]


@pytest.fixture(autouse=True, params=["by the SDK", "lean"])
def sender(request: pytest.FixtureRequest) -> None:
    WITH_SDK[0] = request.param == "by the SDK"


@contextmanager
def client(server: RawApiServer, path: str = "", key: str = KEY) -> Iterator[MessageBatches]:
    url = server.url + path
    with anthropic.Anthropic(api_key=key, base_url=url, max_retries=0) as sdk:
        yield MessageBatches(sdk if WITH_SDK[0] else LeanClient(key, url, lambda: sdk))


def always(content: Any, status: int = 200, **headers: str) -> Callable[[Received], Reply]:
    return lambda request: Reply(content, status, {name.replace("_", "-"): v for name, v in headers.items()})


@pytest.mark.parametrize(
    "results_url",
    [
        "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results",
        "/v1/messages/batches/msgbatch_1/results",
        "http://gateway.internal/v1/messages/batches/msgbatch_1/results",
        "http://localhost:{port}/somewhere/else",
        "{foreign}/v1/messages/batches/msgbatch_1/results",
        "ftp://x/y",
        "http://[broken",
        "",
        None,
    ],
)
def test_results_are_read_from_the_connections_own_origin(results_url: str | None) -> None:
    with (
        RawApiServer(always(b"stolen")) as foreign,
        RawApiServer(always(LINE)) as own,
        client(own, "/gateway") as api,
    ):
        if results_url is not None:
            results_url = results_url.replace("{port}", own.url.rpartition(":")[2])
            results_url = results_url.replace("{foreign}", foreign.url)
        ended = decode_batch(json.dumps(batch(results_url=results_url)).encode())
        assert b"".join(api.stream_results(ended)) == LINE
        assert [request.path for request in own.received] == [
            "/gateway/v1/messages/batches/msgbatch_1/results"
        ]
        assert foreign.received == []


def test_a_batch_without_results_is_said_so() -> None:
    with RawApiServer(always({})) as server, client(server) as api:
        running = Batch("msgbatch_1", "in_progress")
        with pytest.raises(ResultsError, match="it is in_progress"):
            list(api.stream_results(running))
        archived = decode_batch(json.dumps(batch(archived_at="2026-12-22T01:02:03Z")).encode())
        with pytest.raises(ResultsError, match="kept for 29 days"):
            list(api.stream_results(archived))
        assert server.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_the_key_or_the_articles_to_another_host(tmp_path: Any, status: int) -> None:
    body = UPath(tmp_path / "requests-00000.json")
    body.write_bytes(b'{"requests": []}')
    with RawApiServer(always(batch())) as foreign:
        location = foreign.url.replace("127.0.0.1", "localhost") + "/v1/messages/batches"
        with RawApiServer(always({}, status, location=location)) as server, client(server) as api:
            with pytest.raises(anthropic.APIStatusError):
                api.create(body, 16, deadline=api.now() + 60)
            with pytest.raises(anthropic.APIStatusError):
                api.retrieve("msgbatch_1")
            with pytest.raises(anthropic.APIStatusError):
                list(api.stream_results(Batch("msgbatch_1", "ended")))
        assert foreign.received == []


def test_a_redirect_to_the_same_origin_is_followed_on_get_and_ends() -> None:
    def answer(request: Received) -> Reply:
        if request.path.startswith("/moved"):
            return Reply(batch())
        return Reply({}, 307, {"location": "/moved" if "msgbatch_1" in request.path else request.path})

    with RawApiServer(answer) as server, client(server) as api:
        assert api.retrieve("msgbatch_1").id == "msgbatch_1"
        with pytest.raises(anthropic.APIStatusError):
            api.retrieve("msgbatch_2")
        assert len(server.received) < 10


def test_a_redirected_post_is_a_refusal_that_names_the_host(tmp_path: Any) -> None:
    (tmp_path / "r.json").write_bytes(b"{}")
    redirect = always({}, 307, location="https://other.example/x?key=1")
    with (
        RawApiServer(redirect) as server,
        client(server) as api,
        pytest.raises(RequestRefusedError) as caught,
    ):
        submit_shard(
            Entry(key="a" * 64, requests=1, bytes=2),
            Body(UPath(tmp_path / "r.json"), 2),
            api,
            Ledger(UPath(tmp_path / "ledger"), "api"),
            api.now,
        )
    assert "to https://other.example" in str(caught.value)
    assert "key=1" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 413, 429, 500, 529])
def test_a_key_that_a_proxy_echoes_is_stored_and_shown_nowhere(tmp_path: Any, status: int) -> None:
    def answer(request: Received) -> Reply:
        echoed = f"refused, you sent {request.headers['x-api-key']}"
        headers = {"request-id": request.headers["x-api-key"]}
        return Reply(error(message=echoed) if status != 413 else echoed.encode(), status, headers)

    (tmp_path / "r.json").write_bytes(b"{}")
    with RawApiServer(answer) as server, client(server) as api, pytest.raises(Exception) as caught:
        submit_shard(
            Entry(key="a" * 64, requests=1, bytes=2),
            Body(UPath(tmp_path / "r.json"), 2),
            api,
            Ledger(UPath(tmp_path / "ledger"), "api"),
            api.now,
        )
    assert KEY not in "".join(traceback.format_exception(caught.value))
    stored = [path.read_text() for path in (tmp_path / "ledger").rglob("*.json")]
    assert stored
    assert not any(KEY in text for text in stored)
    assert KEY not in api.redact(f"Bearer {KEY}")


ODD_KEY = "sk-gw/+SECRET\"of='the&connection-0123456789"
"""A gateway's key, with characters that JSON, HTML and URLs write in other ways."""

WRITTEN = {
    "as it is": ODD_KEY,
    "JSON": json.dumps(ODD_KEY)[1:-1],
    "JSON with its slashes escaped": json.dumps(ODD_KEY)[1:-1].replace("/", "\\/"),
    "JSON in JSON": json.dumps(json.dumps(ODD_KEY))[3:-3],
    "JSON by code": ODD_KEY.replace("/", "\\u002F").replace("+", "\\u002b"),
    "Python": repr(ODD_KEY)[1:-1],
    "URL": quote(ODD_KEY, safe=""),
    "URL in lower case": quote(ODD_KEY, safe="").replace("%2F", "%2f"),
    "URL in URL": quote(quote(ODD_KEY, safe=""), safe=""),
    "HTML": html.escape(ODD_KEY),
    "HTML by number": html.escape(ODD_KEY).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "hex": ODD_KEY.encode().hex(),
    **{f"base64 behind {n}": base64.b64encode(b"x" * n + ODD_KEY.encode()).decode() for n in range(4)},
    "base64 for URLs": base64.urlsafe_b64encode(f"Bearer {ODD_KEY}".encode()).decode(),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_a_key_is_found_however_it_is_written(written: str) -> None:
    for text in (f"you sent {written}, which is no key", f"{written}{written}", written):
        assert written[4:-8] not in remove_secrets(text, [ODD_KEY])
        assert written[4:-8].encode() not in redact_bytes(text.encode(), [ODD_KEY])
    nested = ValueError(("a", [written]), {written: written.encode()})
    nested.add_note(written)
    group = ExceptionGroup("several", [nested])
    redact_error(group, [ODD_KEY])
    assert written not in "".join(traceback.format_exception(group))


@pytest.mark.parametrize("written", ["as it is", "JSON", "URL in lower case", "HTML"])
@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_key_that_is_written_otherwise_is_removed_from_a_stream(written: str, size: int) -> None:
    whole = f"a {WRITTEN[written]} b".encode()
    chunks = (whole[at : at + size] for at in range(0, len(whole), size))
    assert b"".join(redact_stream(chunks, [ODD_KEY])) == b"a [key removed] b"


@pytest.mark.parametrize(
    "place", ["kind", "message", "text", "request-id", "anthropic-organization-id", "state"]
)
@pytest.mark.parametrize("status", [200, 302, 307, 400, 500])
@pytest.mark.parametrize("written", ["as it is", "URL", "base64 behind 0"])
def test_a_key_is_echoed_anywhere_in_a_reply(
    tmp_path: Any, caplog: pytest.LogCaptureFixture, place: str, status: int, written: str
) -> None:
    """Neither what is raised, nor the ledger, nor a log at level DEBUG shows it."""
    caplog.set_level("DEBUG")
    told = WRITTEN[written]
    told = told if "-" not in place else told[:120]

    def answer(_request: Received) -> Reply:
        content: Any = error(told if place == "kind" else "api_error", told if place == "message" else "said")
        if status == 200:
            content = batch(processing_status=told if place == "state" else "in_progress")
        return Reply(
            told.encode() if place == "text" else content, status, {place: told} if "-" in place else {}
        )

    (tmp_path / "r.json").write_bytes(b"{}")
    with RawApiServer(answer) as server, client(server, key=ODD_KEY) as api:
        body, ledger = Body(UPath(tmp_path / "r.json"), 2), Ledger(UPath(tmp_path / "ledger"), "api")
        shown = []
        for call in (
            lambda: submit_shard(Entry(key="a" * 64, requests=1, bytes=2), body, api, ledger, api.now),
            lambda: list(api.stream_results(api.retrieve("msgbatch_1"))),
            api.identify,
        ):
            try:
                shown.append(repr(call()))
            except Exception as failed:
                shown.append("".join(traceback.format_exception(failed)))
    shown += [path.read_text() for path in (tmp_path / "ledger").rglob("*.json")]
    assert told not in "\n".join([*shown, caplog.text])


def test_passwords_of_the_address_and_of_other_headers_are_secrets_too() -> None:
    address = "http://user:pass%2Fword-of-the-gateway@127.0.0.1:9"
    headers = {"X-Gateway-Key": "other-key-of-the-gateway", "X-Team": "a team of no secret"}
    with anthropic.Anthropic(api_key=KEY, base_url=address, max_retries=0, default_headers=headers) as sdk:
        api = MessageBatches(sdk)
        with pytest.raises(SubmitLaterError, match="no usable answer") as caught:
            api.identify()
    assert "word-of-the-gateway" not in str(caught.value)
    assert api.redact("other-key-of-the-gateway pass/word-of-the-gateway") == "[key removed] [key removed]"
    assert api.redact("a team of no secret") == "a team of no secret"


@given(
    st.lists(st.sampled_from([KEY, KEY[:9], KEY[9:], "text ", "\n", "s"]), max_size=12), st.integers(1, 60)
)
def test_a_key_is_removed_from_a_stream_wherever_its_chunks_end(parts: list[str], size: int) -> None:
    whole = "".join(parts).encode()
    chunks = (whole[at : at + size] for at in range(0, len(whole), size))
    assert b"".join(redact_stream(chunks, [KEY, "test"])) == whole.replace(KEY.encode(), b"[key removed]")


def test_what_came_before_a_stream_broke_off_is_not_lost() -> None:
    def cut() -> Iterator[bytes]:
        yield b"a line\n"
        raise ConnectionError

    found: list[bytes] = []
    with pytest.raises(ConnectionError):
        found.extend(redact_stream(cut(), [KEY]))
    assert b"".join(found) == b"a line\n"


def test_a_key_that_a_gateway_echoes_in_the_results_is_not_kept() -> None:
    with RawApiServer(always(LINE.replace(b"canceled", KEY.encode()))) as server, client(server) as api:
        found = decode_batch(json.dumps(batch(1)).encode())
        assert KEY.encode() not in b"".join(api.stream_results(found))


def test_the_api_says_itself_that_it_is_offline_and_an_address_says_nothing() -> None:
    page = {"data": [], "has_more": False}
    with RawApiServer(always(page)) as server, client(server) as api:
        assert api.scope == "127.0.0.1"
        assert len(server.received) == 1
        assert api.scope == "127.0.0.1"
        assert len(server.received) == 1
    with RawApiServer(always(page, x_offline_api="message-batches")) as server, client(server) as api:
        assert api.scope == "offline"
    refused = always(error("authentication_error"), 401, x_offline_api="message-batches")
    with RawApiServer(refused) as server, client(server) as api:
        assert api.scope == "offline"
    # A proxy's own error says nothing about the API behind it.
    bad = always(b"bad gateway", 502)
    with (
        RawApiServer(bad) as server,
        client(server) as api,
        pytest.raises(Exception, match="no usable answer"),
    ):
        _ = api.scope
    assert scope_of("https://offline/", offline=False) != "offline"
    assert "/" not in scope_of("https://../x", offline=False)


def test_organization_workspace_and_time_come_from_any_response() -> None:
    date = formatdate(1_700_000_000, usegmt=True)
    headers = {
        "anthropic_organization_id": "org-1",
        "anthropic_workspace_id": "wrkspc_2",
        "date": date,
    }
    with RawApiServer(always(batch(), **headers)) as server, client(server) as api:
        assert api.time() is None
        api.retrieve("msgbatch_1")
        assert api.identify() == Identity("org-1", "wrkspc_2")
        assert api.time() == pytest.approx(1_700_000_000, abs=5)
    # A gateway's key may be a word that an id holds: whose batches these are decides whether one is sent again.
    for key, whose in (("wrkspc", Identity("org-1", "wrkspc_2")), ("wrkspc_2", Identity("org-1"))):
        with RawApiServer(always(batch(), **headers)) as server, client(server, key=key) as api:
            api.retrieve("msgbatch_1")
            assert api.identify() == whose
    odd = {"anthropic_organization_id": "../x", "anthropic_workspace_id": "a" * 500, "date": "tomorrow"}
    with RawApiServer(always(batch(), **odd)) as server, client(server) as api:
        api.retrieve("msgbatch_1")
        assert api.identify() == Identity()
        assert api.time() is None


ODD = [
    {},
    None,
    7,
    "x",
    [],
    {"id": "../../x", "type": "message_batch"},
    {"id": None},
    {"id": 7, "processing_status": "ended"},
    batch(id="a/b"),
    batch(id="a" * 129),
]
STRANGE = [
    batch(9, request_counts=None),
    batch(9, request_counts={"processing": None, "succeeded": 2**63, "errored": -1}),
    batch(9, created_at=None, expires_at="soon", results_url=7),
    batch(9, processing_status=None, further={"a": [1]}),
    batch(9, created_at="2026-11-22T01:02:03"),
]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_batch_in_the_list_does_not_hide_the_others(odd: Any) -> None:
    content = {"data": [batch(1), odd, batch(2)], "has_more": False}
    page = decode_page(json.dumps(content).encode())
    assert [found.id for found in page.data] == ["msgbatch_1", "msgbatch_2"]
    assert len(page.odd) == 1
    with pytest.raises(ApiReplyError):
        decode_batch(json.dumps(odd).encode())


@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_missing_or_out_of_bounds_is_unknown(strange: dict[str, Any]) -> None:
    page = decode_page(json.dumps({"data": [strange], "has_more": None, "last_id": 3}).encode())
    (found,) = page.data
    assert found.id == "msgbatch_9"
    assert page.last_id == "msgbatch_9"
    assert found == decode_batch(json.dumps(strange).encode())
    assert all(count >= 0 for count in (found.request_counts.succeeded, found.request_counts.errored))
    assert found.created_at is None or found.created_at.tzinfo is not None


@pytest.mark.parametrize(
    ("ended_at", "ended"), [("2026-11-22T02:00:00Z", True), (None, False), ("0001-01-01T00:00:00Z", False)]
)
def test_a_batch_whose_status_a_gateway_drops_has_ended_when_it_says_when(
    ended_at: str | None, ended: bool
) -> None:
    """Else its answers, which are paid for, are never collected."""
    for status in ({"processing_status": None}, {}):
        content = batch(9, ended_at=ended_at)
        del content["processing_status"]
        found = decode_batch(json.dumps(content | status).encode())
        assert found.ended is ended


@pytest.mark.parametrize("zero", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("strict", [True, False])
def test_the_zero_of_a_gateways_language_is_no_time(zero: str, strict: bool) -> None:
    found = decode_batch(
        json.dumps(batch(9, created_at=zero, ended_at=zero) | ({} if strict else {"type": None})).encode()
    )
    assert (found.created_at, found.ended_at) == (None, None)
    facts = ApiFacts()
    facts.note_batches(BatchPage((found,)))
    assert facts.listed == Listed(None, ("msgbatch_9",))


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Thu, 26 Nov 2026 05:00:00 GMT", 1_795_669_200),
        ("Thu, 26 Nov 2026 05:00:00 -0000", 1_795_669_200),
        ("Thu, 26 Nov 2026 05:00:00", 1_795_669_200),
        ("Thu Nov 26 05:00:00 2026", 1_795_669_200),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Mon, 01 Jan 1900 00:00:00 GMT", None),
        ("2026-11-26T05:00:00Z", None),
        ("", None),
    ],
)
def test_the_date_of_a_reply_is_in_utc_and_of_this_age(
    monkeypatch: pytest.MonkeyPatch, date: str, seconds: float | None
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert read_date(date) == seconds
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("told", "count", "more"),
    [
        (True, 1, True),
        (False, 1_000, False),
        (None, 0, False),
        # A gateway leaves the field out and has a limit of its own: only an empty page is the end.
        (None, 20, True),
        ("false", 1, False),
        ("true", 1, True),
        (0, 1, False),
        (1, 1, True),
    ],
)
def test_whether_a_page_follows_is_read_in_every_form(told: Any, count: int, more: bool) -> None:
    content = {"data": [batch(number) for number in range(count)], "has_more": told}
    assert decode_page(json.dumps(content).encode()).has_more is more


@pytest.mark.parametrize(
    "reply", [b"", b"<html>", b"[]", b'{"data": 7}', b'{"data": {}}', b"\xff", b"[" * 9999]
)
def test_what_is_no_list_is_said_so(reply: bytes) -> None:
    with pytest.raises(ApiReplyError):
        decode_page(reply)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\n", "a" * 129, "%2e%2e", "é"])
def test_no_request_is_made_for_what_is_no_batch_id(name: str) -> None:
    assert not is_batch_id(name)
    with RawApiServer(always(batch())) as server, client(server) as api:
        with pytest.raises(ConfigurationError, match="invalid batch id"):
            api.retrieve(name)
        assert server.received == []


def test_betas_are_sent_with_the_body_and_checked(tmp_path: Any) -> None:
    body = UPath(tmp_path / "r.json")
    body.write_bytes(b"{}")
    with RawApiServer(always(batch())) as server, client(server) as api:
        api.create(body, 2, deadline=api.now() + 60, betas=["one-2026", "two"])
        assert server.received[0].headers["anthropic-beta"] == "one-2026,two"
        with pytest.raises(ConfigurationError, match="invalid beta"):
            api.create(body, 2, deadline=api.now() + 60, betas=["a\r\nx: y"])


def test_the_asynchronous_client_reads_and_cancels() -> None:
    def answer(request: Received) -> Reply:
        if request.method == "POST":
            return Reply(batch(processing_status="canceling"), headers={"x-offline-api": "message-batches"})
        return Reply({"data": [batch()]} if "?" in request.path else batch())

    async def run(url: str) -> None:
        api = AsyncMessageBatches(anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0))
        assert (await api.retrieve("msgbatch_1")).ended
        assert not api.offline
        assert (await api.list()).data[0].id == "msgbatch_1"
        assert (await api.cancel("msgbatch_1")).processing_status == "canceling"
        assert api.offline
        with pytest.raises(ConfigurationError):
            await api.cancel("../x")
        await api.close()

    with RawApiServer(answer) as server:
        asyncio.run(run(server.url))
        assert server.received[-1].path == "/v1/messages/batches/msgbatch_1/cancel"
