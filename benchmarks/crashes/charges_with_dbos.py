"""DBOS over PostgreSQL in the crash matrix: a program that requests a charge, and a worker."""

import signal
import sys

from dbos import DBOS, DBOSClient, DBOSConfig
from shared import DATABASE, charge, order

url = DATABASE.replace("postgresql://", "postgresql+psycopg://")


@DBOS.step()
def pay() -> None:
    """Charge for the order, as a DBOS step."""
    charge()


@DBOS.workflow(name="buy")
def buy() -> None:
    """Execute the steps of an order, as a DBOS workflow."""
    pay()


if __name__ == "__main__":
    if sys.argv[1] == "host":
        client = DBOSClient(system_database_url=url)
        order(lambda: client.enqueue({"queue_name": "orders", "workflow_name": "buy"}))
    else:
        config: DBOSConfig = {"name": "shop", "system_database_url": url}
        DBOS(config=config)
        DBOS.launch()
        DBOS.register_queue("orders")
        if sys.argv[1] == "worker":
            signal.pause()  # DBOS works in its own threads until the harness kills this process
        DBOS.destroy()
