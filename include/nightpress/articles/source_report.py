"""What was found out about a source while it was read: shown in the plan, the log and ``look``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_MAX_SHOWN = 20
_MAX_KEPT = 1_000


@dataclass(slots=True)
class SourceReport:
    r"""Detections, doubts and what was left out. Holds names and numbers, never text of an article.

    :param kinds: what files turned out to be, e.g. ``CSV, ';' separated, cp1252``, with their number.
    :param examples: one file of each kind.
    :param fields: which field of the source became id, title and content.
    :param skipped: files that are not read, with the reason; the first 1,000.
    :param warnings: what is doubtful, with how to override it.
    :param derived_ids: articles whose id was made from their content.
    :param nulls: values ``\N`` of a table that were read as nothing.
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
        """What is doubtful, each said once, with the number of files where there are several."""
        return [
            f"{file}: {what}" + (f" (and {count - 1:,} more files)" if count > 1 else "") if file else what
            for what, (file, count) in self._warnings.items()
        ]

    def detected(self, file: str, kind: str) -> None:
        """Count a file of a kind."""
        self.kinds[kind] += 1
        self.examples.setdefault(kind, file)

    def warn(self, what: str, file: str = "") -> None:
        """Keep a doubt; the same one about another file is counted, not repeated."""
        if what in self._warnings or len(self._warnings) < _MAX_KEPT:
            first, count = self._warnings.get(what, (file, 0))
            self._warnings[what] = (first, count + 1)

    def skip(self, path: str, reason: str) -> None:
        """Keep a file that is not read."""
        self.skipped_count += 1
        if len(self.skipped) < _MAX_KEPT:
            self.skipped[path] = reason

    def facts(self) -> list[str]:
        """Return what was detected, mapped, made and skipped, one sentence each; nothing that is doubtful."""
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
        return notes

    def notes(self) -> list[str]:
        """Return everything worth knowing before money is spent, one sentence each."""
        notes, warnings = self.facts(), self.warnings
        notes += warnings[:_MAX_SHOWN]
        if len(warnings) > _MAX_SHOWN:
            notes.append(f"And {len(warnings) - _MAX_SHOWN:,} more warnings about the source.")
        return notes
