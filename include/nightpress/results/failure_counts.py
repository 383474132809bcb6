"""What failed in a shard, by kind, with a few examples: custom ids and the API's words, never an article's."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightpress.batches.ledger import Example
from nightpress.storage import StoragePath

EXAMPLES_OF_A_KIND = 3
MESSAGE_CHARACTERS = 200


def find_failures(results: StoragePath) -> tuple[dict[str, int], tuple[Example, ...]]:
    """Count the requests without an answer by the API's error type, or else by status.

    :param results: a shard's ``results-*.parquet``.
    :return: the counts, the most frequent kind first, and up to three examples of each kind.
    """
    with results.open("rb") as stream:
        table = pq.read_table(
            pa.PythonFile(stream, mode="r"),
            columns=["status", "error_type", "error_message", "custom_id", "article_id"],
        )
    counts: Counter[str] = Counter()
    examples: list[Example] = []
    for row in table.filter(pc.not_equal(table["status"], "succeeded")).to_pylist():
        kind = str(row["error_type"] or row["status"])[:100]
        counts[kind] += 1
        if counts[kind] <= EXAMPLES_OF_A_KIND:
            # A validator's words may quote the answer.
            said = "" if kind == "model_check" else row["error_message"] or ""
            examples.append(
                Example(kind, row["custom_id"], said[:MESSAGE_CHARACTERS], str(row["article_id"])[:200])
            )
    return dict(counts.most_common()), tuple(examples)
