"""One flow of an ERP inside four engines: Celery, procrastinate, DBOS and Temporal."""
