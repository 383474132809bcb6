"""Write question and answer pairs of a published day as training data: cleaned, one conversation per line."""

from __future__ import annotations

import hashlib
from collections import Counter

import msgspec

from nightpress.errors import ResultsError
from nightpress.parquet_files import open_parquet
from nightpress.storage import StoragePath, atomic_writer


def write_conversations(
    answers: StoragePath, target: StoragePath, *, column: str = "pairs", shortest_answer: int = 20
) -> dict[str, int]:
    """Write the pairs of a published day as JSONL, replaced atomically; return counts.

    A line is ``{"messages": [{"role": "user", …}, {"role": "assistant", …}]}``. Pairs are left out if an
    earlier pair has the same question (ignoring case and spaces) or if the answer is too short.

    :param answers: the published file; the column is a list of structs with ``question`` and ``answer``.
    :param shortest_answer: minimum length of an answer in characters.
    :return: pairs ``kept``, ``repeated`` and ``too_short``.
    :raises ResultsError: there is no such column.
    """
    counts = Counter(kept=0, repeated=0, too_short=0)
    seen: set[bytes] = set()
    with open_parquet(answers) as file, atomic_writer(target) as lines:
        if column not in file.schema_arrow.names:
            raise ResultsError(f"{answers} has no column {column!r} of question and answer pairs")
        for batch in file.iter_batches(1_000, columns=[column]):
            for pair in (pair for pairs in batch[column].to_pylist() for pair in pairs or ()):
                outcome = _judge(pair, seen, shortest_answer)
                counts[outcome] += 1
                if outcome == "kept":
                    lines.write(_conversation(pair))
    return dict(counts)


def _judge(pair: dict[str, str], seen: set[bytes], shortest_answer: int) -> str:
    if len(pair["answer"].strip()) < shortest_answer:
        return "too_short"
    question = " ".join(pair["question"].casefold().split())
    # A digest is small: a large day has millions of questions.
    key = hashlib.blake2b(question.encode(), digest_size=16).digest()
    if key in seen:
        return "repeated"
    seen.add(key)
    return "kept"


def _conversation(pair: dict[str, str]) -> bytes:
    turns = (("user", pair["question"]), ("assistant", pair["answer"]))
    return (
        msgspec.json.encode({"messages": [{"role": role, "content": text} for role, text in turns]}) + b"\n"
    )
