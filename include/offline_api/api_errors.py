"""The API's error envelope, and the exception that becomes one."""

from __future__ import annotations

from typing import Any, Literal

STATUS_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

Body = Literal["json", "html", "text", "empty", "cut"]
"""The form of an error's body: the API's JSON, what an edge or a proxy sends instead, or JSON that is cut off."""


class ApiError(Exception):
    """A refusal of a whole HTTP request.

    :param status: HTTP status; it decides the error type, as listed in the API's documentation.
    :param headers: other headers, e.g. ``retry-after``.
    :param error_code: ``error.details.error_code``, e.g. ``enforced_spend_limit_reached``.
    :param body: the form of the body.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        error_code: str | None = None,
        body: Body = "json",
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = headers or {}
        self.error_code = error_code
        self.body = body

    def envelope(self, request_id: str) -> dict[str, Any]:
        """Return the response body."""
        error_type = STATUS_TYPES.get(self.status, "api_error")
        return envelope(error_type, self.message, request_id, error_code=self.error_code)


def envelope(
    error_type: str, message: str, request_id: str | None, *, error_code: str | None = None
) -> dict[str, Any]:
    """Return an error in the shape of the API; a batch's errored results nest the same one."""
    error: dict[str, Any] = {"type": error_type, "message": message}
    if error_code is not None:
        error["details"] = {"error_code": error_code}
    return {"type": "error", "error": error, "request_id": request_id}
