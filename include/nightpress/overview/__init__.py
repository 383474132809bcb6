"""All runs and their batches, from the ledger and the receipts, kept in memory between two looks."""

from nightpress.overview.batch_rows import BatchRow
from nightpress.overview.expected_end import BatchDurations, Estimate
from nightpress.overview.overview import Overview, Query, RunsPage
from nightpress.overview.run_views import RunView

__all__ = ["BatchDurations", "BatchRow", "Estimate", "Overview", "Query", "RunView", "RunsPage"]
