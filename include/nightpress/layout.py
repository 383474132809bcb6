"""Where a pipeline's things are below the data root, and which names and days there can be."""

from __future__ import annotations

import re
from datetime import date

from nightpress.errors import ConfigurationError
from nightpress.storage import StoragePath

NOT_PIPELINES = frozenset({"comparisons", "inbox", "runs", "ledger", "receipts", "reports", "local_api"})
"""Folders below the data root that belong to no pipeline."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def is_pipeline_name(name: str) -> bool:
    """Tell whether a pipeline can be called so: its folder is."""
    return bool(_NAME.fullmatch(name)) and name not in NOT_PIPELINES


def check_pipeline_name(name: str) -> str:
    """Return a pipeline's name if it can be one.

    :raises ConfigurationError: otherwise.
    """
    if not is_pipeline_name(name):
        raise ConfigurationError(
            f"{name!r} is no pipeline's name; up to 100 letters, digits, _ and - are, as in article_summaries, "
            f"but not {', '.join(sorted(NOT_PIPELINES))}"
        )
    return name


def check_day(day: object) -> str:
    """Return the day if it is a date, YYYY-MM-DD.

    :raises ConfigurationError: it is not.
    """
    try:
        if isinstance(day, str) and date.fromisoformat(day).isoformat() == day:
            return day
    except ValueError:
        pass
    raise ConfigurationError(f"day is {day!r}; a date such as 2026-11-22 is needed")


def answers_path(root: StoragePath, pipeline: str, day: str) -> StoragePath:
    """Return where a pipeline publishes a day."""
    return root / pipeline / f"day={day}" / "answers.parquet"


def comparison_path(root: StoragePath, name: str, day: str) -> StoragePath:
    """Return where a day's answers of several variants are, side by side."""
    return root / "comparisons" / name / f"day={day}" / "comparison.parquet"


def comparison_page_path(root: StoragePath, name: str, day: str) -> StoragePath:
    """Return where the page of a comparison is: beside the day's report."""
    return root / "reports" / f"day={day}" / f"comparison-{name}.html"
