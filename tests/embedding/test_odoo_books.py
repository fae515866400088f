"""The example adapter for an Odoo-like ERP, over its API and over its tables."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from odoo_books.books import BooksOverApi, BooksOverTables, OdooAccount, open_books
from odoo_books.changes import OVERLAP, ChangePosition, new_changes

import moorage
from moorage import AuthenticationFailed, OutcomeUnknown, Secret
from moorage.contracts.payments import Money
from tests.embedding.odoo_server import KEY, OdooServer

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moorage import Hub

ACCOUNT = OdooAccount("erp", 2, Secret(KEY))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def odoo(tmp_path: Path) -> Generator[OdooServer]:
    """Yield a fake Odoo with two invoices."""
    with OdooServer(tmp_path) as server:
        server.put_invoice(1, 149.9, "2026-03-01 12:00:00.250000")
        server.put_invoice(2, 3000, "2026-03-01 12:00:00.750000", partner=8, state="paid")
        yield server


@contextmanager
def opened_hub(odoo: OdooServer, *, tables: bool) -> Generator[Hub]:
    """Return a hub whose configuration names Odoo's API and, if wanted, its tables."""
    configuration: dict[str, Any] = {
        "services": {"odoo": {"base_url": odoo.url, "volatile_keys": True}}
    }
    if tables:
        configuration["connectors"] = {
            "odoo-tables": {"kind": "sql", "url": f"sqlite:///{odoo.file}"}
        }
    with moorage.open(configuration) as hub:
        yield hub


@pytest.mark.parametrize("tables", [False, True])
def test_the_configuration_decides_where_the_books_are_read(
    odoo: OdooServer, *, tables: bool
) -> None:
    """Invoices have the same values, whether they are read over the API or from the tables."""
    with opened_hub(odoo, tables=tables) as hub:
        books = open_books(hub, ACCOUNT)
        first, second = books.invoices_since(NOON)

    assert isinstance(books, BooksOverTables if tables else BooksOverApi)
    assert ("INV/2026/00001", Money("149.90", "EUR"), False) == (
        *(first.number, first.open_amount, first.is_paid),
    )
    assert (Money(3000, "JPY"), True) == (second.open_amount, second.is_paid)
    assert NOON == first.changed_at.replace(microsecond=0)
    address = second.customer.address
    assert (None, "Lamp KK", "Floor 2", "JP", None) == (
        *(address.name, address.company, address.line2, address.country, address.email),
    )


@pytest.mark.parametrize("tables", [False, True])
def test_earlier_invoices_are_left_out(odoo: OdooServer, *, tables: bool) -> None:
    """Only Odoo invoices that changed since the given time are read."""
    with opened_hub(odoo, tables=tables) as hub:
        assert [] == open_books(hub, ACCOUNT).invoices_since(NOON + timedelta(seconds=1))


def test_open_amount_of_an_invoice_can_be_charged_at_any_vendor(odoo: OdooServer) -> None:
    """The open amount of an Odoo invoice can be charged at any payment vendor."""
    with opened_hub(odoo, tables=False) as hub:
        invoice = open_books(hub, ACCOUNT).invoices_since(NOON)[0]
    charge = invoice.charge("pm_card_visa")

    assert (Money("149.90", "EUR"), "INV/2026/00001") == (charge.amount, charge.reference)
    assert charge.customer is not None
    assert ("Ada Lovelace", "DE") == (charge.customer.name, charge.customer.country)


def test_a_payment_is_recorded_once(odoo: OdooServer) -> None:
    """A payment is recorded in Odoo once, even by another program with the same reference."""
    payment = (Money("149.90", "EUR"), "stripe:pi_1")
    ids = []
    for _ in range(2):
        with opened_hub(odoo, tables=False) as hub:
            books = BooksOverApi(hub, ACCOUNT)
            invoice = books.invoices_since(NOON)[0]
            ids += [books.record_payment(invoice, *payment) for _ in range(2)]

    assert [(149.9, "EUR", 7, "stripe:pi_1")] == odoo.execute(
        "SELECT amount, currency, partner_id, memo FROM account_payment"
    )
    assert 1 == len(set(ids))


