"""From a source to shards and a plan: what a run would send, reuse and pay, before anything is sent."""

from nightpress.runs.preparation import Prepared, prepare_run
from nightpress.runs.run import Reuse, Run, Source

__all__ = ["Prepared", "Reuse", "Run", "Source", "prepare_run"]
