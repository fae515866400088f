"""One flow of an ERP inside engines: Airflow, Celery, DBOS, procrastinate, Restate, Temporal."""