def test_a_payment_whose_answer_was_lost_is_looked_up(odoo: OdooServer) -> None:
    """If Odoo's response to a recorded payment is lost, the payment is found by its reference."""
    odoo.loses_answers = True
    with opened_hub(odoo, tables=False) as hub:
        books = BooksOverApi(hub, ACCOUNT)
        id = books.record_payment(books.invoices_since(NOON)[0], Money("1", "EUR"), "stripe:pi_2")

    assert [(id, "stripe:pi_2")] == odoo.execute("SELECT id, memo FROM account_payment")


def test_a_payment_that_odoo_does_not_know_stays_unknown(odoo: OdooServer) -> None:
    """A sent payment that Odoo does not list is not sent again, because it may still arrive."""
    odoo.refuses_writes = True
    with opened_hub(odoo, tables=False) as hub:
        books = BooksOverApi(hub, ACCOUNT)
        invoice = books.invoices_since(NOON)[0]
        for refuses_writes in (True, False):
            odoo.refuses_writes = refuses_writes
            with pytest.raises(OutcomeUnknown):
                books.record_payment(invoice, Money("1", "EUR"), "stripe:pi_3")

    assert [] == odoo.execute("SELECT id FROM account_payment")


def test_refused_api_key_raises_a_typed_error(odoo: OdooServer) -> None:
    """If Odoo refuses the API key, a typed error is raised that does not show the key."""
    with opened_hub(odoo, tables=False) as hub:
        books = BooksOverApi(hub, OdooAccount("erp", 2, Secret("another-key")))
        with pytest.raises(AuthenticationFailed) as excinfo:
            books.invoices_since(NOON)

    assert "another-key" not in f"{excinfo.value!r} {excinfo.value}"


@pytest.mark.parametrize("tables", [False, True])
def test_each_change_is_found_once(odoo: OdooServer, *, tables: bool) -> None:
    """Each poll finds new changes, even in the same second or if they became visible late."""
    with opened_hub(odoo, tables=tables) as hub:
        books = open_books(hub, ACCOUNT)

        def observe(position: ChangePosition) -> tuple[list[tuple[int, Decimal]], ChangePosition]:
            invoices, next_position = new_changes(position, books.invoices_since(position.begin))
            return [(invoice.id, invoice.open_amount.amount) for invoice in invoices], next_position

        first_changes, position = observe(ChangePosition(latest=NOON))
        no_changes, position = observe(position)
        odoo.put_invoice(1, 0, "2026-03-01 12:00:00.900000", state="paid")
        # A long transaction began before the last read, and ended after it.
        odoo.put_invoice(3, 5, "2026-03-01 11:55:00.000000")
        later_changes, position = observe(position)
        no_later_changes, _ = observe(position)

    assert [(1, Decimal("149.9")), (2, Decimal(3000))] == first_changes
    assert [(3, Decimal(5)), (1, Decimal(0))] == later_changes
    assert [] == no_changes == no_later_changes


def test_position_of_a_poll_omits_changes_already_read(odoo: OdooServer) -> None:
    """The stored position of a poll omits changes that no later poll will read again."""
    with opened_hub(odoo, tables=True) as hub:
        books = open_books(hub, ACCOUNT)
        _, position = new_changes(ChangePosition(latest=NOON), books.invoices_since(NOON))
        later_time = NOON + OVERLAP + timedelta(minutes=1)
        odoo.put_invoice(4, 9, f"{later_time:%Y-%m-%d %H:%M:%S.%f}")
        _, position = new_changes(position, books.invoices_since(position.begin))

    assert {(4, later_time, "9.00 EUR")} == position.seen
