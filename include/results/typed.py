"""Answers of a schema: kept with the run, read into columns, and what does not fit marked as such.

The schema lies beside the run's shards, so that a second round, a publication and a replay need no Python
class. Only a model's own validators do: what they refused is kept beside the shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import pyarrow as pa
from pydantic import BaseModel

from include.outputs.columns import arrow_fields
from include.outputs.problems import Problem
from include.outputs.schema import OutputSchema
from include.outputs.typed_rows import INVALID, TypedRows, read_rows
from include.shards.shard import ShardFiles
from include.storage import StoragePath, write_atomically

_FILE = "output.json"
_BY_VALIDATORS: Literal["model_check"] = "model_check"


@dataclass(frozen=True, slots=True)
class TypedAnswers:
    """Answers with their columns.

    :param answers: as given, those that do not fit as ``invalid_output``.
    :param fields: of the columns, in the schema's order; empty without a schema.
    """

    answers: pa.Table
    fields: list[pa.Field] = field(default_factory=list)
    columns: Mapping[str, pa.Array] = field(default_factory=dict)


def keep_output(schema: OutputSchema | None, folder: StoragePath) -> None:
    """Store a run's schema in its folder; a run without one has no such file."""
    path = folder / _FILE
    if schema is not None:
        write_atomically(path, schema.to_json().encode())
    elif path.exists():
        path.unlink()


def kept_output(folder: StoragePath, model: type[BaseModel] | None = None) -> OutputSchema | None:
    """Return the schema of a run, or None when its answers are plain text.

    :param model: whose validators check as well.
    """
    try:
        return OutputSchema.from_json((folder / _FILE).read_bytes(), model)
    except FileNotFoundError:
        return None


def type_shard(answers: pa.Table, files: ShardFiles, model: type[BaseModel] | None = None) -> TypedAnswers:
    """Read a shard's answers by the schema of its run.

    :param model: None takes over what the model's validators said when the shard was collected first.
    """
    schema = kept_output(files.folder, model)
    if schema is None:
        return TypedAnswers(answers)
    rows = _read(answers, schema)
    if model is not None:
        _keep_checks(rows, files)
    else:
        rows = _with_checks(rows, _kept_checks(files))
    return _mark(answers, schema, rows)


def type_answers(answers: pa.Table, schema: OutputSchema | None) -> TypedAnswers:
    """Read answers by a schema."""
    return TypedAnswers(answers) if schema is None else _mark(answers, schema, _read(answers, schema))


def _read(answers: pa.Table, schema: OutputSchema) -> TypedRows:
    return read_rows(schema, *(answers[name].to_pylist() for name in ("status", "text", "stop_reason")))


def _mark(answers: pa.Table, schema: OutputSchema, rows: TypedRows) -> TypedAnswers:
    if any(problem is not None for problem in rows.problems):
        for name, replace in (
            ("status", lambda problem: INVALID),  # noqa: ARG005
            ("error_type", lambda problem: problem.reason),
            ("error_message", lambda problem: problem.message),
        ):
            answers = _replaced(answers, name, [problem and replace(problem) for problem in rows.problems])
    return TypedAnswers(answers, arrow_fields(schema), rows.columns)


def _replaced(answers: pa.Table, name: str, values: list[Any]) -> pa.Table:
    index = answers.schema.get_field_index(name)
    old = answers[name].to_pylist()
    new = [before if value is None else value for before, value in zip(old, values, strict=True)]
    return answers.set_column(index, answers.schema.field(index), pa.array(new, pa.string()))


def _keep_checks(rows: TypedRows, files: ShardFiles) -> None:
    refused = {
        str(ordinal): problem.message
        for ordinal, problem in enumerate(rows.problems)
        if problem is not None and problem.reason == _BY_VALIDATORS
    }
    if refused or files.checks.exists():
        write_atomically(files.checks, msgspec.json.encode(refused))


def _kept_checks(files: ShardFiles) -> dict[int, str]:
    try:
        return msgspec.json.decode(files.checks.read_bytes(), type=dict[int, str])
    except FileNotFoundError:
        return {}


def _with_checks(rows: TypedRows, refused: Mapping[int, str]) -> TypedRows:
    """Return the rows without the values of those that a validator refused."""
    if not refused:
        return rows
    problems = list(rows.problems)
    for ordinal, message in refused.items():
        problems[ordinal] = Problem(_BY_VALIDATORS, message)
    keep = pa.array([None if ordinal in refused else ordinal for ordinal in range(len(problems))], pa.int64())
    return TypedRows({name: column.take(keep) for name, column in rows.columns.items()}, problems)
