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
import pyarrow.compute as pc
from pydantic import BaseModel

from nightpress.folders import RunFolder
from nightpress.outputs.arrow_columns import arrow_fields
from nightpress.outputs.output_schema import OutputSchema
from nightpress.outputs.problems import Problem
from nightpress.outputs.typed_rows import TypedRows, read_rows
from nightpress.results.answer_columns import answer_status
from nightpress.shards.shard import ShardFiles
from nightpress.statuses import INVALID_OUTPUT, MESSAGE_STATUSES, SUCCEEDED, TRUNCATED, UNFINISHED
from nightpress.storage import StoragePath, write_atomically

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
    path = RunFolder(folder).output_schema
    if schema is not None:
        write_atomically(path, schema.to_json().encode())
    elif path.exists():
        path.unlink()


def kept_output(folder: StoragePath, model: type[BaseModel] | None = None) -> OutputSchema | None:
    """Return the schema of a run, or None when its answers are plain text.

    :param model: whose validators check as well.
    """
    try:
        return OutputSchema.from_json(RunFolder(folder).output_schema.read_bytes(), model)
    except FileNotFoundError:
        return None


class ShardTyping:
    """Reads a shard's answers, a part after the other, by the schema of its run.

    :param model: whose validators check as well; None takes over what they said when the shard was collected
        first.
    """

    def __init__(self, files: ShardFiles, model: type[BaseModel] | None = None) -> None:
        self._files = files
        self._schema = kept_output(files.folder, model)
        self._checks = self._schema is not None and model is not None
        self._kept = {} if self._schema is None or model is not None else _kept_checks(files)
        self._refused: dict[int, str] = {}

    @property
    def fields(self) -> list[pa.Field]:
        """The columns, in the schema's order; empty without a schema."""
        return [] if self._schema is None else arrow_fields(self._schema)

    def read(self, answers: pa.Table, first: int) -> TypedAnswers:
        """Read answers.

        :param first: ordinal of the first of them.
        """
        if self._schema is None:
            return TypedAnswers(answers)
        rows = read_rows(self._schema, *_columns(answers, "status", "text"))
        if self._checks:
            self._refused |= _refused_by_validators(rows, first)
        else:
            rows = _with_checks(rows, self._kept, first)
        return _mark(answers, self._schema, rows)

    def keep_checks(self) -> None:
        """Store what the validators said of all answers, for a replay that does not have the model."""
        if self._checks and (self._refused or self._files.checks.exists()):
            write_atomically(self._files.checks, msgspec.json.encode(self._refused))


def type_answers(answers: pa.Table, schema: OutputSchema | None) -> TypedAnswers:
    """Read published answers by a schema, or as plain text without one.

    Their statuses are told again: earlier versions called whatever a model wrote ``succeeded``, and a refusal or
    a cut answer of a schema ``invalid_output``.
    """
    written = pc.is_in(answers["status"], pa.array(MESSAGE_STATUSES))
    anew = pc.if_else(written, answer_status(answers["text"], answers["stop_reason"]), answers["status"])
    answers = _with_column(answers, "status", anew)
    if schema is None:
        return TypedAnswers(answers)
    return _mark(answers, schema, read_rows(schema, *_columns(answers, "status", "text")))


def _columns(answers: pa.Table, *names: str) -> list[list[Any]]:
    return [answers[name].to_pylist() for name in names]


def _mark(answers: pa.Table, schema: OutputSchema, rows: TypedRows) -> TypedAnswers:
    """Set the status of each answer by whether it fits; one that is not whole keeps its own when it does not."""
    statuses, kinds, messages = _columns(answers, "status", "error_type", "error_message")
    for index, (status, problem) in enumerate(zip(statuses, rows.problems, strict=True)):
        if status not in MESSAGE_STATUSES:
            continue
        kinds[index] = messages[index] = None
        if rows.read[index] and problem is None:
            statuses[index] = SUCCEEDED
        elif problem is not None and status not in (TRUNCATED, UNFINISHED):
            statuses[index] = INVALID_OUTPUT
            kinds[index], messages[index] = problem.reason, problem.message
    for name, values in (("status", statuses), ("error_type", kinds), ("error_message", messages)):
        answers = _with_column(answers, name, pa.array(values, pa.string()))
    return TypedAnswers(answers, arrow_fields(schema), rows.columns)


def _with_column(answers: pa.Table, name: str, values: Any) -> pa.Table:
    index = answers.schema.get_field_index(name)
    return answers.set_column(index, answers.schema.field(index), values)


def _refused_by_validators(rows: TypedRows, first: int) -> dict[int, str]:
    return {
        first + index: problem.message
        for index, problem in enumerate(rows.problems)
        if problem is not None and problem.reason == _BY_VALIDATORS
    }


def _kept_checks(files: ShardFiles) -> dict[int, str]:
    try:
        return msgspec.json.decode(files.checks.read_bytes(), type=dict[int, str])
    except FileNotFoundError:
        return {}


def _with_checks(rows: TypedRows, refused: Mapping[int, str], first: int) -> TypedRows:
    """Return the rows without the values of those that a validator refused."""
    count = len(rows.problems)
    here = {ordinal - first: message for ordinal, message in refused.items() if 0 <= ordinal - first < count}
    if not here:
        return rows
    problems = list(rows.problems)
    for index, message in here.items():
        problems[index] = Problem(_BY_VALIDATORS, message)
    keep = pa.array([None if index in here else index for index in range(count)], pa.int64())
    columns = {name: column.take(keep) for name, column in rows.columns.items()}
    return TypedRows(columns, problems, rows.read)
