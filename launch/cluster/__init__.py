"""A cluster on one machine without containers: Postgres, Redis, S3, schedulers, triggerers and Celery workers.

It runs the same processes as a deployment on several machines, with the settings of ``deploy/airflow.env``; only the
addresses are all 127.0.0.1. ``make cluster`` starts it; ``tests/cluster`` kills its components.
"""
