"""Ask the API for its models and for token counts; both are free, and a failure never stops the plan."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from nightpress.batches.redaction import find_secrets, guard_logs, redact_bytes
from nightpress.storage import INVALID_JSON

if TYPE_CHECKING:
    import anthropic

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
_PAGE = 1000
_COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "mcp_servers")
"""Params that ``count_tokens`` takes (SDK 2.14.0, types/message_count_tokens_params.py)."""


class LiveModel(msgspec.Struct, frozen=True):
    """A model as ``GET /v1/models`` shows it; a field that is null or missing is not known.

    :param lifecycle: ``active``, ``deprecated`` or ``retired``.
    :param retires_at: ISO 8601.
    """

    id: str
    lifecycle: str | None = None
    retires_at: str | None = None
    max_tokens: int | None = None
    max_input_tokens: int | None = None
    capabilities: dict[str, Any] | None = None

    @property
    def takes_batches(self) -> bool | None:
        """Whether the model can be used in batches; None when the API does not say."""
        batch = (self.capabilities or {}).get("batch")
        supported = batch.get("supported") if isinstance(batch, dict) else None
        return supported if isinstance(supported, bool) else None


class ModelApi(Protocol):
    """The requests that planning makes to the API."""

    @property
    def scope(self) -> str:
        """Name of the API, e.g. ``api.anthropic.com``."""

    def list_models(self) -> list[LiveModel] | None:
        """Return the models of this connection, or None when the API cannot be asked."""

    def count_tokens(self, params: bytes) -> int | None:
        """Return the input tokens of a request's params, or None when the API cannot be asked."""


class SdkModelApi:
    """The API through the SDK's client.

    :param client: its base URL and key are used unchanged; no redirect is followed, and no call is retried.
    :param scope: name of the API.
    """

    def __init__(self, client: anthropic.Anthropic, scope: str) -> None:
        self._client = client.with_options(max_retries=0, timeout=TIMEOUT_SECONDS)
        self._secrets = find_secrets(client)
        guard_logs(self._secrets)
        self.scope = scope

    def list_models(self) -> list[LiveModel] | None:
        """Return the models of this connection, or None when the API cannot be asked."""
        query = {"limit": _PAGE, "lifecycle": ["active", "deprecated", "retired"]}
        reply = self._ask("GET", "/v1/models", {"params": query, "follow_redirects": False})
        try:
            found = msgspec.json.decode(reply)["data"] if reply is not None else None
            if not isinstance(found, list):
                return None
        except (*INVALID_JSON, KeyError, TypeError):
            return None
        return [model for entry in found if (model := _read_model(entry)) is not None]

    def count_tokens(self, params: bytes) -> int | None:
        """Return the input tokens of a request's params, or None when the API cannot be asked."""
        asked = msgspec.json.decode(params, type=dict[str, Any])
        body = {name: asked[name] for name in _COUNTED if name in asked}
        options = {"follow_redirects": False, "headers": {"Content-Type": "application/json"}}
        reply = self._ask("POST", "/v1/messages/count_tokens", options, msgspec.json.encode(body))
        try:
            count = msgspec.json.decode(reply)["input_tokens"] if reply is not None else None
        except (*INVALID_JSON, KeyError, TypeError):
            return None
        return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None

    def _ask(
        self, method: str, route: str, options: dict[str, Any], content: bytes | None = None
    ) -> bytes | None:
        import anthropic
        import httpx2

        # The SDK's type for options leaves out `follow_redirects`, which it takes.
        chosen: Any = options
        try:
            if method == "GET":
                found = self._client.get(route, cast_to=httpx2.Response, options=chosen)
            else:
                found = self._client.post(route, cast_to=httpx2.Response, content=content, options=chosen)
        except (anthropic.AnthropicError, httpx2.HTTPError, OSError, ValueError) as error:
            # The error's text may hold data that a proxy echoed, so only its type is logged.
            log.info("%s %s: %s; the plan does without", method, route, type(error).__name__)
            return None
        return redact_bytes(found.content, self._secrets)


def _read_model(entry: object) -> LiveModel | None:
    try:
        return msgspec.convert(entry, LiveModel)
    except msgspec.ValidationError:
        identity = entry.get("id") if isinstance(entry, dict) else None
        return LiveModel(identity) if isinstance(identity, str) else None
