"""Read all answers of a shard at once: typed columns, and the problem of each answer that does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from nightpress.outputs.answer_reader import Values
from nightpress.outputs.arrow_columns import answer_columns
from nightpress.outputs.output_schema import OutputSchema
from nightpress.outputs.problems import Problem
from nightpress.statuses import INVALID_OUTPUT, SUCCEEDED, TRUNCATED, UNFINISHED

_READ = (SUCCEEDED, INVALID_OUTPUT, TRUNCATED, UNFINISHED)
"""Statuses of answers that may fit: a complete JSON answer counts, whatever ended it. A refusal never counts."""


@dataclass(frozen=True, slots=True)
class TypedRows:
    """One entry a row, in the order given.

    :param columns: by field name; null in rows without a fitting answer.
    :param problems: why an answer does not fit; None for one that does and for a row without an answer.
    :param read: whether the row has an answer to read.
    """

    columns: dict[str, pa.Array]
    problems: list[Problem | None]
    read: list[bool]

    @property
    def reasons(self) -> Counter[str]:
        """Answers that do not fit, by reason."""
        return Counter(problem.reason for problem in self.problems if problem is not None)


def read_rows(schema: OutputSchema, statuses: Sequence[str], texts: Iterable[str | None]) -> TypedRows:
    """Read the answers of the rows whose status allows one.

    :param statuses: of each row, as for plain text; a row that is ``invalid_output`` already is read again.
    """
    read = schema.reader().read
    has_answer = [status in _READ for status in statuses]
    values: list[Values | None] = []
    problems: list[Problem | None] = []
    for wanted, text in zip(has_answer, texts, strict=True):
        found = read(text) if wanted else None
        values.append(None if isinstance(found, Problem) else found)
        problems.append(found if isinstance(found, Problem) else None)
    return TypedRows(answer_columns(schema, values), problems, has_answer)
