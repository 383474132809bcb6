"""Fields of an answer parsed by the SDK that its types do not know, or that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError


def type_errors(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of every unknown, missing or wrong field of a parsed answer.

    The SDK constructs its models without validation; here each is validated strictly by its type.
    """
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from type_errors(item, f"{path}[{index}]")
    if not isinstance(value, BaseModel):
        return
    for name in value.model_extra or {}:
        yield f"{path}.{name}: unknown to {type(value).__name__}"
    for name, field in type(value).model_fields.items():
        if field.is_required() and name not in value.model_fields_set:
            yield f"{path}.{name}: missing in {type(value).__name__}"
        elif isinstance(child := getattr(value, name), BaseModel | list):
            yield from type_errors(child, f"{path}.{name}")
    try:
        type(value).model_validate(value.model_dump(by_alias=True, warnings=False), strict=False)
    except ValidationError as error:
        first: dict[str, Any] = dict(error.errors()[0])
        yield f"{path}.{'.'.join(map(str, first['loc']))}: {first['msg']}"
