"""Convert a Pydantic model to JSON schema, with details that Pydantic's own conversion leaves out."""

from __future__ import annotations

import contextlib
from collections import Counter
from decimal import Decimal
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema, core_schema

from nightpress.errors import ConfigurationError

UNSUPPORTED = "x-unsupported"
"""Keyword for a type that JSON schema cannot express; its value says why."""


class _Schema(GenerateJsonSchema):
    """Keeps a Decimal's digits, and marks types that it cannot express: an error here would have no path."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as its base has it

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> dict[str, Any]:
        names = {
            "max_digits": "maxDigits",
            "decimal_places": "decimalPlaces",
            "multiple_of": "multipleOf",
            "ge": "minimum",
            "le": "maximum",
            "gt": "exclusiveMinimum",
            "lt": "exclusiveMaximum",
        }
        rules: dict[str, Any] = {"type": "number", "format": "decimal"}
        for ours, keyword in names.items():
            value: Any = schema.get(ours)
            if value is not None:
                rules[keyword] = str(value) if isinstance(value, Decimal) else value
        return rules

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> dict[str, Any]:  # noqa: ARG002
        return {UNSUPPORTED: "timedelta; a number of seconds is needed"}

    def bytes_schema(self, schema: core_schema.BytesSchema) -> dict[str, Any]:  # noqa: ARG002
        return {UNSUPPORTED: "bytes; text is needed"}

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> dict[str, Any]:  # noqa: ARG002
        return {UNSUPPORTED: error_info}

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Return whether an answer must have a field: also when code makes the field's default."""
        return "default_factory" in field["schema"] or super().field_is_required(field, total)

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        _refuse_repeated_names(schema["cls"])
        return super().model_schema(schema)


def model_json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model's input.

    :raises ConfigurationError: the model is not finished, or two fields have the same name.
    """
    try:
        with contextlib.suppress(AttributeError):
            model.model_rebuild()
        return model.model_json_schema(mode="validation", by_alias=True, schema_generator=_Schema)
    except PydanticUserError as error:
        raise ConfigurationError(
            f"output {model.__name__} cannot be read as a schema: {_first_line(error)}"
        ) from error
    except (NameError, RecursionError) as error:
        raise ConfigurationError(
            f"output {model.__name__} cannot be read as a schema: {type(error).__name__}: {_first_line(error)}"
        ) from error


def _refuse_repeated_names(model: type[Any]) -> None:
    """Refuse two fields with the same name: in Pydantic's JSON schema the later one hides the other."""
    fields = getattr(model, "model_fields", {})
    names = Counter(_column(name, field.validation_alias or field.alias) for name, field in fields.items())
    for name, count in names.items():
        if count > 1:
            raise ConfigurationError(
                f"output {model.__name__}: {count} fields are called {name!r}; give each an alias of its own"
            )


def _column(name: str, alias: str | AliasChoices | AliasPath | None) -> str:
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    if isinstance(alias, AliasPath):
        return str(alias.path[0])
    return alias or name


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
