"""All runs and their batches as the ledger and the receipts tell them, kept in memory between two looks."""

from nightpress.overview.batch_rows import BatchRow
from nightpress.overview.expected_end import Estimate, History
from nightpress.overview.overview import Answer, Overview, Query
from nightpress.overview.run_views import RunView

__all__ = ["Answer", "BatchRow", "Estimate", "History", "Overview", "Query", "RunView"]
