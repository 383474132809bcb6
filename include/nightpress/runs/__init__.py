"""Run a pipeline: read, plan, send, send again and publish, within the limits on cost.

All decisions about money and order are here, as functions that take the clock, the API, the ledger and the
data root as arguments; Airflow's operators and the chaos suite call the same functions.
"""
