"""Agreement of variants: counted by column, and the articles on which they differ most."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.statuses import SUCCEEDED

MAX_DIFFERENCES = 10

_SMALL = 1e-3


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often variants have the same value in a column.

    :param free_text: the column is free text, in which two values are seldom identical.
    :param compared: articles that all variants answered.
    :param agreed: of those, articles for which all have the same value.
    :param pairs: for each pair of variants, the articles that both answered, and those on which they agree.
    """

    column: str
    free_text: bool
    compared: int
    agreed: int
    pairs: Mapping[tuple[str, str], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Difference:
    """An article that variants answer differently.

    :param rows: the row of each variant; None for a variant without the article.
    :param columns: the compared columns in which they differ.
    """

    article_id: str
    title: str
    rows: Mapping[str, Mapping[str, Any] | None]
    columns: frozenset[str]


class Tally:
    """Counts agreement, and keeps the articles that differ most."""

    def __init__(self, variants: Sequence[str], columns: Mapping[str, bool]) -> None:
        """Count these columns; ``columns`` maps each name to whether the column is free text."""
        self.variants, self.columns = variants, columns
        self.pairs = list(combinations(range(len(variants)), 2))
        self._all = np.zeros((len(columns), 2), np.int64)
        self._pairs = np.zeros((len(columns), len(self.pairs), 2), np.int64)
        self._most: list[tuple[float, int, Difference]] = []
        self._rows = 0

    def add(self, batch: pa.RecordBatch, rows: Mapping[str, pa.StructArray]) -> None:
        arrays = list(rows.values())
        answered = np.array(
            [pc.fill_null(pc.equal(_child(each, "status"), SUCCEEDED), False).to_numpy(zero_copy_only=False)
             for each in arrays]
        )  # fmt: skip
        codes = [_codes([_child(each, name) for each in arrays]) for name in self.columns]
        by_all = answered.all(axis=0)
        score = np.zeros(len(batch))
        differs = np.zeros((len(self.columns), len(batch)), bool)
        for place, own in enumerate(codes):
            same = (own == own[0]).all(axis=0)
            self._all[place] += [by_all.sum(), (by_all & same).sum()]
            for number, (left, right) in enumerate(self.pairs):
                both = answered[left] & answered[right]
                equal = own[left] == own[right]
                self._pairs[place, number] += [both.sum(), (both & equal).sum()]
                differs[place] |= both & ~equal
                score += (both & ~equal) / (len(self.pairs) * len(codes))
        for left, right in self.pairs:
            # Articles that only one of them answered rank after all articles with different values.
            score += _SMALL * (answered[left] ^ answered[right]) / len(self.pairs)
        score[score > 0] += _SMALL**2 * _length_spread(arrays, answered)[score > 0]
        self._keep(batch, score, differs)
        self._rows += len(batch)

    def _keep(self, batch: pa.RecordBatch, score: np.ndarray, differs: np.ndarray) -> None:
        for place in np.argsort(-score, kind="stable")[:MAX_DIFFERENCES]:
            # Among equal scores the first article ranks first. So no two ranks are equal.
            rank = (float(score[place]), -(self._rows + int(place)))
            if not rank[0] or (len(self._most) == MAX_DIFFERENCES and rank < self._most[0][:2]):
                break
            row = batch.slice(int(place), 1).to_pylist()[0]
            columns = frozenset(name for name, own in zip(self.columns, differs, strict=True) if own[place])
            article_id, title = row.pop("article_id"), row.pop("title")
            found = Difference(article_id, title or "", row, columns)
            heapq.heappush(self._most, (*rank, found))
            if len(self._most) > MAX_DIFFERENCES:
                heapq.heappop(self._most)

    def agreements(self) -> list[Agreement]:
        names = [(self.variants[left], self.variants[right]) for left, right in self.pairs]
        return [
            Agreement(
                column,
                free_text,
                int(self._all[place, 0]),
                int(self._all[place, 1]),
                {
                    pair: (int(n), int(agreed))
                    for pair, (n, agreed) in zip(names, self._pairs[place], strict=True)
                },
            )
            for place, (column, free_text) in enumerate(self.columns.items())
        ]

    def differences(self) -> list[Difference]:
        return [found for _, _, found in sorted(self._most, key=lambda each: each[:2], reverse=True)]


def _child(rows: pa.StructArray, name: str) -> pa.Array:
    """Return a field of structs, null where the struct is."""
    found = rows.field(name)
    return pc.if_else(rows.is_valid(), found, pa.nulls(len(rows), found.type)) if rows.null_count else found


def _codes(columns: Sequence[pa.Array]) -> np.ndarray:
    """Return a number for each value, equal for equal values, one row per column; null is also a value."""
    plain = [_comparable(column) for column in columns]
    encoded = pc.dictionary_encode(pa.chunked_array(plain).combine_chunks(), null_encoding="encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    indices: np.ndarray = encoded.indices.to_numpy(zero_copy_only=False)
    return indices.reshape(len(columns), -1)


def _comparable(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    if pa.types.is_nested(column.type):
        encode = msgspec.json.Encoder(enc_hook=str).encode
        return pa.array([None if v is None else encode(v).decode() for v in column.to_pylist()], pa.string())
    return column


def _length_spread(rows: Sequence[pa.StructArray], answered: np.ndarray) -> np.ndarray:
    """Return the relative difference between the longest and the shortest answer, 0 to 1."""
    lengths = np.array([numbers(pc.utf8_length(_child(each, "text"))) for each in rows])
    longest = np.where(answered, lengths, 0).max(axis=0)
    shortest = np.where(answered, lengths, np.iinfo(np.int32).max).min(axis=0)
    spread: np.ndarray = np.where(
        longest > 0, (longest - np.minimum(shortest, longest)) / np.maximum(longest, 1), 0.0
    )
    return spread


def numbers(values: pa.Array) -> np.ndarray:
    """Return counts as an array, with 0 for null."""
    found: np.ndarray = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(np.int32)
    return found
