"""A running ERP, its vendors, and access to its database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from local_vendors.erp import EXAMPLES, Erp
from local_vendors.sandboxes import VendorSandboxes

from tests.embedding.erps.buyer import Buyer
from tests.support.machine_speed import slowness
from tests.support.ports import free_port
from tests.support.servers import postgres_url

if TYPE_CHECKING:
    from collections.abc import Generator

_TENANTS: Final = """
[tenants.amnesia.payments]
vendor = "amnesia"
[vendors.amnesia]  # says that it knows no keys, and knows none
kind = "stripe"
base_url = "${{STRIPE_URL}}"
credentials = "secret://env/STRIPE_KEY"
idempotency_memory = 0.001
timeout = {amnesia}
retry = {{ max_attempts = 1 }}

[tenants.hasty.payments]
vendor = "hasty"
[vendors.hasty]  # the same, with less patience
kind = "stripe"
base_url = "${{STRIPE_URL}}"
credentials = "secret://env/STRIPE_KEY"
idempotency_memory = 0.001
timeout = {hasty}
retry = {{ max_attempts = 1 }}

[tenants.brisk.payments]
vendor = "brisk"
[vendors.brisk]  # knows keys
kind = "stripe"
base_url = "${{STRIPE_URL}}"
credentials = "secret://env/STRIPE_KEY"
webhook_secrets = ["secret://env/STRIPE_WEBHOOK_SECRET"]
timeout = {brisk}
retry = {{ max_attempts = 1 }}
"""
ATTEMPTS: Final = {"django": "books_attempt", "flask": "attempt"}
BANK_LINES: Final = {"django": "books_bankline", "flask": "bank_line"}


def seed() -> dict[str, Any]:
    """Return the data for a new ERP's database, such as companies, customers and invoices."""
    fields: dict[str, Any] = json.loads((EXAMPLES / "erp_pages" / "seed.json").read_text())
    model, customer = fields["companies"][0], fields["customers"][0]
    for slug in ("amnesia", "hasty", "brisk"):
        mail = f"{slug}@example.com"
        fields["companies"].append({**model, "slug": slug, "email": f"shop-{mail}"})
        fields["customers"].append({**customer, "company": slug, "email": mail})
        fields["means"].append({"account": slug, "token": "pm_card_visa", "label": "Visa"})
        fields["invoices"] += [
            {"number": f"{slug}-{number}", "customer": mail, "title": "A lamp", "amount": "10.00"}
            for number in range(1, 5)
        ]
    fields["invoices"] += [
        {
            "number": f"A-{number}",
            "customer": "ada@example.com",
            "title": "A bulb",
            "amount": "9.00",
        }
        for number in range(1005, 1010)
    ]
    slow_bank = {"token": "pm_usBankAccount_success", "label": "A slow bank"}
    fields["means"].append({"account": "stripe", **slow_bank})
    return fields


class RunningErp:
    """A demo ERP and its vendors, as running processes.

    Attributes:
        name: name of the ERP.
        vendors: the sandboxes of its vendors.
        erp: its processes.
        buyer: the browser of a buyer.
        patience: seconds that a tenant waits for an answer about a payment, by the tenant's name.
        lease: seconds for which only the first caller may act on a payment of the tenant `brisk`.
    """

    def __init__(self, name: str, folder: Path, database: str | None = None) -> None:
        self.name = name
        self.configuration = folder / "tenants.toml"
        custom_path = EXAMPLES / f"{name}_erp" / "moorage.toml"
        seconds_per_call = slowness()
        self.patience = {
            "amnesia": 10.0 * seconds_per_call,
            "hasty": 2.0 * seconds_per_call,
            "brisk": 3.0 * seconds_per_call,
        }
        self.lease = self.patience["brisk"] + 5.0
        tenants = _TENANTS.format_map(self.patience)
        self.configuration.write_text(custom_path.read_text() + tenants)
        (folder / "seed.json").write_text(json.dumps(seed()))
        self.erp = Erp(
            name,
            folder,
            port=free_port(),
            database=database,
            configuration=self.configuration,
            seed=folder / "seed.json",
        )
        self.vendors = VendorSandboxes(self.erp.webhooks)
        self.buyer = Buyer(self.erp.url)

    @property
    def charged(self) -> int:
        """Return how often the vendor took money, whether or not it honours idempotency keys."""
        return len(self.vendors.stripe.charges)

    @property
    def mailed(self) -> list[str]:
        """Return the subjects of all emails that were sent."""
        return [message.subject for message in self.vendors.postmark.delivered]

    def route(self, tenant: str, before: str, after: str) -> None:
        """Route a tenant's payments to another vendor by changing one line of the configuration."""
        line = f'[tenants.{tenant}.payments]\nvendor = "{{}}"'
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace(line.format(before), line.format(after)))

    def run_worker(self) -> None:
        """Run the ERP's deferred work once, such as the delivery of its outbox."""
        self.erp.run_worker(self.vendors)

    def replay(self) -> int:
        """Handle all failed webhooks again and return their number."""
        return int(self.run("replaying.py"))

    def run(self, program: str) -> str:
        """Run a program on the ERP's database, and return its output."""
        path = Path(__file__).with_name(program)
        return self.erp.output(self.vendors, str(path), self.name)

    def change(self, *commands: str) -> None:
        """Change a row of the ERP's database directly."""
        url = urlsplit(self.erp.database)
        if url.scheme == "sqlite":
            with closing(sqlite3.connect(url.path[1:], timeout=20)) as file, file:
                for command in commands:
                    file.execute(command)
            return
        with psycopg.connect(self.erp.database) as server:
            for command in commands:
                server.execute(command.encode())

    def close_connections(self) -> None:
        """Make the database server close all connections; do nothing for a SQLite file."""
        if not self.erp.database.startswith("sqlite"):
            self.change(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    @contextmanager
    def reject_payments(self) -> Generator[None]:
        """Make the database reject every payment record."""
        table = ATTEMPTS[self.name]
        if self.erp.database.startswith("sqlite"):
            refuse = "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            trigger_statements = [
                f"CREATE TRIGGER full BEFORE UPDATE ON {table} WHEN NEW.state='paid' {refuse}"
            ]
            room = ["DROP TRIGGER full"]
        else:
            refuse = "BEGIN RAISE EXCEPTION 'the disk is full'; END"
            trigger_clause = "FOR EACH ROW WHEN (NEW.state = 'paid') EXECUTE FUNCTION refuse()"
            trigger_statements = [
                f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $${refuse}$$",
                f"CREATE TRIGGER full_disk BEFORE UPDATE ON {table} {trigger_clause}",
            ]
            room = [f"DROP TRIGGER full_disk ON {table}", "DROP FUNCTION refuse"]
        self.change(*trigger_statements)
        try:
            yield
        finally:
            self.change(*room)


@contextmanager
def running_erp(
    name: str, folder: Path, *, postgresql: bool = False, kind: str = "wsgi"
) -> Generator[RunningErp]:
    """Run an ERP with a fresh database."""
    with database(postgresql=postgresql) as url:
        erp = RunningErp(name, folder, url)
        with erp.vendors:
            erp.erp.set_up(erp.vendors)
            try:
                erp.erp.serve(erp.vendors, kind)
                yield erp
            finally:
                erp.erp.stop()


@contextmanager
def database(*, postgresql: bool) -> Generator[str | None]:
    """Create a fresh PostgreSQL database, or yield None for a SQLite file."""
    if not postgresql:
        yield None
        return
    name, server = f"erp_{uuid4().hex[:12]}", postgres_url()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
