"""A run of a pipeline: what it reads, sends, sends again and publishes, and what it may cost.

Everything that decides about money or order is here, as functions that take the clock, the API, the ledger and the
data root as arguments; Airflow's operators and the chaos suite call the same ones.
"""
