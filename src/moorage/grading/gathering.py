"""Gathers the evidence about a vendor, mostly by calling its sandbox."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.payments import Charge, Customer, Money
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.secrets.secret import Secret
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import ConfigurationError, ConnectorError
from moorage.exporting.recording import recorded_exchanges
from moorage.grading.evidence import Evidence, Outcome
from moorage.grading.sources import modules_of
from moorage.hub.hub import Hub
from moorage.runtime.flows import run_now
from moorage.testing.fakes.clock import VirtualClock, VirtualSleeper
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.wiring.installed_vendors import vendor_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.routes import Account
    from moorage.contracts.vendor import Vendor
    from moorage.testing.sandbox_scenarios.runner import Scenario
    from moorage.testing.sandboxes.base import Sandbox

_JSON: Final = {"Content-Type": "application/json"}
_UNREPEATABLE_METHODS: Final = frozenset({"PATCH", "POST"})
FAULTS: Final[Mapping[str, Response | Lost]] = {
    "401": Response(401, _JSON, b"{}"),
    "404": Response(404, _JSON, b"{}"),
    "422": Response(422, _JSON, b'{"message": "No."}'),
    "429": Response(429, {**_JSON, "Retry-After": "7"}, b"{}"),
    "503": Response(503, body=b"<html></html>"),
    "HTML answer": Response(200, _JSON, b"<html></html>"),
    "null answer": Response(200, _JSON, b"null"),
    "lost": Lost(),
}
"""The faults of the sandbox, each of which answers the first request of the main operation."""

AMOUNTS: Final = {
    "yen": Money("1234", "JPY"),
    "dinar": Money("1.234", "KWD"),
    "huge": Money("123456.78", "EUR"),
}
"""The amounts that are charged."""

ECHO: Final = "echo"
"""The fault of a refusal that repeats the account's secrets."""

_DAMAGED_ANSWERS: Final[tuple[Any, ...]] = (
    {},
    {"type": 7},
    {"data": []},
    {"id": None, "status": {}},
)
_BODY: Final = b'{"id": "1", "type": "paid", "data": {"object": {"id": "1"}}}'
_WEBHOOK_SECRET: Final = "secret-of-a-webhook"  # noqa: S105 - a made-up secret


def evidence_of(name: str) -> Evidence:
    """Gather and return the evidence about a vendor.

    Raises:
        ConfigurationError: there is no such vendor, or its module cannot be imported.
    """
    vendor = vendor_class(name)
    modules = modules_of(vendor)
    with TemporaryDirectory() as folder:
        try:
            fixture = fixture_of(name, Path(folder))
        except ConfigurationError:
            return Evidence(name=name, vendor=vendor, modules=modules)
        try:
            account = fixture.account(vendor, webhook_secret=_WEBHOOK_SECRET)
            evidence = Evidence(
                name=name,
                vendor=vendor,
                account=account.vendor,
                services=account.vendor.services(),
                ping=account.vendor.ping(),
                modules=modules,
                has_sandbox=fixture.sandbox is not None,
                secrets=_secrets_of(account.vendor),
                unsigned_events=_unsigned_events(account),
                events=_damaged_events(account.vendor),
            )
        finally:
            fixture.close()
    if not evidence.has_sandbox:
        return evidence
    return attrs.evolve(
        evidence,
        exchanges=tuple(recorded_exchanges(name)),
        capabilities=_capabilities(vendor, name, is_supported=True),
        missing=_capabilities(vendor, name, is_supported=False),
        faults=_faults(vendor, name, evidence.secrets),
        usual_requests=_main_outcome(vendor, name).requests,
        amounts=_amounts(name) if "payments" in vendor.kinds else {},
    )


def outcome_of(name: str, contract: str, scenario: Scenario, fault: object = None) -> Outcome:
    """Run a scenario at a new sandbox, and return its outcome.

    Args:
        name: the vendor.
        contract: the contract of the scenario.
        scenario: the operation to perform.
        fault: the fault that the sandbox shows at the first request; None for no fault.
    """
    return _outcome(name, contract, scenario, fault, is_supported=True)


