"""Commands of the ERP: `flask set-up` and `flask post-office`."""

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
from sqlalchemy.exc import OperationalError

from ledger import desk
from ledger.models import HELD, Attempt, Base, Company, Customer, Invoice, Means, session
from ledger.views import PAGES
from moorage.errors import StorageUnavailable
from moorage.hub.worker import stopping
from moorage_flask import current_moorage
from moorage_flask.worker import deliver

_QUIET: Final = 30.0
"""Seconds for which an attempt is left to whoever makes it, and the time between two looks."""
_PAUSE: Final = 0.5


@click.command("set-up")
@with_appcontext
def set_up() -> None:
    """Make the tables, and fill empty books with companies, customers and invoices."""
    current_moorage.migrate()
    Base.metadata.create_all(current_app.extensions["books"])
    if session.query(Company).first() is not None:
        return
    told = json.loads(Path(os.environ.get("ERP_SEED", PAGES / "seed.json")).read_text())
    session.add_all(Company(**one) for one in told["companies"])
    session.add_all(Means(**one) for one in told["means"])
    customers = {}
    for value in told["customers"]:
        company = value.pop("company")
        customers[value["email"]] = Customer(company_slug=company, **value)
    session.add_all(customers.values())
    session.flush()
    for value in told["invoices"]:
        customer = customers[value.pop("customer")]
        fields = {"customer_id": customer.id, "company_slug": customer.company_slug}
        session.add(Invoice(**value, **fields))
    session.commit()


@click.command("post-office")
@click.option("--once", is_flag=True, help="Do what is due, and end.")
@with_appcontext
def post_office(*, once: bool) -> None:
    """Handle webhooks, make due calls, and look up payments with an unknown outcome."""
    due = 0.0
    with stopping() as stop:
        while not stop.is_set():
            delivered: list[Any] = []
            try:
                delivered = deliver(current_moorage.here)
                if time.monotonic() >= due:
                    _look_up()
                    due = time.monotonic() + _QUIET
            except (StorageUnavailable, OperationalError) as error:
                session.remove()
                if once:
                    raise
                click.echo(f"Waiting for the database ({type(error).__name__}).", err=True)
            if once:
                return
            if not delivered:
                stop.wait(_PAUSE)


def _look_up() -> None:
    session.remove()
    begun = datetime.now(UTC).timestamp() - _QUIET
    held = session.query(Attempt).filter(Attempt.state.in_(HELD), Attempt.begun < begun).all()
    for attempt in held:
        desk.look_up(attempt)
    session.remove()
