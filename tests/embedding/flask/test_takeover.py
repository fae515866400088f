"""Workers that are killed while they handle a webhook, and the workers that take over."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from moorage import WebhookInbox
from moorage.contracts.payments import Charge, Money
from moorage.hub.inbox import EntryQuery, EntryState
from moorage.testing.kits.checks import retrying_check
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage_flask.database import Database
from moorage_flask.stores import inbox_in
from moorage_flask.tables import tables
from tests.embedding.flask.handling import hub_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.hub.inbox import InboxEntry


@contextmanager
def worker(url: str, seconds: float) -> Generator[subprocess.Popen[str]]:
    """Run a process that handles each webhook for this many seconds."""
    command = [sys.executable, "-m", "tests.embedding.flask.handling", url, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def lease_end(process: subprocess.Popen[str]) -> datetime:
    """Wait until a worker has claimed the webhook, and return the end of its lease."""
    assert process.stdout is not None
    return datetime.fromisoformat(process.stdout.readline().strip())


def test_killed_worker_is_replaced_within_a_lease(database_url: str) -> None:
    """A slow handler keeps its webhook; a killed worker's webhook is soon taken over.

    If the handler's process is killed, another worker claims the webhook within a lease.

    All times are read from the clock of the store. If a busy machine suspends the slow handler for
    longer than a lease, another worker gets the webhook, so the test starts again.
    """
    database, host_tables = Database(database_url), tables()
    database.create(host_tables.inbox.metadata, (host_tables.inbox, host_tables.lanes))
    asyncio.run(retrying_check(replace_killed_worker)(database_url, database))
    database.close()


async def replace_killed_worker(database_url: str, database: Database) -> None:
    """Kill a worker after two leases, and check when another worker claims the webhook."""
    store, vendor = inbox_in(database), StripeSandbox()
    store.remove(EntryQuery())
    lease = timedelta(seconds=store.shortest_lease)
    hub = hub_of(vendor)
    hub.payments().charge(
        Charge(Money("149.90", "EUR"), "tok_visa", reference="INV-1"), idempotency_key="INV-1"
    )
    id_ = WebhookInbox(hub, store).receive("stripe", **vendor.sent[-1].arguments()).id

    def stored_entry() -> InboxEntry:
        return store.find(EntryQuery(id=id_)).items[0]

    with worker(database_url, 3_600.0) as process:
        first = lease_end(process)
        with worker(database_url, 0.0) as other_process:
            wait_until(lambda: store.now() >= first + 2 * lease, "the time of two leases")
            entry = stored_entry()
            assert (EntryState.CLAIMED, 1) == (entry.state, entry.attempts)
            process.kill()
            process.wait()
            death_time = store.now()
            first_lease_end = stored_entry().due
            assert first_lease_end is not None
            assert first < first_lease_end <= death_time + lease

            assert first_lease_end <= lease_end(other_process) - lease
            wait_until(lambda: stored_entry().state is not EntryState.CLAIMED, "the replacement")
    entry = stored_entry()
    assert (EntryState.DONE, 2) == (entry.state, entry.attempts)
