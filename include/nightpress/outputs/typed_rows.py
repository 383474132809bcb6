"""All answers of a shard at once: typed columns, and why the rows without values have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from nightpress.outputs.answer_reader import Values
from nightpress.outputs.arrow_columns import answer_columns
from nightpress.outputs.output_schema import OutputSchema
from nightpress.outputs.problems import Problem

INVALID = "invalid_output"
"""``status`` of an answer that does not fit; its text stays, the problem is its error."""


@dataclass(frozen=True, slots=True)
class TypedRows:
    """One entry a row, in the order given.

    :param columns: by field name; null in rows without a fitting answer.
    :param problems: why an answer does not fit; None for one that does and for a row without an answer.
    """

    columns: dict[str, pa.Array]
    problems: list[Problem | None]

    @property
    def reasons(self) -> Counter[str]:
        """Answers that do not fit, by reason."""
        return Counter(problem.reason for problem in self.problems if problem is not None)


def read_rows(
    schema: OutputSchema,
    statuses: Iterable[str],
    texts: Iterable[str | None],
    stop_reasons: Iterable[str | None],
) -> TypedRows:
    """Read the answers of succeeded rows; the others have none.

    :param statuses: of each row; one that is ``invalid_output`` already is read again.
    """
    read = schema.reader().read
    values: list[Values | None] = []
    problems: list[Problem | None] = []
    for status, text, stop_reason in zip(statuses, texts, stop_reasons, strict=True):
        found = read(text, stop_reason) if status in ("succeeded", INVALID) else None
        fits = not isinstance(found, Problem)
        values.append(found if fits else None)  # type: ignore[arg-type]
        problems.append(None if fits else found)  # type: ignore[arg-type]
    return TypedRows(answer_columns(schema, values), problems)
