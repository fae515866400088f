"""Rare errors, such as those for misspelt names and unusable routes."""

from __future__ import annotations

from typing import Any

import pytest

import moorage.config
from moorage import Account, ConfigurationError, CopiedStore, InvalidData, UnsupportedByVendor
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.hub_configuration import path_of
from moorage.contracts.routes import Route
from moorage.hub.hub_runtime import _routes_of
from moorage.runtime.flows import run_now
from moorage.services.environment_guard import EnvironmentGuard
from moorage.testing.sandbox_scenarios import storage as scenarios
from moorage.vendors.email.sendgrid import SendGrid
from moorage.wiring.core_assembly import sync_core
from moorage.wiring.installed_vendors import vendor_class
from moorage.wiring.ports import Ports
from tests.support.command import command

MAIL = SendGrid(credentials="k")
ACME: Any = ["acme"]


def test_missing_command_is_reported_as_json() -> None:
    """With --json, running the program without a command prints the error as JSON."""
    result = command("--json")

    assert 2 == result.code
    assert "The command is missing" in result.out + result.err


def test_module_has_no_other_names() -> None:
    """Modules with lazy imports raise an error for misspelt names."""
    with pytest.raises(AttributeError, match="nonsense"):
        _ = moorage.config.nonsense


def test_general_account_for_one_tenant_has_general_path() -> None:
    """An account's path contains a tenant only if the account belongs to the tenant."""
    assert "vendors.main" == path_of(Account("main", MAIL, tenants=ACME))
    assert "tenants.acme.vendors.main" == path_of(Account("acme.main", MAIL, tenants=ACME))


def test_routes_of_other_accounts_are_dropped() -> None:
    """Unknown accounts are removed from a route, and a route without known accounts is dropped."""
    routes = [Route("email", ["a", "b"]), Route("email", ["c"])]

    assert [Route("email", ["a"])] == list(_routes_of(routes, {"a": Account("a", MAIL)}))


def test_environment_without_a_name() -> None:
    """An environment without a name cannot be rearmed, nor use the store of another."""
    core = sync_core(Ports(state=MemoryStorage())).core
    run_now(EnvironmentGuard(core, "production").check())
    guard = EnvironmentGuard(core, None)

    with pytest.raises(InvalidData, match="environment_id"):
        run_now(guard.rearm())
    with pytest.raises(CopiedStore):
        run_now(guard.check())


@pytest.mark.parametrize(
    "name, message", [("sendgird", "Did you mean 'sendgrid'"), ("x", "Use one")]
)
def test_unknown_vendor_is_refused(name: str, message: str) -> None:
    """An unknown vendor is refused, and the error suggests the nearest name."""
    with pytest.raises(ConfigurationError, match=message):
        vendor_class(name)


@pytest.mark.parametrize("use", [scenarios.download_part, scenarios.copy])
def test_missing_capability_is_refused_first(use: Any) -> None:
    """An operation that the vendor does not support is refused before anything else is done."""
    requests = []

    class UnsupportingWire:
        is_supported = False

        async def __call__(self, verb: str, *_: Any, **__: Any) -> Any:
            requests.append(verb)
            raise UnsupportedByVendor("not here.")

    at: Any = UnsupportingWire()
    with pytest.raises(UnsupportedByVendor):
        run_now(use(at))
    assert requests != ["upload"]
    assert 1 == len(requests)
