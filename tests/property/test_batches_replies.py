"""Whatever a gateway writes into its replies: a wait is bounded, a key stays where it belongs, nothing crashes."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx2
from hypothesis import example, given
from hypothesis import strategies as st

from nightpress.batches.api_addresses import ROUTE, results_address
from nightpress.batches.batch import Batch, RequestCounts
from nightpress.batches.refusals import (
    MAX_RETRY_AFTER_SECONDS,
    find_account_remedy,
    is_account_trouble,
    read_retry_after,
)
from nightpress.models.lookup import get_model, suggest

HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
HOSTS = st.sampled_from(
    [
        "api.anthropic.com",
        "API.ANTHROPIC.COM",
        "api.anthropic.com.evil.example",
        "evilanthropic.com",
        "api.anthropic.com@evil.example",
        "evil.example/api.anthropic.com",
        "evil.example#api.anthropic.com",
        "evil.example?api.anthropic.com",
        "evil.example\\@api.anthropic.com",
        "[::1]",
        "127.0.0.1:8765",
        "",
    ]
)
URLS = st.one_of(
    st.none(),
    st.text(max_size=60),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["https://", "http://", "//", "HTTPS://", "https:", "ftp://", ""]),
        HOSTS,
        st.sampled_from(["", ":443", ":80", ":99999", ":x"]),
        st.sampled_from(["", "/", "/v1/messages/batches/b/results", "/../x", "?a=https://api.anthropic.com"]),
    ),
)
BASES = st.sampled_from(
    [
        "https://api.anthropic.com",
        "https://gateway.example",
        "http://127.0.0.1:8080",
        "https://gateway.example/v1",
    ]
)


@given(HEADER, st.one_of(st.none(), HEADER))
@example("9" * 400, None)
@example("Wed, 26 Nov 2026 01:00:00 -9999", "Wed, 26 Nov 2026 00:00:00 GMT")
def test_a_wait_is_bounded_whatever_the_header_says(value: str, date: str | None) -> None:
    headers = httpx2.Headers({"retry-after": value} | ({"date": date} if date is not None else {}))
    seconds = read_retry_after(headers)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@given(URLS, BASES)
def test_a_key_goes_to_its_own_host_whatever_the_results_url_says(url: str | None, base: str) -> None:
    batch = Batch(
        "msgbatch_1", "ended", datetime(2026, 11, 22, tzinfo=UTC), RequestCounts(succeeded=1), results_url=url
    )
    address = results_address(batch, base)
    if base == "https://api.anthropic.com" and address != f"{ROUTE}/msgbatch_1/results":
        parts = urlsplit(address)
        assert (parts.scheme, parts.port or 443) == ("https", 443)
        assert (parts.hostname or "").endswith(".anthropic.com")
        assert httpx2.URL(address).host.endswith(".anthropic.com"), "as the one who sends it reads it"
    else:
        assert address == f"{ROUTE}/msgbatch_1/results"


@given(
    st.one_of(st.none(), st.text(max_size=400)),
    st.sampled_from(["invalid_request_error", "api_error", None]),
)
@example("{'error': {'message': ", None)
@example('{"error": ' * 200, None)
def test_any_words_are_read(message: str | None, kind: str | None) -> None:
    assert is_account_trouble(kind, message) is (find_account_remedy(kind, message) is not None)
    quoted = f"messages.0.content: {message!r} is not valid"
    assert not is_account_trouble("invalid_request_error", quoted)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_any_id_of_a_model_is_known_assumed_or_refused_with_what_was_meant(name: str) -> None:
    from nightpress.errors import ConfigurationError

    try:
        model = get_model(name)
    except ConfigurationError as error:
        assert "model" in str(error)
        return
    assert model.id == name
    assert model.known or suggest(name) is None
