"""`moorage check` and `moorage vendors`: reports without sending anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage.config.toml_text import write_toml
from moorage.testing import VendorServer
from moorage.wiring.installed_vendors import vendor_class, vendor_names
from tests.support.command import command
from tests.support.configured import STORES, configure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FULL_CONFIGURATION = """
[state]
url = "{state}"
[payments]
vendor = ["stripe", "adyen"]
currencies = ["EUR"]
[vendors.stripe]
credentials = "sk_test_hunter2"
volatile_keys = true
[vendors.adyen]
credentials = "hunter2"
merchant_account = "ACME"
volatile_keys = true
[tenants.acme-fr.email]
vendor = "resend"
[tenants.acme-fr.vendors.resend]
credentials = "hunter2"
sender = "a@example.com"
[services.vat]
base_url = "{url}"
limits = {{ rate = 5 }}
"""


@pytest.mark.parametrize("kind", STORES)
def test_check_lists_accounts_routes_services_and_stores(kind: str) -> None:
    """`moorage check` lists accounts, routes, services, client and store, and sends nothing."""
    command("housekeep", STORES[kind](), "--migrate")
    with VendorServer() as vendor:
        configure(FULL_CONFIGURATION.format(state=STORES[kind](), url=vendor.url))
        people = command("check")
        result = command("check", "--json")
        assert () == vendor.requests

    assert (0, 0, "") == (people.code, result.code, people.err)
    assert {"kind": kind, "reachable": True, "problem": None} == result.result["store"]
    assert {"stripe", "adyen", "acme-fr.resend"} == {
        account["account"] for account in result.result["accounts"]
    }
    assert [["acme-fr"]] == [
        account["tenants"] for account in result.result["accounts"] if account["tenants"]
    ]
    assert [["EUR"], []] == [route["only for"] for route in result.result["routes"]]
    (vat,) = (service for service in result.result["services"] if service["service"] == "vat")
    assert (None, ["retry", "circuit", "limits"]) == (vat["credentials"], vat["protected by"])
    for word in ("StdlibHttpClient", "reachable", "stripe", "acme-fr.resend", "EUR", "vat"):
        assert word in people.out
    assert "hunter2" not in people.out + result.out


_KEYS = f"1:{'A' * 43}="
_UNREACHABLE: dict[str, dict[str, Any]] = {
    "state": {"url": "redis://:hunter2@127.0.0.1:1/0"},
    "log": {"url": "postgresql://erp:hunter2@127.0.0.1:1/erp"},
    "metrics": {"url": "mysql://erp:hunter2@127.0.0.1:1/erp"},
    "audit": {"url": "postgresql://erp:hunter2@127.0.0.1:1/erp"},
    "tenants_from": {"url": "mariadb://erp:hunter2@127.0.0.1:1/erp", "keys": _KEYS},
    "credentials_from": {"url": "postgresql://erp:hunter2@127.0.0.1:1/erp", "keys": _KEYS},
}


@pytest.mark.parametrize("table", _UNREACHABLE)
def test_unreachable_store_is_reported(table: str) -> None:
    """`moorage check` reports an unreachable store with its own exit code."""
    tables = {table: _UNREACHABLE[table]}
    configure(write_toml(tables))
    moorage.open(tables).close()
    people, result = command("check"), command("check", "--json")

    assert (4, 4, "") == (people.code, result.code, people.err)
    assert "is valid, but these stores cannot be used now:" in people.out
    assert "is valid." not in people.out
    (problem,) = result.result["unusable"]
    assert f"{table}.url" == problem["path"]
    assert "127.0.0.1:1" in problem["found"]
    assert problem["remedy"]
    assert f"{table}.url: {problem['found']} {problem['remedy']}" in people.out
    assert (table != "state") == result.result["store"]["reachable"]
    assert "hunter2" not in people.out + result.out


def test_all_unreachable_stores_are_reported_at_once() -> None:
    """`moorage check` lists all unreachable stores; with a mistake, the exit code is 2, not 4."""
    configure(write_toml(_UNREACHABLE))
    result = command("check", "--json")
    configure(write_toml({**_UNREACHABLE, "environments": {"a": {}, "b": {"http": 7}}}))
    everywhere = command("check", "--all-environments", "--json")

    assert [f"{table}.url" for table in _UNREACHABLE] == [
        problem["path"] for problem in result.result["unusable"]
    ]
    assert (4, 2) == (result.code, everywhere.code)


def test_stores_that_can_be_used_are_not_reported(tmp_path: Path) -> None:
    """`moorage check` accepts SQLite stores whose files do not exist, without creating them."""
    tables: dict[str, Any] = {
        name: {"url": f"sqlite:///{tmp_path}/{name}.db"} for name in ("log", "metrics", "audit")
    }
    tables["credentials_from"] = {"url": "environment:"}
    configure(write_toml(tables))

    assert 0 == command("check").code
    assert not [*tmp_path.glob("*.db")]
    for name in ("log", "metrics", "audit"):
        (tmp_path / f"{name}.db").write_bytes(b"no database at all, only words" * 100)
    result = command("check", "--json")
    assert ["log.url", "metrics.url", "audit.url"] == [
        problem["path"] for problem in result.result["unusable"]
    ]


@pytest.mark.parametrize("keys", ["", 'keys_url = "sqlite:///keys.db"\n'])
def test_store_of_another_environment_is_reported(tmp_path: Path, keys: str) -> None:
    """If a store belongs to another environment, all calls are refused, and `check` reports it."""
    text = f'[state]\nurl = "sqlite:///{tmp_path}/a.db"\n{keys}environment_id = "{{}}"\n'
    configure(text.format("live"))
    assert 0 == command("check").code
    assert 0 == command("rearm").code
    configure(text.format("test"))
    result = command("check", "--json")

    (problem,) = result.result["unusable"]
    assert (4, "state.environment_id") == (result.code, problem["path"])
    assert "belongs to the environment 'live'" in problem["found"]
    assert 4 == command("check").code
    assert 0 == command("rearm").code
    assert 0 == command("check").code


def test_default_store_is_not_checked_beside_a_store_of_keys(tmp_path: Path) -> None:
    """If payments have their own key store, the hub and `check` need no default file."""
    configure(f"""
