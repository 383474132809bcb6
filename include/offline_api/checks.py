"""What is refused: a whole body at create, or one request later, as an errored result.

The real API checks ``custom_id`` and the presence of fields at create, and everything else of ``params``
only when the request's turn comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from offline_api.api_errors import ApiError
from offline_api.prompt_cache import marks_refusal
from offline_api.schema_checks import schema_refusal

MAX_REQUESTS = 100_000
REQUIRED = ("model", "max_tokens", "messages")
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]+")
_PATH = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_GONE = ("temperature", "top_p", "top_k", "speed")


class Item(msgspec.Struct):
    """One request of a batch, its params not decoded yet."""

    custom_id: str
    params: msgspec.Raw


class Body(msgspec.Struct):
    """The body of a create."""

    requests: list[Item]


_decoder = msgspec.json.Decoder(Body)
_params_decoder = msgspec.json.Decoder()


def decode_body(data: Any) -> list[Item]:
    """Decode the body of a create; the params stay views into ``data``.

    :param data: any buffer.
    :raises ApiError: 400, naming the field as the API does.
    """
    try:
        items = _decoder.decode(data).requests
    except msgspec.ValidationError as error:
        raise ApiError(400, _field_message(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "The request body is not valid JSON") from error
    if not items:
        raise ApiError(400, "requests: List should have at least 1 item after validation, not 0")
    if len(items) > MAX_REQUESTS:
        raise ApiError(
            400,
            f"requests: List should have at most {MAX_REQUESTS} items after validation, not {len(items)}",
        )
    check_custom_ids(item.custom_id for item in items)
    return items


def _field_message(message: str) -> str:
    match = _PATH.match(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    field = path.replace("[", ".").replace("]", "").strip(".")
    if missing := _MISSING.search(what):
        return f"{field}.{missing['field']}: Field required".lstrip(".")
    return f"{field or 'body'}: Input should be of another type ({what})"


def check_custom_ids(custom_ids: Iterable[str]) -> None:
    """Refuse custom_ids that are malformed or not unique.

    :raises ApiError: 400, for the first one.
    """
    seen: set[str] = set()
    for index, custom_id in enumerate(custom_ids):
        field = f"requests.{index}.custom_id"
        if len(custom_id) > 64:
            raise ApiError(400, f"{field}: String should have at most 64 characters")
        if not custom_id:
            raise ApiError(400, f"{field}: String should have at least 1 character")
        if not _CUSTOM_ID.fullmatch(custom_id):
            raise ApiError(400, f"{field}: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
        if custom_id in seen:
            raise ApiError(400, f"{field}: custom_id must be unique within a batch")
        seen.add(custom_id)


def decode_params(index: int, raw: msgspec.Raw) -> dict[str, Any]:
    """Decode one request's params.

    :raises ApiError: 400: not an object, or a required field is missing.
    """
    field = f"requests.{index}.params"
    try:
        params = _params_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "The request body is not valid JSON") from error
    if not isinstance(params, dict):
        raise ApiError(400, f"{field}: Input should be an object")
    for name in REQUIRED:
        if name not in params:
            raise ApiError(400, f"{field}.{name}: Field required")
    return params


def refusal(params: dict[str, Any]) -> tuple[str, str] | None:
    """Return error type and message of a request that is refused when its turn comes, or None."""
    model, max_tokens = params["model"], params["max_tokens"]
    if not isinstance(model, str) or not model.startswith("claude-"):
        return "not_found_error", f"model: {model}"[:200]
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int):
        return _invalid("max_tokens: Input should be a valid integer")
    if max_tokens < 1:
        return _invalid("max_tokens: must be greater than or equal to 1 in a batch")
    if params.get("stream"):
        return _invalid("stream: streaming is not supported in a batch")
    for name in _GONE:
        if params.get(name) is not None:
            return _invalid(f"{name}: Extra inputs are not permitted")
    return _messages_refusal(params["messages"]) or _options_refusal(params)


def _options_refusal(params: dict[str, Any]) -> tuple[str, str] | None:
    if refused := marks_refusal(params):
        return _invalid(refused)
    config = params.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return _invalid("output_config.format.type: Input should be 'json_schema'")
    refused = schema_refusal(wanted.get("schema"))
    return _invalid(f"output_config.format.schema: {refused}") if refused else None


def _messages_refusal(messages: object) -> tuple[str, str] | None:
    if not isinstance(messages, list) or not messages:
        return _invalid("messages: at least one message is required")
    for index, message in enumerate(messages):
        field = f"messages.{index}"
        if not isinstance(message, dict) or message.get("role") not in {"user", "assistant", "system"}:
            return _invalid(f"{field}: Input should be a message with a role")
        content = message.get("content")
        if not isinstance(content, str | list):
            return _invalid(f"{field}.content: Input should be a valid string or list")
        if not content or (isinstance(content, str) and not content.strip()):
            return _invalid(f"{field}: text content blocks must be non-empty")
    return None


def _invalid(message: str) -> tuple[str, str]:
    return "invalid_request_error", message
