"""Checks that refuse a create's whole body: like the vendor's, of custom_ids and the presence of fields."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from offline_api.api_errors import ApiError

MAX_REQUESTS = 100_000
REQUIRED = ("model", "max_tokens", "messages")
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]+")
_PATH = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")


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
    """Decode the body of a create; the params are views into ``data``.

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

    :raises ApiError: 400, naming the first one.
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
