"""`moorage health`, and the `[health]` table of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, HealthSignals, Hub, Outbox, Request, Service, WebhookInbox
from moorage.adapters.entries.memory import MemoryInbox, MemoryOutbox
from moorage.adapters.entries.sqlite import SqliteInbox, SqliteOutbox
from moorage.adapters.observers.standard_logging import LoggingObserver
from moorage.cli.host import Host
from moorage.testing import VendorServer
from tests.support.command import command
from tests.support.configured import configure

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURATION = """
[state]
url = "sqlite:///state.db"
[services.vat]
base_url = "{url}"
[health]
required = "vat"
longest_wait = 5
expires = {{ "key of the bank" = 2001-01-01T00:00:00Z }}
[[health.probes]]
service = "vat"
request = "/health"
every = 30
"""


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """Start a fake vendor, and write a configuration that names it."""
    with VendorServer() as server:
        configure(CONFIGURATION.format(url=server.url))
        command("housekeep", "sqlite:///state.db", "--migrate")
        yield server


def test_troubles_are_shown_with_remedies(vendor: VendorServer) -> None:
    """`moorage health` shows each problem with a remedy, and exits with 1."""
    result = command("health")

    assert 1 == result.code
    assert "The key of the bank expired on 2001-01-01.  Replace it." in result.out
    assert "The integrations are degraded." in result.out
    assert () == vendor.requests


def test_probes_are_made_on_request(vendor: VendorServer) -> None:
    """`moorage health --probe` first runs the configured probes."""
    vendor.respond(503)
    result = command("health", "--probe", "--json").result

    assert ["/health"] == [request.path for request in vendor.requests]
    assert "probe_failed" == result["services"][0]["reasons"][0]["concern"]


def test_healthy_program_exits_with_0() -> None:
    """`moorage health` exits with 0 if everything is healthy."""
    configure('[services.vat]\nbase_url = "http://127.0.0.1:9"\n[services.vat.circuit]\n')
    result = command("health")

    assert 0 == result.code
    assert "vat   healthy" in result.out
    assert "The integrations are healthy." in result.out


def test_health_without_services_prints_no_table() -> None:
    """`moorage health` prints no table if there are no services."""
    configure("version = 1\n")

    assert "The integrations are healthy." == command("health").out.strip()


def test_regions_have_rows_of_their_own() -> None:
    """`moorage health` prints a row for each region, with the region's name."""
    configure(
        "[services.vat]\nregions = [{name = 'eu', base_url = 'http://127.0.0.1:9'},"
        " {name = 'us', base_url = 'http://127.0.0.1:9'}]\n"
    )

    assert "vat (eu)" in command("health").out


def test_health_reports_dead_letters() -> None:
    """`moorage health` reports dead letters in the outbox and inbox."""
    configure(
        '[services.shop]\nbase_url = "http://127.0.0.1:9"\n[services.shop.retry]\npreset = "none"\n'
    )
    stores: list[Any] = [SqliteOutbox("calls.db"), SqliteInbox("webhooks.db")]
    for store in stores:
        store.migrate()
    outbox = Outbox(stores[0], retry=moorage.RetryPolicy.none())
    outbox.put_request("shop", Request.post("/orders", json={}))
    with Hub([], services=[Service("shop", "http://127.0.0.1:9", retry=None)]) as hub:
        outbox.deliver(hub)
    for store in stores:
        store.close()
    result = command("health", "--outbox=sqlite:///calls.db", "--inbox=sqlite:///webhooks.db")

    assert "1 entry of the outbox was given up." in result.out
    assert 1 == result.code


def test_health_checks_the_queues_of_an_embedding_program() -> None:
    """`moorage health` checks the queues of an embedding program without a configuration."""
    with Hub([]) as hub:
        stores = {"outbox": Outbox(MemoryOutbox()), "inbox": WebhookInbox(hub, MemoryInbox())}
        host = Host(source={"version": 1}, stores=lambda: stores)

        assert 0 == command("health", host=host).code


def test_hub_has_the_settings_and_signals(vendor: VendorServer) -> None:
    """A hub with a `[health]` table uses its settings, and observes signals of health."""
    path = Path("moorage.toml")
    path.write_text(path.read_text() + "[observers]\nlogging = true\n")
    with moorage.open(path) as hub:
        observers = hub.manager._ports.observers  # noqa: SLF001 - nobody else can tell
        assert [LoggingObserver, HealthSignals] == [type(observer) for observer in observers]
        assert hub.health_settings is not None
        assert (5.0, ("vat",)) == (
            hub.health_settings.policy.longest_wait,
            hub.health_settings.policy.required,
        )
    with moorage.open(path, observers=[print]) as hub:
        assert (print,) == hub.manager._ports.observers  # noqa: SLF001 - nobody else can tell


@pytest.mark.parametrize(
    "table, path",
    [
        ("[health]\noverdue_after = 0\n", "health.overdue_after"),
        ("[[health.probes]]\nservice = 'vat'\njitter = 2\n", "health.probes"),
        ("[[health.probes]]\nrequest = '/'\n", "health.probes"),
    ],
)
def test_wrong_settings_are_named(table: str, path: str) -> None:
    """A wrong setting in `[health]` is refused with its path."""
    configure(table)
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open("moorage.toml")
    assert any((problem.path or "").startswith(path) for problem in excinfo.value.problems)
