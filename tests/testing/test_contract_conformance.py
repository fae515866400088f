"""Vendors pass the kit that is derived from their contract; faulty vendors fail it."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from moorage import vendor_sdk as sdk
from moorage.contracts.catalog import CONTRACTS, contract
from moorage.contracts.sms import SmsCapability, SmsReceipt, SmsStatus
from moorage.testing import contract_conformance
from moorage.testing.kits.checks import name_of
from moorage.testing.kits.contract_conformance import (
    ContractSubject,
    require_declared_parameters,
)
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import reply
from moorage.vendors.sms.sinch import Sinch
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.contracts.vendor import Vendor

NOT_OVER_HTTP = {"fsspec", "local_files", "smtp"}
VENDORS = [
    pytest.param(kind, name, id=f"{kind}-{name}")
    for name in vendor_names()
    if name not in NOT_OVER_HTTP
    for kind in vendor_class(name).kinds
]
FIRST = [
    pytest.param(kind, name, id=f"{kind}-{name}")
    for kind in CONTRACTS
    for name in [next(name for name in vendor_names() if kind in vendor_class(name).kinds)]
]


def make_subject(contract: str, kind: type[Vendor], folder: Path, **fields: Any) -> ContractSubject:
    """Return a test subject whose vendor is connected to a new sandbox."""
    return ContractSubject(
        contract=contract, kind=kind, fixture=fixture_of(kind.name, folder), **fields
    )


@pytest.mark.parametrize("check", contract_conformance.CHECKS, ids=name_of)
@pytest.mark.parametrize("contract, name", VENDORS)
def test_every_vendor_conforms(
    contract: str, name: str, check: contract_conformance.Check, tmp_path: Path
) -> None:
    """Each vendor that is reached by HTTP passes the kit."""
    check(partial(make_subject, contract, vendor_class(name), tmp_path))


@pytest.mark.parametrize("check", contract_conformance.ASYNC_CHECKS, ids=name_of)
@pytest.mark.parametrize("contract, name", FIRST)
def test_a_vendor_of_each_contract_conforms_async(
    contract: str, name: str, check: contract_conformance.AsyncCheck, tmp_path: Path
) -> None:
    """A vendor of each contract passes the kit in asynchronous code."""
    asyncio.run(check(partial(make_subject, contract, vendor_class(name), tmp_path)))


def sinch(**changes: Any) -> type[Vendor]:
    """Return a faulty vendor class, made of Sinch's class with the given methods replaced."""
    return type("MistakenSinch", (Sinch,), {"__slots__": (), **changes})


async def get_with_other_parameters(_: Sinch, __: sdk.Wire) -> None:
    """Get a message, by a method whose parameters have other names than the contract's."""


async def get_with_a_keyword(_: Sinch, wire: sdk.Wire, *, ref: sdk.Ref) -> None:
    """Get a message, by a method with a keyword-only parameter that should be positional."""


def get_at_once(_: Sinch, __: sdk.Wire, ___: sdk.Ref) -> None:
    """Get a message, by a method that is not asynchronous although it should be."""


async def send_nothing(_: Sinch, __: sdk.Wire, ___: Any, /, *, key: str | None) -> Any:
    """Report a message as sent without having sent it."""
    return SmsReceipt(ref=sdk.Ref("sinch", "sinch", "1"), status=SmsStatus.SENT)


async def send_twice(vendor: Sinch, wire: sdk.Wire, message: Any, /, *, key: str | None) -> Any:
    """Send a message again if its response was lost."""
    try:
        return await Sinch.send.__get__(vendor, Sinch)(wire, message, key=key)
    except sdk.ConnectionFailed:
        request = Sinch.send.request(vendor, message)
        return await wire.send(request, key=None, parse=partial(read_anything, wire.ref))


