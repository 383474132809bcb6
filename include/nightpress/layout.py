"""The layout of the data root: the only module that builds a path below it or opens a stored reference.

Records and XCom hold *references*: paths relative to the data root, such as
``runs/article_summaries/2026-11-22/manual__1/requests-00000.json``. A reference stays valid when the root is
moved, mounted elsewhere or reached through another Airflow connection. Records of earlier versions hold whole
URLs; :meth:`DataRoot.open` reads both, and refuses a path that is not below the root.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from urllib.parse import unquote, urlsplit

from nightpress.errors import ConfigurationError, InvalidReferenceError
from nightpress.storage import StoragePath
from nightpress.store_reads import trust_no_listing

NOT_PIPELINES = frozenset(
    {
        "comparisons",
        "inbox",
        "runs",
        "ledger",
        "model_lists",
        "receipts",
        "reports",
        "local_api",
        "offline_api",
        "publications",
    }
)
"""Folders below the data root that belong to no pipeline."""

_AREAS = frozenset(
    {"comparisons", "inbox", "runs", "ledger", "model_lists", "publications", "receipts", "reports"}
)
_PIPELINE_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_RUN_FOLDER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,128}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MAX_REFERENCE_CHARS = 4_000
_MAX_NAME_BYTES = 255
_DAY_FOLDER = re.compile(r"day=(\d{4}-\d{2}-\d{2})")


def is_pipeline_name(name: str) -> bool:
    """Return whether a pipeline can have this name: its folder is named after it."""
    return bool(_PIPELINE_NAME.fullmatch(name)) and name not in NOT_PIPELINES


def check_pipeline_name(name: str) -> str:
    """Return a valid pipeline name unchanged.

    :raises ConfigurationError: the name is invalid or belongs to Nightpress.
    """
    if not is_pipeline_name(name):
        raise ConfigurationError(
            f"invalid pipeline name {name!r:.120}: use 1-100 letters, digits, '_' or '-', as in article_summaries; "
            f"these names are reserved: {', '.join(sorted(NOT_PIPELINES))}"
        )
    return name


def is_day(day: object) -> bool:
    """Return whether a value is a date in the form YYYY-MM-DD."""
    try:
        return isinstance(day, str) and date.fromisoformat(day).isoformat() == day
    except ValueError:
        return False


def check_day(day: object) -> str:
    """Return a valid day unchanged.

    :raises ConfigurationError: it is not a date in the form YYYY-MM-DD.
    """
    if is_day(day):
        return str(day)
    raise ConfigurationError(f"invalid day {day!r:.60}: use a date such as 2026-11-22")


def run_folder_name(run_id: str) -> str:
    """Return the folder name of a run; characters that a file name cannot have are replaced."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", run_id)[:120].lstrip(".")
    if safe != run_id or not safe:
        safe += "-" + hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return safe


def is_run_folder_name(name: str) -> bool:
    """Return whether a name can be one that :func:`run_folder_name` returns."""
    return bool(_RUN_FOLDER.fullmatch(name))


