"""Typed answers: store the run's schema, read answers into columns, and mark answers that do not fit.

The schema is stored beside the run's shards. So a second round, a publication and a replay need no Python
class; only a model's own validators do. The answers that they refused are recorded beside the shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from nightpress.errors import ConfigurationError, ResultsError
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

    :param answers: the given answers; those that do not fit have the status ``invalid_output``.
    :param fields: fields of the columns, in the schema's order; empty without a schema.
    """

    answers: pa.Table
    fields: list[pa.Field] = field(default_factory=list)
    columns: Mapping[str, pa.Array] = field(default_factory=dict)


def keep_output(schema: OutputSchema | None, folder: StoragePath) -> None:
    """Store a run's schema in its folder; a run without a schema has no such file."""
    path = RunFolder(folder).output_schema
    if schema is not None:
        write_atomically(path, schema.to_json().encode())
    elif path.exists():
        path.unlink()


def kept_output(folder: StoragePath, model: type[BaseModel] | None = None) -> OutputSchema | None:
    """Return the schema of a run, or None if its answers are plain text.

    :param model: model class whose validators also check the answers.
    :raises ResultsError: the kept schema is damaged.
    """
    path = RunFolder(folder).output_schema
    try:
        return OutputSchema.from_json(path.read_bytes(), model)
    except FileNotFoundError:
        return None
    except ConfigurationError as error:
        raise ResultsError(
            f"{path}, the schema of the run's answers, cannot be read ({error}). Read the articles of the run once "
            "more: that stores it again, and pays nothing for what was sent.",
            code="damaged_schema",
        ) from None


class ShardTyping:
    """Reads a shard's answers with the schema of its run, part by part.

    :param model: model class whose validators also check the answers; None reuses their stored verdicts from
        the first time the shard was collected.
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

        :param first: ordinal of the first answer.
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
        """Store the validators' verdicts on all answers, for a replay without the model class."""
        if self._checks and (self._refused or self._files.checks.exists()):
            write_atomically(self._files.checks, msgspec.json.encode(self._refused))


def type_answers(answers: pa.Table, schema: OutputSchema | None) -> TypedAnswers:
    """Read published answers with a schema, or as plain text without one.

    Their statuses are computed again: earlier versions gave ``succeeded`` to any text that a model wrote, and
    ``invalid_output`` to a refusal or a truncated answer of a run with a schema.
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
    """Set each status by whether the answer fits; an incomplete answer that does not fit keeps its status."""
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
    """Return the rows, with null values where a validator refused the answer."""
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
