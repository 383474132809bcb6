"""The description of all endpoints, served at ``/openapi.json``."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offline_api.account import Change
from offline_api.faults import Rule

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_OBJECT: Schema = {"type": "object"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_MAYBE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}


def _object(properties: dict[str, Schema], *, optional: tuple[str, ...] = (), closed: bool = True) -> Schema:
    required = [name for name in properties if name not in optional]
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": not closed}
    return schema | ({"required": required} if required else {})


def _one(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(name: str) -> Schema:
    rows = {"type": "array", "items": _ref(name)}
    return _object({"data": rows, "has_more": _FLAG, "first_id": _MAYBE_TEXT, "last_id": _MAYBE_TEXT})


_ENDS = ("processing", "succeeded", "errored", "canceled", "expired")
_SUPPORT = _object({"supported": _FLAG}, closed=False)
_BILL = _object(
    {
        **dict.fromkeys(
            (
                "requests",
                "input_tokens",
                "cache_write_5m_tokens",
                "cache_write_1h_tokens",
                "cache_read_tokens",
                "output_tokens",
                "thinking_tokens",
                "web_searches",
                "free_refusals",
            ),
            _COUNT,
        ),
        "cost_usd": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    }
)
_BILLS = {"type": "object", "additionalProperties": _ref("Bill")}
_PARAMS = _object({"model": {}, "max_tokens": {}, "messages": {}}, closed=False)
"""At create, only the presence of fields is checked."""

_SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        {
            "type": _one("error"),
            "error": _object(
                {"type": _TEXT, "message": _TEXT, "details": _object({"error_code": _TEXT})},
                optional=("details",),
            ),
            "request_id": _TEXT,
        }
    ),
    "Create": _object(
        {
            "requests": {
                "type": "array",
                "minItems": 1,
                "maxItems": 100_000,
                "items": _object(
                    {
                        "custom_id": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
                        "params": _PARAMS,
                    },
                    closed=False,
                ),
            }
        },
        closed=False,
    ),
    "MessageBatch": _object(
        {
            "id": _TEXT,
            "type": _one("message_batch"),
            "processing_status": _one("in_progress", "canceling", "ended"),
            "request_counts": _object(dict.fromkeys(_ENDS, _COUNT)),
            "created_at": _TIME,
            "expires_at": _TIME,
            **dict.fromkeys(("ended_at", "cancel_initiated_at", "archived_at"), _MAYBE_TIME),
            "results_url": _MAYBE_TEXT,
        }
    ),
    "MessageBatchList": _page("MessageBatch"),
    "DeletedMessageBatch": _object({"id": _TEXT, "type": _one("message_batch_deleted")}),
    "Count": _object(
        {"model": _TEXT, "messages": {"type": "array", "items": _OBJECT, "minItems": 1}}, closed=False
    ),
    "MessageTokensCount": _object({"input_tokens": {"type": "integer", "minimum": 1}}),
    "Model": _object(
        {
            "type": _one("model"),
            **dict.fromkeys(("id", "display_name", "line"), _TEXT),
            "created_at": _TIME,
            "lifecycle": _one("active", "deprecated", "retired"),
            **dict.fromkeys(("deprecated_at", "retires_at"), _MAYBE_TIME),
            **dict.fromkeys(("max_input_tokens", "max_tokens"), _COUNT),
            "capabilities": {"type": "object", "additionalProperties": _SUPPORT},
        }
    ),
    "ModelList": _page("Model"),
    "Bill": _BILL,
    "Billing": _object(
        {
            **dict.fromkeys(("batches_accepted", "requests_billed", "input_tokens", "output_tokens"), _COUNT),
            "bill": _ref("Bill"),
            **dict.fromkeys(("by_model", "by_workspace"), _BILLS),
            "by_batch": {"type": "object", "additionalProperties": _OBJECT},
        }
    ),
    "Clock": _object({"now": {"type": "number"}, "offset_seconds": {"type": "number"}}),
    "ClockChange": {
        "oneOf": [
            _object({"advance_seconds": {"type": "number", "minimum": 0, "maximum": 1e9}}),
            _object({"offset_seconds": {"type": "number", "minimum": -1e9, "maximum": 1e9}}),
        ]
    },
    "Faults": _object({"rules": {"type": "array", "items": _OBJECT}}),
    "Counters": {"type": "object", "additionalProperties": _COUNT},
    "Reset": _object({"type": _one("reset")}),
}


def _schemas() -> dict[str, Schema]:
    _, made = msgspec.json.schema_components([Rule, Change], ref_template="#/components/schemas/{name}")
    return {**_SCHEMAS, **made}


_ID = {"name": "batch_id", "in": "path", "required": True, "schema": _TEXT}
_VERSION = {
    "name": "anthropic-version",
    "in": "header",
    "required": True,
    "schema": {**_TEXT, "minLength": 1},
}
_WORKSPACE = {"name": "anthropic-workspace-id", "in": "header", "required": False, "schema": _TEXT}
_LIMIT = {
    "name": "limit",
    "in": "query",
    "required": False,
    "schema": {"type": "integer", "minimum": 1, "maximum": 1000},
}
_AFTER, _BEFORE = (
    {"name": name, "in": "query", "required": False, "schema": _TEXT} for name in ("after_id", "before_id")
)
_LIFECYCLE = {
    "name": "lifecycle",
    "in": "query",
    "required": False,
    "schema": {"type": "array", "items": _one("active", "deprecated", "retired")},
}
_REFUSALS = ("400", "401", "402", "403", "404", "413", "415", "429", "500", "502", "503", "529")


def _operation(
    summary: str,
    answer: str | None,
    *,
    body: Schema | None = None,
    parameters: tuple[Schema, ...] = (),
    local: bool = False,
    media_type: str = "application/json",
) -> Schema:
    schema = {"schema": _ref(answer) if answer else _OBJECT} if media_type == "application/json" else {}
    error = {"description": "Refused", "content": {"application/json": {"schema": _ref("Error")}}}
    too_large = {"description": "Too large; the vendor's edge answers without JSON"}
    operation: Schema = {
        "summary": summary,
        "tags": ["local" if local else "v1"],
        "security": [{}, {"key": []}] if local else [{"key": []}],
        "responses": {
            "200": {"description": "Done", "content": {media_type: schema}},
            **dict.fromkeys(_REFUSALS, error),
            "413": too_large,
        },
    }
    if found := [*parameters, *(() if local else (_VERSION, _WORKSPACE))]:
        operation["parameters"] = found
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _paths() -> dict[str, dict[str, Schema]]:
    batches = "/v1/messages/batches"
    rules = {"oneOf": [_ref("Rule"), {"type": "array", "items": _ref("Rule")}]}
    pages = (_LIMIT, _AFTER, _BEFORE)
    return {
        batches: {
            "post": _operation("Create a batch", "MessageBatch", body=_ref("Create")),
            "get": _operation("List batches, newest first", "MessageBatchList", parameters=pages),
        },
        f"{batches}/{{batch_id}}": {
            "get": _operation("Retrieve a batch", "MessageBatch", parameters=(_ID,)),
            "delete": _operation("Delete an ended batch", "DeletedMessageBatch", parameters=(_ID,)),
        },
        f"{batches}/{{batch_id}}/cancel": {
            "post": _operation("Cancel a batch", "MessageBatch", parameters=(_ID,))
        },
        f"{batches}/{{batch_id}}/results": {
            "get": _operation(
                "Stream the results of an ended batch",
                None,
                parameters=(_ID,),
                media_type="application/x-jsonl",
            )
        },
        "/v1/messages/count_tokens": {
            "post": _operation("Count the tokens of a request", "MessageTokensCount", body=_ref("Count"))
        },
        "/v1/models": {"get": _operation("List models", "ModelList", parameters=(*pages, _LIFECYCLE))},
        "/v1/models/{model_id}": {
            "get": _operation("Retrieve a model", "Model", parameters=({**_ID, "name": "model_id"},))
        },
        "/local/billing": {"get": _operation("The bill so far", "Billing", local=True)},
        "/local/account": {
            "get": _operation("Credit, limits and workspaces", None, local=True),
            "post": _operation("Change them", None, body=_ref("Change"), local=True),
        },
        "/local/clock": {"post": _operation("Move the clock", "Clock", body=_ref("ClockChange"), local=True)},
        "/local/faults": {
            "get": _operation("The fault rules", "Faults", local=True),
            "post": _operation("Add fault rules", "Faults", body=rules, local=True),
            "delete": _operation("End all faults", "Faults", local=True),
        },
        "/local/requests": {"get": _operation("HTTP requests by route", "Counters", local=True)},
        "/local/batches/{batch_id}/requests": {
            "get": _operation("The body of a create", None, parameters=(_ID,), local=True)
        },
        "/local/reset": {"post": _operation("Forget everything", "Reset", body=_OBJECT, local=True)},
    }


def description() -> dict[str, Any]:
    """Return the description of all endpoints, in OpenAPI 3.1.

    ``/local`` needs no key unless the server was started with one.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Offline Message Batches API",
            "version": "2026-11-25",
            "description": "Answers like the Message Batches API. No model is called, nothing is billed.",
        },
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def show(_request: Request) -> Response:
    """Show the description."""
    return JSONResponse(description())


ROUTES = [Route("/openapi.json", show, methods=["GET"])]