[state]
keys_url = "sqlite:///{tmp_path}/keys.db"
[services.bank]
moves_money = true
""")

    result = command("check", "--json")

    assert (0, []) == (result.code, result.result["unusable"])
    assert "the memory of each process" == result.result["store"]["kind"]
    assert 0 == command("housekeep").code


def test_empty_configuration_is_valid() -> None:
    """An empty configuration is valid; the report says that processes do not share circuits."""
    configure("")

    assert "the memory of each process" in command("check").out


def test_mistakes_are_reported_with_path_and_remedy() -> None:
    """`moorage check` reports the path, cause and remedy of each mistake, as text and as JSON."""
    configure('[vendors.stripe]\ntimeuot = 5\n[email]\nvendor = "nobody"\n')
    people, result = command("check"), command("check", "--json")

    assert (2, 2) == (people.code, result.code)
    assert "vendors.stripe.timeuot" in people.err
    assert "vendors.stripe.timeuot" in [
        problem["path"] for problem in result.document["error"]["problems"]
    ]
    assert "timeout" in people.err


@pytest.mark.parametrize(
    "text, path",
    [
        ('[state]\nurl = "memory:"\n[vendors.stripe]\ncredentials = "sk"\n', "vendors.stripe.mo"),
        ('[email]\nvendor = "nobody"\n', "email"),
    ],
)
def test_mistakes_between_sections_are_refused(text: str, path: str) -> None:
    """Mistakes in the combination of several configuration sections are also reported."""
    configure(text)

    assert (2, True) == (command("check").code, path in command("check").err)


def test_vendors_are_listed() -> None:
    """`moorage vendors` prints a line for every installed vendor."""
    people, result = command("vendors"), command("vendors", "--json")

    assert list(vendor_names()) == [vendor["name"] for vendor in result.result["vendors"]]
    for name in vendor_names():
        assert f"{name} " in people.out


@pytest.mark.parametrize("name", ["stripe", "smtp", "paypal"])
def test_vendor_lists_contracts_capabilities_and_options(name: str) -> None:
    """`moorage vendors` lists each vendor's contracts, capabilities and options."""
    kind = vendor_class(name)
    people, result = command("vendors", name), command("vendors", name, "--json")

    assert sorted(kind.capabilities) == result.result["capabilities"]
    assert list(kind.kinds) == result.result["kinds"]
    for option in result.result["options"]:
        assert option["name"] in people.out


@pytest.mark.parametrize("make", STORES.values(), ids=STORES)
def test_housekeep_uses_the_configured_store(make: Callable[[], str]) -> None:
    """Without a URL, `moorage housekeep` uses the store of the configuration."""
    configure(f'[state]\nurl = "{make()}"\n')
    result = command("housekeep", "--migrate", "--json")

    assert 0 == result.code
    assert result.result["forgotten"] >= 0


def test_housekeep_without_a_store_is_refused() -> None:
    """`moorage housekeep` without a configured store is refused."""
    configure("")

    assert (2, True) == (command("housekeep").code, "state.url" in command("housekeep").err)
