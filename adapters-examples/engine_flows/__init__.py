"""One ERP flow in several engines: Airflow, Celery, DBOS, procrastinate, Restate, Temporal."""
