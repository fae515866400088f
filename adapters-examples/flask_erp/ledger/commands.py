"""The ERP's commands: `flask set-up` and `flask worker`."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import DBAPIError, OperationalError

from ledger import vendor_calls
from ledger.models import HELD, Attempt, Base, Company, Customer, Invoice, Means, session
from ledger.views import PAGES
from moorage.errors import StorageUnavailable
from moorage.hub.worker import stopping
from moorage_flask import current_moorage
from moorage_flask.worker import deliver

_LOOK_UP_AFTER: Final = 30.0
"""Seconds after which an unfinished attempt is looked up, and between two lookups."""
_PAUSE: Final = 0.5


@click.command("set-up")
@with_appcontext
def set_up() -> None:
    """Create the tables, and fill empty tables with companies, customers and invoices."""
    current_moorage.migrate()
    Base.metadata.create_all(current_app.extensions["books"])
    if session.query(Company).first() is not None:
        return
    seed = json.loads(Path(os.environ.get("ERP_SEED", PAGES / "seed.json")).read_text())
    session.add_all(Company(**row) for row in seed["companies"])
    session.add_all(Means(**row) for row in seed["means"])
    customers = {}
    for value in seed["customers"]:
        company = value.pop("company")
        customers[value["email"]] = Customer(company_slug=company, **value)
    session.add_all(customers.values())
    session.flush()
    for value in seed["invoices"]:
        customer = customers[value.pop("customer")]
        fields = {"customer_id": customer.id, "company_slug": customer.company_slug}
        session.add(Invoice(**value, **fields))
    session.commit()


@click.command("worker")
@click.option("--once", is_flag=True, help="Do everything that is due, then stop.")
@with_appcontext
def worker(*, once: bool) -> None:
    """Handle webhooks, make stored calls, and look up payments with an unknown outcome."""
    next_look_up = 0.0
    with stopping() as stop:
        while not stop.is_set():
            deliveries: list[Any] = []
            try:
                deliveries = deliver(current_moorage.here)
                if time.monotonic() >= next_look_up:
                    _look_up()
                    next_look_up = time.monotonic() + _LOOK_UP_AFTER
            except (StorageUnavailable, OperationalError) as error:
                session.remove()
                if once:
                    raise
                click.echo(
                    f"The database is not available ({type(error).__name__}); trying again.",
                    err=True,
                )
            if once:
                return
            if not deliveries:
                stop.wait(_PAUSE)


def _look_up() -> None:
    session.remove()
    latest_begin = datetime.now(UTC).timestamp() - _LOOK_UP_AFTER
    held_attempts = (
        session.query(Attempt).filter(Attempt.state.in_(HELD), Attempt.begun < latest_begin).all()
    )
    for attempt in held_attempts:
        reference = attempt.reference
        try:
            vendor_calls.look_up(attempt)
        except OperationalError:
            raise
        except DBAPIError as error:  # one row must not keep the others from being looked up
            session.rollback()
            problem = type(error).__name__
            click.echo(
                f"Payment {reference} could not be stored ({problem}); trying again later.",
                err=True,
            )
    session.remove()