def refuse_everything(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Report each failure as a rejection whose text contains the vendor's whole response."""
    return None if response.status < 300 else sdk.VendorRejected(response.text, status=400)


def read_anything(ref: sdk.MakeRef, _: sdk.Response) -> SmsReceipt:
    """Read any response as a success."""
    return SmsReceipt(ref=ref("1"), status=SmsStatus.SENT)


async def find_no_balance(_: Sinch, __: sdk.Wire) -> SimpleNamespace:
    """Return None instead of the account's balance."""
    return SimpleNamespace(amount=None)


def show_everything(vendor: Sinch) -> str:
    """Return a text that shows an account's secret."""
    return f"Sinch({vendor.credentials and vendor.credentials.reveal()})"


def fail_on_events(*_: object) -> Any:
    """Raise an error for a webhook that lacks optional data."""
    raise KeyError("id")


MISTAKES: dict[str, Callable[[], type[Vendor]]] = {
    "operations_have_the_declared_parameters": lambda: sinch(get=get_with_other_parameters),
    "stated_capabilities_work": lambda: sinch(
        capabilities=Sinch.capabilities | {SmsCapability.BALANCE}, check_balance=find_no_balance
    ),
    "basic_operations_work": lambda: sinch(send=sdk.post("/nowhere", reads=read_anything)),
    "usual_statuses_have_their_errors": lambda: sinch(refusals=staticmethod(refuse_everything)),
    "secrets_are_not_shown": lambda: sinch(__repr__=show_everything),
    "unreadable_answers_are_failures": lambda: sinch(
        send=sdk.post("/xms/v1/{service_plan_id}/batches", reads=read_anything)
    ),
    "lost_answers_are_not_repeated": lambda: sinch(send=send_nothing),
    "damaged_webhooks_are_no_errors": lambda: sinch(event_reading=staticmethod(fail_on_events)),
}
"""A mistake for each check that notices one."""


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_noticed(name: str, tmp_path: Path) -> None:
    """A vendor with one mistake fails the check that looks for this mistake."""
    (check,) = (check for check in contract_conformance.CHECKS if name_of(check) == name)

    with pytest.raises((AssertionError, KeyError, sdk.ConnectorError)):
        check(partial(make_subject, "sms", MISTAKES[name](), tmp_path))


def test_repeated_requests_are_noticed(tmp_path: Path) -> None:
    """A vendor that sends a message again after its response was lost fails the kit."""
    (check,) = (
        check
        for check in contract_conformance.CHECKS
        if name_of(check) == "lost_answers_are_not_repeated"
    )

    with pytest.raises((AssertionError, sdk.ConnectorError)):
        check(partial(make_subject, "sms", sinch(send=send_twice), tmp_path))


@pytest.mark.parametrize("method", [get_with_a_keyword, get_at_once])
def test_other_parameters_are_noticed(method: Callable[..., Any]) -> None:
    """A method with a wrong parameter kind, or one that is not asynchronous, fails the kit."""
    operation = contract("sms").operations()["get"]

    with pytest.raises(AssertionError):
        require_declared_parameters(sinch(get=method), operation)


def test_wrong_classes_of_refusals_are_noticed(tmp_path: Path) -> None:
    """A refusal that raises a wrong error class, or an error with a wrong code, fails the kit."""
    (check,) = (
        check
        for check in contract_conformance.CHECKS
        if name_of(check) == "refusals_have_their_errors"
    )
    answer = reply({"code": "syntax_invalid_json", "text": "This is not JSON."}, 400)
    for kind, code in (
        (sdk.AuthenticationFailed, "syntax_invalid_json"),
        (sdk.InvalidRequest, "x"),
    ):
        with pytest.raises(AssertionError):
            check(partial(make_subject, "sms", Sinch, tmp_path, refusals=((answer, kind, code),)))

    check(
        partial(
            make_subject,
            "sms",
            Sinch,
            tmp_path,
            refusals=((answer, sdk.InvalidRequest, "syntax_invalid_json"),),
        )
    )


def test_operations_of_other_contracts_are_unknown(tmp_path: Path) -> None:
    """The helper object for a contract's tests has methods for only that contract's operations."""
    harness = contract_conformance.DeclaredHarness.with_sync_hub(
        lambda: make_subject("sms", Sinch, tmp_path)
    )

    assert callable(harness.send)
    with pytest.raises(AttributeError):
        _ = harness.charge
