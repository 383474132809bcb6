"""Findings about a source while it was read: shown in the plan, the log and ``look``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from nightpress.plain_text import without_queries

_MAX_SHOWN = 20
_MAX_KEPT = 1_000


@dataclass(slots=True)
class SourceReport:
    r"""Detections, warnings and skipped files. It holds names and numbers, never article text.

    :param kinds: detected kinds of files, e.g. ``CSV, ';' separated, cp1252``, with the number of files.
    :param examples: one file of each kind.
    :param fields: the fields of the source that became id, title and content.
    :param skipped: files that are not read, with the reason; the first 1,000.
    :param warnings: doubtful detections, and how to override them.
    :param derived_ids: articles whose id was made from their content.
    :param nulls: values ``\N`` of a table that were read as null.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    skipped_count: int = 0
    derived_ids: int = 0
    nulls: int = 0
    _warnings: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """Each warning once, with the number of files if there are several."""
        return [
            (f"{without_queries(file)}: " if file else "")
            + what
            + (f" (and {count - 1:,} more files)" if count > 1 else "")
            if file
            else what
            for what, (file, count) in self._warnings.items()
        ]

    def detected(self, file: str, kind: str) -> None:
        """Count a file of a kind."""
        self.kinds[kind] += 1
        self.examples.setdefault(kind, file)

    def warn(self, what: str, file: str = "") -> None:
        """Keep a warning; the same warning about another file is counted, not repeated."""
        if what in self._warnings or len(self._warnings) < _MAX_KEPT:
            first, count = self._warnings.get(what, (file, 0))
            self._warnings[what] = (first, count + 1)

    def skip(self, path: str, reason: str) -> None:
        """Record a file that is not read."""
        self.skipped_count += 1
        if len(self.skipped) < _MAX_KEPT:
            self.skipped[path] = reason

    def facts(self) -> list[str]:
        """Return what was detected, mapped, made and skipped, one sentence each, without warnings."""
        notes = []
        if self.kinds:
            kinds = "; ".join(f"{count:,} × {kind}" for kind, count in self.kinds.most_common(5))
            notes.append(f"Files read: {kinds}.")
        if self.fields:
            notes.append(
                "Fields: " + ", ".join(f"{ours} from {theirs}" for ours, theirs in self.fields.items()) + "."
            )
        if self.derived_ids:
            notes.append(
                f"{self.derived_ids:,} articles have no id of their own; theirs is made from their content, so it "
                "stays the same as long as the content does."
            )
        if self.nulls:
            notes.append(f"{self.nulls:,} values \\N were read as empty.")
        if self.skipped:
            shown = "; ".join(f"{path} ({why})" for path, why in list(self.skipped.items())[:5])
            more = f"; and {self.skipped_count - 5:,} more" if self.skipped_count > 5 else ""
            notes.append(f"Not read: {self.skipped_count:,} files: {shown}{more}.")
        return [without_queries(note) for note in notes]

    def notes(self) -> list[str]:
        """Return everything worth knowing before money is spent, one sentence each."""
        notes, warnings = self.facts(), self.warnings
        notes += warnings[:_MAX_SHOWN]
        if len(warnings) > _MAX_SHOWN:
            notes.append(f"And {len(warnings) - _MAX_SHOWN:,} more warnings about the source.")
        return notes
