"""The models that batches accept: what each costs, can do and refuses. Imports nothing heavy: parsing a DAG uses it."""
