"""All runs and their batches as the ledger and the receipts tell them, kept in memory between two looks."""

from include.batches.overview.history import Estimate, History
from include.batches.overview.overview import Answer, Overview, Query
from include.batches.overview.rows import BatchRow
from include.batches.overview.runs import RunView

__all__ = ["Answer", "BatchRow", "Estimate", "History", "Overview", "Query", "RunView"]
