"""Workers that are killed while they handle a webhook, and the workers that take over."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from moorage import WebhookInbox
from moorage.contracts.payments import Charge, Money
from moorage.hub.inbox import EntryQuery, EntryState
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage_flask.database import Database
from moorage_flask.stores import inbox_in
from moorage_flask.tables import tables
from tests.embedding.flask.handling import hub_of

if TYPE_CHECKING:
    from collections.abc import Generator


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
    """A slow handler keeps its webhook; after a kill, another worker gets it within a lease.

    All times are read from the clock of the store.

    When that may be, and when it was, is judged by the clock of the store.
    """
    database, host_tables = Database(database_url), tables()
    database.create(host_tables.inbox.metadata, (host_tables.inbox, host_tables.lanes))
    store, vendor = inbox_in(database), StripeSandbox()
    lease = timedelta(seconds=store.shortest_lease)
    hub = hub_of(vendor)
    hub.payments().charge(
        Charge(Money("149.90", "EUR"), "tok_visa", reference="INV-1"), idempotency_key="INV-1"
    )
    id_ = WebhookInbox(hub, store).receive("stripe", **vendor.sent[-1].arguments()).id

    with worker(database_url, 3_600.0) as process:
        first = lease_end(process)
        with worker(database_url, 0.0) as other_process:
            while store.now() < first + 2 * lease:
                time.sleep(0.1)
            entry = store.find(EntryQuery(id=id_)).items[0]
            assert (EntryState.CLAIMED, 1) == (entry.state, entry.attempts)
            process.kill()
            process.wait()
            death_time = store.now()
            first_lease_end = store.find(EntryQuery(id=id_)).items[0].due
            assert first_lease_end is not None
            assert first < first_lease_end <= death_time + lease

            assert first_lease_end <= lease_end(other_process) - lease
            while (entry := store.find(EntryQuery(id=id_)).items[0]).state is EntryState.CLAIMED:
                time.sleep(0.1)
    assert (EntryState.DONE, 2) == (entry.state, entry.attempts)
    database.close()
