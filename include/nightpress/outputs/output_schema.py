"""The schema of a pipeline's answers: what requests ask for, and what its columns are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from pydantic import BaseModel

from nightpress.errors import ConfigurationError
from nightpress.outputs.answer_reader import AnswerReader
from nightpress.outputs.json_schema import read_nodes
from nightpress.outputs.nodes import Field, Node, json_form
from nightpress.outputs.pydantic_schema import model_json_schema
from nightpress.outputs.request_schema import MAX_BYTES, request_schema
from nightpress.outputs.schema_rules import refuse

Source: TypeAlias = type[BaseModel] | Mapping[str, Any]
"""What a schema is made of: a Pydantic model's class or a JSON schema."""


@dataclass(frozen=True)
class OutputSchema:
    """The fields of an answer. Cheap to make, since DAG files make one at each parse.

    :param top: the answer.
    :param model: the Pydantic model whose validators check answers as well, or None. They only check: columns
        hold the value in the answer, not the value that a validator returns.
    """

    top: Node
    model: type[BaseModel] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, source: Source, reserved: Collection[str] = ()) -> OutputSchema:
        """Read a schema and check all of it.

        :param source: a Pydantic model's class or a JSON schema, also one from :meth:`to_json`.
        :param reserved: column names that a field must not have.
        :raises ConfigurationError: the API or Parquet cannot express it; names the field by its path.
        """
        if isinstance(source, type) and issubclass(source, BaseModel):
            schema = cls(read_nodes(model_json_schema(source)), source)
        elif isinstance(source, Mapping):
            schema = cls(read_nodes(source))
        else:
            raise ConfigurationError(
                f"output is {source!r:.80}; a Pydantic model's class or a JSON schema (a dict) is needed"
            )
        schema.refuse_names(reserved)
        schema.reader()  # checks patterns and defaults
        if (size := len(json.dumps(schema.request_schema))) > MAX_BYTES:
            raise ConfigurationError(
                f"output: the schema is {size:,} bytes and is sent with every request; the most is {MAX_BYTES:,}"
            )
        return schema

    @classmethod
    def from_json(cls, text: str | bytes, model: type[BaseModel] | None = None) -> OutputSchema:
        """Return the schema that :meth:`to_json` wrote.

        :param model: the Pydantic model from which the schema was made, if available.
        :raises ConfigurationError: the text is not such a schema.
        """
        try:
            source = json.loads(text)
        except ValueError as error:
            raise ConfigurationError(f"the kept output schema is not JSON: {error}") from error
        return cls(cls.of(source).top, model)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The top fields: each is a column."""
        return self.top.fields

    def to_json(self) -> str:
        """Return the schema, without the model's validators, as canonical JSON on one line."""
        return json.dumps(json_form(self.top), ensure_ascii=False, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of :meth:`to_json`, 64 hexadecimal characters; for the metadata of Parquet files."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @cached_property
    def request_schema(self) -> dict[str, Any]:
        """The schema that the API enforces."""
        return request_schema(self.top)

    @property
    def output_config(self) -> dict[str, Any]:
        """The request's ``output_config`` (API documentation, "Structured outputs")."""
        return {"format": {"type": "json_schema", "schema": self.request_schema}}

    def reader(self) -> AnswerReader:
        """Return the reader of answers of this schema."""
        return AnswerReader(self.top, self.model)

    def refuse_names(self, reserved: Collection[str]) -> None:
        """Refuse fields that have the name of another column.

        :param reserved: the other columns; upper and lower case are the same, as in SQL.
        :raises ConfigurationError: names the first such field.
        """
        taken = {name.casefold(): name for name in reserved}
        for column in self.fields:
            if column.name.casefold() in taken:
                raise refuse(
                    (column.name,),
                    f"Nightpress has a column {taken[column.name.casefold()]!r} of its own; rename the field, or "
                    "give it an alias",
                )
