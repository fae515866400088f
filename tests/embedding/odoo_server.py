"""A fake Odoo: some of its tables in a SQLite file, and its JSON-RPC API over HTTP."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

KEY: Final = "key-of-the-integration"
_TABLES: Final = """
    CREATE TABLE res_currency (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE res_country (id INTEGER PRIMARY KEY, code TEXT);
    CREATE TABLE res_partner (
        id INTEGER PRIMARY KEY, name TEXT, is_company BOOLEAN, street TEXT, street2 TEXT,
        city TEXT, zip TEXT, country_id INTEGER, email TEXT, phone TEXT, vat TEXT
    );
    CREATE TABLE account_move (
        id INTEGER PRIMARY KEY, name TEXT, move_type TEXT, state TEXT, payment_state TEXT,
        amount_residual NUMERIC, currency_id INTEGER, partner_id INTEGER, write_date TEXT
    );
    CREATE TABLE account_payment (
        id INTEGER PRIMARY KEY, amount NUMERIC, currency TEXT, partner_id INTEGER, memo TEXT
    );
    INSERT INTO res_currency VALUES (1, 'EUR'), (2, 'JPY');
    INSERT INTO res_country VALUES (1, 'DE'), (2, 'JP');
    INSERT INTO res_partner VALUES
        (7, 'Ada Lovelace', 0, 'Parkweg 3', NULL, 'Bonn', '53111', 1, 'ada@example.com', NULL,
         NULL),
        (8, 'Lamp KK', 1, 'Ginza 1', 'Floor 2', 'Tokyo', '104', 2, NULL, '+8131234', 'JP1');
"""


class OdooServer:
    """A fake Odoo server on a local port.

    Args:
        folder: the folder of the database file.

    Attributes:
        file: the database file.
        loses_answers: True to lose answers to writes that took effect.
        refuses_writes: True to lose writes before they take effect.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "odoo.sqlite"
        self.loses_answers = self.refuses_writes = False
        with closing(sqlite3.connect(self.file)) as database:
            database.executescript(_TABLES)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def execute(self, statement: str, *values: object) -> list[Any]:
        """Execute an SQL statement in the fake ERP's database, and return its rows."""
        with closing(sqlite3.connect(self.file)) as database, database:
            return database.execute(statement, values).fetchall()

    def put_invoice(
        self, id: int, amount: float, written_at: str, *, partner: int = 7, state: str = "not_paid"
    ) -> None:
        """Insert a posted invoice, or replace it."""
        self.execute(
            "INSERT OR REPLACE INTO account_move VALUES"
            " (?, ?, 'out_invoice', 'posted', ?, ?, ?, ?, ?)",
            *(id, f"INV/2026/{id:05}", state, amount, 1 if partner == 7 else 2, partner),
            written_at,
        )

    def answer(self, parameters: dict[str, Any]) -> Any:
        """Return the result of an `execute_kw` call."""
        database, user, key, model, method, values, options = parameters["args"]
        if (database, user, key) != ("erp", 2, KEY):
            raise PermissionError
        if method == "create":
            return self._create(values[0])
        return getattr(self, f"_read_{model.replace('.', '_')}")(values[0], options)

    def _create(self, payment: dict[str, Any]) -> int:
        row = [payment[name] for name in ("amount", "currency", "partner_id", "memo")]
        insertion = "INSERT INTO account_payment VALUES (NULL, ?, ?, ?, ?) RETURNING id"
        created_id: int = self.execute(insertion, *row)[0][0]
        return created_id

    def _read_account_payment(
        self, conditions: list[Any], options: dict[str, Any]
    ) -> list[dict[str, Any]]:
        assert ["id"] == options["fields"]
        ((_, _, memo),) = conditions
        return [
            {"id": id}
            for (id,) in self.execute("SELECT id FROM account_payment WHERE memo = ?", memo)
        ]

    def _read_res_partner(self, conditions: list[Any], _: object) -> list[dict[str, Any]]:
        ((_, _, ids),) = conditions
        rows = self.execute(
            "SELECT id, name, is_company, street, street2, city, zip, email, phone, vat,"
            " (SELECT code FROM res_country AS country WHERE country.id = country_id)"
            " FROM res_partner ORDER BY id"
        )
        names = (
            *("id", "name", "is_company", "street", "street2", "city", "zip", "email", "phone"),
            *("vat", "country_code"),
        )
        return [
            {
                name: False if value is None else value
                for name, value in zip(names, row, strict=True)
            }
            for row in rows
            if row[0] in ids
        ]

    def _read_account_move(self, conditions: list[Any], _: object) -> list[dict[str, Any]]:
        start = conditions[-1][2]
        rows = self.execute(
            "SELECT move.id, move.name, payment_state, amount_residual, currency.id, currency.name,"
            " partner_id, write_date FROM account_move AS move JOIN res_currency AS currency"
            " ON currency.id = move.currency_id WHERE write_date >= ? ORDER BY move.id",
            start,
        )
        return [
            {
                "id": id,
                "name": name,
                "payment_state": state,
                "amount_residual": float(amount),
                "currency_id": [currency, code],
                "partner_id": [partner, "…"],
                "write_date": written_at[:19],
            }
            for id, name, state, amount, currency, code, partner, written_at in rows
        ]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        odoo = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Answer a JSON-RPC call."""
                call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                parameters = call["params"]
                is_write = parameters["args"][4] == "create"
                if is_write and odoo.refuses_writes:
                    return
                answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"]}
                try:
                    answer["result"] = odoo.answer(parameters)
                except PermissionError:
                    name = "odoo.exceptions.AccessDenied"
                    answer["error"] = {"code": 200, "message": "Denied", "data": {"name": name}}
                if is_write and odoo.loses_answers:
                    return
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so named there
                """Write nothing to the terminal of the tests."""

        return Handler
