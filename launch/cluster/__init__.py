"""A cluster on one machine without containers: Postgres, Redis, S3, schedulers, triggerers and Celery workers.

It is made of the very processes of a deployment on several machines, with the settings of ``deploy/airflow.env``;
only the addresses are all 127.0.0.1. ``make cluster`` shows it, and ``tests/cluster`` breaks it.
"""