@dataclass(frozen=True, slots=True)
class DataRoot:
    """The folder under which everything is stored.

    :param path: any fsspec-backed path, Airflow's ``ObjectStoragePath`` included.
    """

    path: StoragePath

    def __post_init__(self) -> None:
        trust_no_listing(self.path)

    def inbox(self, day: str) -> StoragePath:
        """Return the folder that a daily run reads by default."""
        return self.inboxes() / f"day={day}"

    def inboxes(self) -> StoragePath:
        """Return the folder of all inboxes, one for each day."""
        return self.path / "inbox"

    def ledger(self) -> StoragePath:
        """Return the folder of all ledgers, one subfolder for each API."""
        return self.path / "ledger"

    def ledger_of(self, scope: str) -> StoragePath:
        """Return the folder of one API's ledger; its files are those of :class:`nightpress.folders.LedgerFolder`."""
        return self.ledger() / scope

    def model_list(self, scope: str) -> StoragePath:
        """Return the file with the models that an API listed.

        :param scope: name of the API; characters that a file name cannot have are replaced.
        """
        return self.path / "model_lists" / f"{run_folder_name(scope)}.json"

    def runs(self, pipeline: str, day: str) -> StoragePath:
        """Return the folder of the runs of a pipeline's day."""
        return self.path / "runs" / pipeline / day

    def run_folders(self, pipeline: str, day: str) -> list[StoragePath]:
        """Return the folders of all runs of a pipeline's day."""
        folder = self.runs(pipeline, day)
        return [folder / name for name in list_names(folder) if is_run_folder_name(name)]

    def run_folder(self, pipeline: str, day: str, run_id: str) -> StoragePath:
        """Return the folder of one run's files."""
        return self.runs(pipeline, day) / run_folder_name(run_id)

    def replaced_days(self) -> dict[str, list[str]]:
        """Return the days that have earlier publications, by pipeline."""
        folder = self.path / "publications"
        pipelines = filter(is_pipeline_name, list_names(folder))
        return {name: list(filter(is_day, list_names(folder / name))) for name in pipelines}

    def publication(self, pipeline: str, day: str, name: str) -> StoragePath:
        """Return the path of an earlier publication of a day."""
        return self.publications(pipeline, day) / name

    def published(self, pipeline: str) -> StoragePath:
        """Return the folder of a pipeline's published days."""
        return self.path / pipeline

    def answers(self, pipeline: str, day: str) -> StoragePath:
        """Return where a pipeline publishes a day."""
        return self.published(pipeline) / f"day={day}" / "answers.parquet"

    def publications(self, pipeline: str, day: str) -> StoragePath:
        """Return the folder of a day's earlier publications; readers of published days do not see it."""
        return self.path / "publications" / pipeline / day

    def receipts(self, pipeline: str) -> StoragePath:
        """Return the folder of a pipeline's receipts."""
        return self.path / "receipts" / pipeline

    def receipt(self, pipeline: str, day: str) -> StoragePath:
        """Return where a day's receipt is."""
        return self.receipts(pipeline) / f"day={day}.json"

    def receipt_parts(self, pipeline: str, day: str) -> StoragePath:
        """Return the folder with the receipt of each run of a day; the day's receipt adds them up."""
        return self.receipts(pipeline) / "of_runs" / f"day={day}"

    def receipt_part(self, pipeline: str, day: str, run_id: str) -> StoragePath:
        """Return the path of the receipt of one run of a day."""
        digest = hashlib.sha256(run_id.encode()).hexdigest()[:16]
        return self.receipt_parts(pipeline, day) / f"{digest}.json"

    def receipt_aside(self, pipeline: str, day: str, *, offline: bool) -> StoragePath:
        """Return where a day's receipt for the offline API (or the real one) is kept while the other is in use."""
        folder = "of_the_offline_api" if offline else "of_the_api"
        return self.receipts(pipeline) / folder / f"day={day}.json"

    def comparison_names(self) -> list[str]:
        """Return the names of the comparisons that were ever made."""
        return [name for name in list_names(self.path / "comparisons") if is_pipeline_name(name)]

    def comparison(self, name: str, day: str) -> StoragePath:
        """Return the file with a day's answers of several variants, side by side."""
        return self.path / "comparisons" / name / f"day={day}" / "comparison.parquet"

    def reports(self, day: str) -> StoragePath:
        """Return the folder of a day's report and its comparison pages."""
        return self.path / "reports" / f"day={day}"

    def report(self, day: str) -> StoragePath:
        """Return where a day's report is, as HTML; the Markdown is beside it."""
        return self.reports(day) / "report.html"

    def report_markdown(self, day: str, *, full: bool = False) -> StoragePath:
        """Return the path of a day's report as Markdown: short, for a message, or in full."""
        return self.reports(day) / ("report-full.md" if full else "report.md")

    def comparison_page(self, name: str, day: str) -> StoragePath:
        """Return the path of a comparison's page, beside the day's report."""
        return self.reports(day) / f"comparison-{name}.html"

    def iter_pipelines(self) -> Iterator[str]:
        """Yield the pipelines that ever published a day or started a run, by name."""
        names = {*list_names(self.path), *list_names(self.path / "runs")}
        yield from sorted(filter(is_pipeline_name, names))

    def published_days(self, pipeline: str) -> list[str]:
        """Return the days for which a pipeline has a folder, oldest first."""
        found = map(_DAY_FOLDER.fullmatch, list_names(self.published(pipeline)))
        return sorted(match[1] for match in found if match)

    def reference(self, path: StoragePath) -> str:
        """Return the reference under which a path below the root is recorded.

        :raises InvalidReferenceError: it is not below the root.
        """
        base, whole = self.path.path.rstrip("/"), path.path
        if not whole.startswith(f"{base}/"):
            raise InvalidReferenceError(f"{path} is not below the data root {self.path}")
        return str(whole[len(base) + 1 :])

    def open(self, reference: str) -> StoragePath:
        """Return the path of a recorded reference: a relative path or (from an earlier version) a whole URL.

        A whole URL that names another root or connection is resolved by its part below one of the root's own
        folders, so that records survive a moved or renamed root.

        :raises InvalidReferenceError: it points outside the data root.
        """
        relative = self._relative(reference) if len(reference) <= _MAX_REFERENCE_CHARS else ""
        parts = relative.split("/")
        if not relative or _UNSAFE.search(reference) or not all(map(_is_plain_name, parts)):
            raise InvalidReferenceError(
                f"the reference {reference!r:.200} does not name a file below the data root {self.path}"
            )
        return self.path.joinpath(*parts)

    def _relative(self, reference: str) -> str:
        if "://" not in reference and not reference.startswith("/"):
            return reference
        whole = urlsplit(reference).path if reference.startswith(("/", "file://")) else reference
        base = self.path.path.rstrip("/")
        if whole.startswith(f"{base}/"):
            return whole[len(base) + 1 :]
        # The root was moved: the relative part begins at the first folder of ours in the path.
        parts = whole.split("/")
        starts = [number for number, part in enumerate(parts) if part in _AREAS]
        return "/".join(parts[starts[0] :]) if starts else ""


def _is_plain_name(part: str) -> bool:
    """Return whether a part of a path is a plain name, even for a store that decodes percent signs."""
    plain = unquote(unquote(part))
    fits = len(part) * 4 <= _MAX_NAME_BYTES or len(part.encode()) <= _MAX_NAME_BYTES
    return fits and plain not in {"", ".", ".."} and not {"/", "\\", "\0"} & set(plain)


def list_names(folder: StoragePath) -> list[str]:
    """Return the names in a folder, sorted; a folder that does not exist has none."""
    if hasattr(folder.fs, "invalidate_cache"):
        # Callers decide by this listing what exists, so a long-lived process must not see a cached one.
        folder.fs.invalidate_cache(folder.path)
    try:
        found = folder.fs.ls(folder.path, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in found)
