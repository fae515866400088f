"""Celery over Redis in the crash matrix: a program that requests a charge, and a worker."""

import os
import sys

from celery import Celery
from shared import QUEUE, charge, order

app = Celery("shop", broker=os.environ.get("MOORAGE_TEST_REDIS_URL", "redis://127.0.0.1:6379/0"))
app.conf.task_default_queue = QUEUE


@app.task(name="pay")
def pay() -> None:
    """Charge for the order, as a Celery task."""
    charge()


if __name__ == "__main__":
    if sys.argv[1] == "host":
        order(pay.delay)
    else:
        app.worker_main(["worker", "--pool=solo", "--without-mingle", "--without-gossip"])
