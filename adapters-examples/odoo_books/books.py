"""A business's invoices in Odoo, read over its API or from its tables.

The configuration decides: with a connector named `odoo-tables` the tables are read, and otherwise
the API. Both ways return the same values. Payments are always written over the API, since only
Odoo's own code may change its tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import sqlalchemy as sa

from moorage import JsonRpc, OutcomeUnknown, Secret
from moorage.adapters.sql.connector import SqlConnector
from moorage.adapters.sql.statements import Query
from odoo_books.entities import customer_of, invoice_of

if TYPE_CHECKING:
    from datetime import datetime

    from moorage import Hub
    from moorage.contracts.payments import Money
    from odoo_books.entities import Customer, Invoice

SERVICE: Final = "odoo"
TABLES: Final = "odoo-tables"

_PARTNER_FIELDS: Final = (
    *("id", "name", "is_company", "street", "street2", "city", "zip", "country_code"),
    *("email", "phone", "vat"),
)
_INVOICE_FIELDS: Final = (
    *("id", "name", "amount_residual", "currency_id", "partner_id", "payment_state", "write_date"),
)
_POSTED: Final = [["move_type", "=", "out_invoice"], ["state", "=", "posted"]]
_MOVES: Final = sa.table(
    "account_move",
    *map(sa.column, ("id", "name", "move_type", "state", "payment_state")),
    *map(sa.column, ("currency_id", "partner_id")),
    sa.column("amount_residual", sa.Numeric(16, 2)),
    sa.column("write_date", sa.DateTime()),
)
_PARTNERS: Final = sa.table(
    "res_partner",
    *map(sa.column, ("id", "name", "street", "street2", "city", "zip", "country_id")),
    *map(sa.column, ("email", "phone", "vat")),
    sa.column("is_company", sa.Boolean()),
)
_CURRENCIES: Final = sa.table("res_currency", sa.column("id"), sa.column("name"))
_COUNTRIES: Final = sa.table("res_country", sa.column("id"), sa.column("code"))
_CHANGES: Final = (
    sa.select(
        *(_MOVES.c[name] for name in ("id", "name", "amount_residual", "payment_state")),
        _MOVES.c.write_date,
        _CURRENCIES.c.name.label("currency"),
        *(_PARTNERS.c[name].label(f"partner_{name}") for name in ("id", "name")),
        *(_PARTNERS.c[name] for name in ("is_company", "street", "street2", "city", "zip")),
        *(_PARTNERS.c[name] for name in ("email", "phone", "vat")),
        _COUNTRIES.c.code.label("country_code"),
    )
    .join_from(_MOVES, _CURRENCIES, _CURRENCIES.c.id == _MOVES.c.currency_id)
    .join(_PARTNERS, _PARTNERS.c.id == _MOVES.c.partner_id)
    .join(_COUNTRIES, _COUNTRIES.c.id == _PARTNERS.c.country_id)
    .where(_MOVES.c.move_type == "out_invoice", _MOVES.c.state == "posted")
    .where(_MOVES.c.write_date >= sa.bindparam("since", type_=sa.DateTime()))
    .order_by(_MOVES.c.write_date, _MOVES.c.id)
)
_CHANGED_INVOICES: Final = Query(_CHANGES, name="invoices.changed")
_COLUMNS: Final = tuple(_CHANGES.selected_columns.keys())


class Books(Protocol):
    """Reads invoices of a business."""

    def invoices_since(self, time: datetime, /) -> list[Invoice]:
        """Return the posted invoices changed at or after a time."""
        ...


@attrs.frozen
class OdooAccount:
    """A program's account in Odoo.

    Attributes:
        database: the name of the database.
        user: the id of the user.
        key: the user's API key.
    """

    database: str
    user: int
    key: Secret


class BooksOverApi:
    """Invoices read and written over Odoo's JSON-RPC API.

    Args:
        hub: a hub with the service `odoo`.
        account: the account in Odoo.
    """

    def __init__(self, hub: Hub, account: OdooAccount) -> None:
        self._manager = hub.manager
        self._account = account
        self._api = JsonRpc("/jsonrpc")

    def invoices_since(self, time: datetime, /) -> list[Invoice]:
        """Return the posted invoices changed at or after a time."""
        records = self._read(
            "account.move",
            [*_POSTED, ["write_date", ">=", f"{time:%Y-%m-%d %H:%M:%S}"]],
            _INVOICE_FIELDS,
        )
        partner_ids = sorted({record["partner_id"][0] for record in records})
        customers = self._customers(partner_ids)
        return [
            invoice_of(
                {**record, "currency": record["currency_id"][1]},
                customers[record["partner_id"][0]],
            )
            for record in records
        ]

    def record_payment(self, invoice: Invoice, amount: Money, reference: str) -> int:
        """Record an invoice's payment, unless one with this reference exists.

        Odoo has no idempotency keys. So if the response to a payment was lost, the payment is
        looked up by its reference, and is not sent again while its outcome is unknown.

        Args:
            invoice: the paid invoice.
            amount: the paid amount.
            reference: a reference that is unique to this payment, such as the vendor's.

        Returns:
            The id of the payment in Odoo.

        Raises:
            OutcomeUnknown: the response was lost, and Odoo does not have the payment yet.
        """
        values = {
            "amount": str(amount.amount),
            "currency": amount.currency,
            "partner_id": invoice.customer.id,
            "memo": reference,
            "invoice_ids": [invoice.id],
        }
        existing_id = self._payment_id(reference)
        if existing_id is not None:
            return existing_id
        operation = self._call("account.payment", "create", [values], {}, safe=False)
        try:
            created_id: int = self._manager.perform(
                SERVICE, operation, idempotency_key=f"odoo-payment/{reference}"
            )
        except OutcomeUnknown:
            recorded_id = self._payment_id(reference)
            if recorded_id is None:
                raise
            return recorded_id
        return created_id

    def _payment_id(self, reference: str) -> int | None:
        records = self._read("account.payment", [["memo", "=", reference]], ("id",))
        return records[0]["id"] if records else None

    def _customers(self, ids: list[int]) -> dict[int, Customer]:
        records = self._read("res.partner", [["id", "in", ids]], _PARTNER_FIELDS) if ids else []
        return {record["id"]: customer_of(record) for record in records}

    def _read(
        self, model: str, conditions: list[Any], fields: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        order = {"fields": list(fields), "order": "id"}
        operation = self._call(model, "search_read", [conditions], order, safe=True)
        records: list[dict[str, Any]] = self._manager.perform(SERVICE, operation)
        return records

    def _call(
        self, model: str, method: str, values: list[Any], options: dict[str, Any], *, safe: bool
    ) -> Any:
        account = self._account
        return self._api.call(
            "call",
            {
                "service": "object",
                "method": "execute_kw",
                "args": [
                    *(account.database, account.user, account.key.reveal()),
                    *(model, method, values, options),
                ],
            },
            name=f"{model}.{method}",
            safe=safe,
        )


class BooksOverTables:
    """Invoices read from the tables of Odoo's database.

    Args:
        hub: a hub with an SQL connector named `odoo-tables`.
    """

    def __init__(self, hub: Hub) -> None:
        self._manager = hub.manager
        self._tables = hub.connectors.get(TABLES, SqlConnector)

    def invoices_since(self, time: datetime, /) -> list[Invoice]:
        """Return the posted invoices changed at or after a time."""
        since = time.replace(tzinfo=None)
        rows = self._manager.perform(TABLES, self._tables.query(_CHANGED_INVOICES, since=since))
        return [_invoice_of_row(dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _invoice_of_row(row: dict[str, Any]) -> Invoice:
    partner = {**row, "id": row["partner_id"], "name": row["partner_name"]}
    return invoice_of(row, customer_of(partner))


def open_books(hub: Hub, account: OdooAccount) -> Books:
    """Return access over the tables if they are configured, otherwise over the API."""
    if TABLES in hub.connectors:
        return BooksOverTables(hub)
    return BooksOverApi(hub, account)