def _outcome(
    name: str, contract: str, scenario: Scenario, fault: Any = None, *, is_supported: bool
) -> Outcome:
    with TemporaryDirectory() as folder:
        fixture = fixture_of(name, Path(folder))
        sandbox = cast("Sandbox", fixture.sandbox)
        if fault is not None:
            sandbox.fail(fault)
        # Sandboxes that check a request's time use the real time.
        clock = VirtualClock(datetime.now(UTC))
        error: Exception | None = None
        result: Any = None
        with Hub(
            [fixture.account(vendor_class(name), webhook_secret=_WEBHOOK_SECRET)],
            http=SandboxHttpClient(sandbox),
            clock=clock,
            sleeper=VirtualSleeper(clock),
            credentials=MemoryCredentialProvider(),
        ) as hub:
            vendor = ScenarioVendor(
                operations=getattr(hub, contract)(),
                fixture=fixture,
                name=name,
                is_supported=is_supported,
            )
            try:
                result = run_now(_perform_scenario(scenario, vendor))
            except Exception as raised_error:  # noqa: BLE001 - any error is an outcome
                error = raised_error
        fixture.close()
        return Outcome(
            error=error,
            result=result,
            requests=len(sandbox.requests),
            effects=sum(request.method in _UNREPEATABLE_METHODS for request in sandbox.requests),
            bodies="\n".join(
                f"{request.path} {request.body.decode(errors='replace')}"
                for request in sandbox.requests
            ),
        )


async def _perform_scenario(scenario: Scenario, vendor: ScenarioVendor) -> Any:
    return await scenario(vendor)


def _capabilities(vendor: type[Vendor], name: str, *, is_supported: bool) -> dict[str, Outcome]:
    return {
        capability: _outcome(name, contract, scenario, is_supported=is_supported)
        for contract in vendor.kinds
        for capability, scenario in BY_CAPABILITY.get(contract, {}).items()
        if (capability in vendor.capabilities) is is_supported
    }


def _faults(vendor: type[Vendor], name: str, secrets: tuple[str, ...]) -> dict[str, Outcome]:
    text = json.dumps({"message": " ".join(secrets), "error": {"message": " ".join(secrets)}})
    echo_response = Response(400, _JSON, text.encode())
    return {
        fault: _main_outcome(vendor, name, answer)
        for fault, answer in {**FAULTS, ECHO: echo_response}.items()
    }


def _main_outcome(vendor: type[Vendor], name: str, fault: object = None) -> Outcome:
    """Run the first scenario of a vendor's first contract at a new sandbox."""
    contract = vendor.kinds[0]
    return outcome_of(name, contract, next(iter(BASIC[contract].values())), fault)


def _amounts(name: str) -> dict[str, Outcome]:
    return {
        label: outcome_of(name, "payments", _charging_scenario(amount))
        for label, amount in AMOUNTS.items()
    }


def _charging_scenario(amount: Money) -> Scenario:
    async def charge(vendor: ScenarioVendor) -> Any:
        request = Charge(
            amount, vendor.fixture.token, reference="INV-1", customer=Customer(id="ada-1")
        )
        return await vendor("charge", request, idempotency_key="1")

    return charge


def _secrets_of(vendor: Vendor) -> tuple[str, ...]:
    kind: Any = type(vendor)
    values = (getattr(vendor, field.name) for field in attrs.fields(kind))
    texts = (value.reveal() for value in values if isinstance(value, Secret))
    return tuple(text for text in texts if not text.startswith("{"))


def _unsigned_events(account: Account) -> int:
    """Return the number of events that an account accepts from an unsigned webhook."""
    if account.vendor.webhook is None:
        return 0
    with Hub([account]) as hub, suppress(ConnectorError):
        verifier = hub.webhooks(account.name)
        return len(verifier.verify(headers={}, body=_BODY, url="https://erp.example/hooks"))
    return 0


def _damaged_events(vendor: Vendor) -> Exception | None:
    def ref(id: str, /, **_: str | None) -> Ref:
        return Ref(vendor.name, vendor.name, id)

    def read() -> None:
        for data in _DAMAGED_ANSWERS:
            event = WebhookEvent(
                vendor=vendor.webhook or vendor.name,
                id="1",
                type="another",
                vendor_type="another",
                data=data,
                payload=data,
            )
            vendor.events(event, ref)

    try:
        read()
    except Exception as error:  # noqa: BLE001 - any error is evidence
        return error
    return None
