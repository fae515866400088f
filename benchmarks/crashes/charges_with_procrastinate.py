"""Procrastinate over PostgreSQL in the crash matrix: a requesting program, and a worker."""

import sys

from procrastinate import App, PsycopgConnector
from shared import DATABASE, charge, order

app = App(connector=PsycopgConnector(conninfo=DATABASE))


@app.task(name="pay")
def pay() -> None:
    """Charge for the order, as a Procrastinate task."""
    charge()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        app.run_worker()
    else:
        with app.open():
            if sys.argv[1] == "migrate":
                app.schema_manager.apply_schema()
            else:
                order(pay.defer)
