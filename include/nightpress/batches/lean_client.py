"""A client that sends requests for plain API keys itself, and leaves everything else to the official SDK.

Importing the SDK takes about a second of CPU, which every task would pay for one or two requests. A request that
succeeds does not need the SDK. A GET whose failure may be transient is handed to the SDK, which retries it as
usual. A POST is sent only once: when it fails here, the SDK is used only for its error class.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import httpx2

if TYPE_CHECKING:
    import anthropic
    from anthropic._types import RequestOptions

VENDOR_URL = "https://api.anthropic.com"
API_VERSION = "2026-10-21"
"""As the SDK sends it; a test compares all headers with the SDK's."""

_MAY_PASS = (408, 409, 429)
_TIMEOUT = httpx2.Timeout(600.0, connect=5.0)


_OF_NO_EFFECT = {"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"}
"""Environment variables that the SDK ignores when it is given a key."""


def suits_lean_client(password: str | None, host: str | None, extras: Mapping[str, object]) -> bool:
    """Return whether a connection needs only a key: no other platform, credentials or settings of the SDK.

    If an environment variable may change what the SDK sends, even one that is not known here, the SDK is used
    instead.
    """
    without_effect = _OF_NO_EFFECT | ({"ANTHROPIC_BASE_URL"} if host else set())
    of_sdk = extras.get("anthropic_client_kwargs") or {}
    others = {
        name: value
        for name, value in extras.items()
        if value and name not in {"model", "anthropic_client_kwargs"}
    }
    return (
        bool(password)
        and others in ({}, {"platform": "anthropic"})
        # The SDK does the retries in both cases.
        and isinstance(of_sdk, dict)
        and set(of_sdk) <= {"max_retries"}
        and not any(name.startswith("ANTHROPIC_") for name in set(os.environ) - without_effect)
    )


class LeanClient:
    """The part of the SDK's client that :class:`nightpress.batches.client.MessageBatches` needs.

    :param make_sdk: makes the SDK's client of the same connection when it is needed, such as after a failure.
    """

    auth_token = None

    def __init__(
        self, api_key: str, base_url: str | None, make_sdk: Callable[[], anthropic.Anthropic]
    ) -> None:
        self.api_key = api_key
        self.base_url = base_url or VENDOR_URL
        self._make_sdk = make_sdk

    @cached_property
    def sdk(self) -> anthropic.Anthropic:
        """The SDK's client."""
        return self._make_sdk()

    @property
    def auth_headers(self) -> dict[str, str]:
        """The headers that hold the key."""
        return {"Authorization": f"Bearer {self.api_key}"}

    @cached_property
    def _http(self) -> httpx2.Client:
        headers = {
            "Accept": "application/json",
            "User-Agent": "nightpress",
            "anthropic-version": API_VERSION,
            **self.auth_headers,
        }
        return httpx2.Client(headers=headers, timeout=_TIMEOUT, follow_redirects=False)

    def get(self, path: str, options: Mapping[str, Any], *, stream: bool = False) -> httpx2.Response:
        """Send a GET; after a failure that may be transient, the SDK sends it again.

        :raises anthropic.APIError: as the SDK does.
        """
        try:
            response = self._http.send(self._request("GET", path, options), stream=stream)
            if response.is_success:
                return response
            response.read()
            if response.status_code not in _MAY_PASS and not response.is_server_error:
                raise self._status_error(response)
        except (httpx2.HTTPError, httpx2.InvalidURL):
            pass
        return SdkRequests(self.sdk).get(path, options, stream=stream)

    def post(self, path: str, options: Mapping[str, Any], content: Iterable[bytes]) -> httpx2.Response:
        """Send a POST, once.

        :raises anthropic.APIError: as the SDK does.
        """
        request = self._request("POST", path, options, content)
        try:
            response = self._http.send(request)
        except Exception as error:
            import anthropic

            if isinstance(error, httpx2.TimeoutException):
                raise anthropic.APITimeoutError(request=request) from error
            raise anthropic.APIConnectionError(request=request) from error
        if not response.is_success:
            raise self._status_error(response)
        return response

    def _status_error(self, response: httpx2.Response) -> anthropic.APIStatusError:
        # Only this method of the SDK maps a response to its error class.
        return self.sdk._make_status_error_from_response(response)

    def __del__(self) -> None:
        # As the SDK's client does, since no task closes its connection.
        http = self.__dict__.get("_http")
        if http is not None:
            http.close()

    def _request(
        self, method: str, path: str, options: Mapping[str, Any], content: Iterable[bytes] | None = None
    ) -> httpx2.Request:
        url = path if "://" in path else f"{self.base_url.rstrip('/')}/{path.lstrip('/')}"
        return self._http.build_request(
            method, url, content=content, headers=options.get("headers"), params=options.get("params")
        )


class SdkRequests:
    """Sends the same requests with the SDK's client."""

    def __init__(self, client: anthropic.Anthropic) -> None:
        self._client = client

    def get(self, path: str, options: Mapping[str, Any], *, stream: bool = False) -> httpx2.Response:
        """Send a GET, with the SDK's retries."""
        from anthropic import Stream

        sdk_options = cast("RequestOptions", options)
        # The SDK returns a raw response unchanged, whatever the stream class.
        found: object = (
            self._client.get(
                path, cast_to=httpx2.Response, options=sdk_options, stream=True, stream_cls=Stream[bytes]
            )
            if stream
            else self._client.get(path, cast_to=httpx2.Response, options=sdk_options)
        )
        return cast("httpx2.Response", found)

    def post(self, path: str, options: Mapping[str, Any], content: Iterable[bytes]) -> httpx2.Response:
        """Send a POST once, with the SDK's retries off."""
        return self._client.with_options(max_retries=0).post(
            path, content=content, cast_to=httpx2.Response, options=cast("RequestOptions", options)
        )
