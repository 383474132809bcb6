"""Assets that do not belong to a single pipeline."""

from __future__ import annotations

from airflow.sdk import Asset

PUBLISHED_DAYS = Asset("nightpress_published_days")
"""Every pipeline that publishes a day updates it, with the day as partition; so a DAG can follow all of them."""
