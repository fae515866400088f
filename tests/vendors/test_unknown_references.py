"""All vendors of a contract report an unknown object in the same way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

import moorage
from moorage.adapters.credentials.memory import AsyncMemoryCredentialProvider
from moorage.contracts.catalog import CONTRACTS
from moorage.contracts.ref import Ref
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    ConsentRequired,
    InvalidRequest,
    VendorRejected,
)
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from pathlib import Path

# Repeats lines that other tests cover individually.
pytestmark = pytest.mark.untraced

SUCCESS: Final = "success"
RESULTS: Final[dict[tuple[str, str], object]] = {
    # An object that does not exist need not be removed.
    ("bank", "revoke_consent"): SUCCESS,
    ("calendars", "cancel"): SUCCESS,
    ("chat", "delete"): SUCCESS,
    ("people", "delete"): SUCCESS,
    ("storage", "abort_upload"): SUCCESS,
    # The owner can be asked for consent again.
    ("bank", "accounts"): ConsentRequired,
    ("bank", "finish_consent"): ConsentRequired,
    ("bank", "get_consent"): ConsentRequired,
    # A verification that the vendor does not know has ended.
    ("sms", "check_verification"): SUCCESS,
}
"""Results of operations on an unknown object; of all others it is `VendorRejected`."""
DIFFERENCES: Final[dict[tuple[str, str], object]] = {
    # These vendors send the same response for an unknown object and for a removed one.
    ("authorize_net", "remove_means"): SUCCESS,
    ("braintree", "remove_means"): SUCCESS,
    ("dhl_parcel", "cancel"): SUCCESS,
    ("paystack", "remove_means"): SUCCESS,
    ("royalmail", "cancel"): SUCCESS,
    # These vendors do not report that the object is unknown.
    ("adyen", "accept_dispute"): AuthenticationFailed,
    ("fedex", "track_shipment"): SUCCESS,
    ("storecove", "get"): SUCCESS,
    ("stripe", "payout_items"): SUCCESS,
    ("xero", "create_invoice"): InvalidRequest,
    # The related ids in these references name the object.
    ("mandrill", "cancel"): SUCCESS,
    ("mandrill", "get"): SUCCESS,
    ("open_banking_uk", "get_payment"): SUCCESS,
    ("postal", "get"): SUCCESS,
    ("shopify", "set_stock"): SUCCESS,
}
"""Vendors whose result differs from the result of the contract's other vendors."""
ELSEWHERE: Final = {"capture", "complete", "get", "get_refund", "refund", "void"}
"""Operations on payments, which other tests compare in each state of a payment."""
_NEXT_LETTERS: Final = str.maketrans("0123456789abcdefABCDEF", "3456789012bcdefaBCDEFA")
_LAST: Final = 6
"""The number of letters that make an id unknown, at its end."""


def unknown(ref: Ref) -> Ref:
    """Return a reference that has the vendor's form, but belongs to no object."""
    start, end = ref.id[:-_LAST], ref.id[-_LAST:]
    changed_end = end.translate(_NEXT_LETTERS)
    return attrs.evolve(ref, id=start + (f"{end[:-1]}zz" if changed_end == end else changed_end))


class UnknownObjects:
    """A hub's operations, each of which is also called with the reference of an unknown object.

    Attributes:
        results: the result of each operation that was called so: the class of the error, or
            `SUCCESS`.
    """

    def __init__(self, operations: Any, skipped: set[str]) -> None:
        self._operations = operations
        self._skipped = skipped
        self.results: dict[str, object] = {}

    def __getattr__(self, name: str) -> Any:
        """Return an operation that is first called with a reference to an unknown object."""
        operation = getattr(self._operations, name)

        async def call(*arguments: Any, **keywords: Any) -> Any:
            is_new = name not in self.results and name not in self._skipped
            if is_new and arguments and isinstance(arguments[0], Ref):
                keys = (
                    {"idempotency_key": f"unknown-{name}"} if "idempotency_key" in keywords else {}
                )
                try:
                    await operation(unknown(arguments[0]), *arguments[1:], **keywords | keys)
                    self.results[name] = SUCCESS
                except ConnectorError as error:
                    self.results[name] = type(error)
            return await operation(*arguments, **keywords)

        return call


async def results_of(kind: str, name: str, folder: Path) -> dict[str, object]:
    """Return the results of all operations on an unknown object, at a vendor's sandbox."""
    results: dict[str, object] = {}
    supported = vendor_class(name).capabilities
    scenarios = [
        *BASIC[kind].values(),
        *(use for capability, use in BY_CAPABILITY[kind].items() if capability in supported),
    ]
    for number, scenario in enumerate(scenarios):
        (scenario_folder := folder / str(number)).mkdir()
        fixture = fixture_of(name, scenario_folder)
        hub = moorage.aopen(
            {"vendors": {name: {**fixture.options, "volatile_keys": True}}},
            http=AsyncSandboxHttpClient(*[] if fixture.sandbox is None else [fixture.sandbox]),
            credentials=AsyncMemoryCredentialProvider(),
        )
        async with hub:
            skipped = ELSEWHERE if kind == "payments" else set[str]()
            operations = UnknownObjects(getattr(hub, kind)(), skipped)
            vendor = ScenarioVendor(
                operations=operations, fixture=fixture, name=name, is_supported=True
            )
            try:
                await scenario(vendor)
            except VendorRejected:
                # A call with the changed reference has reached the scenario's object.
                assert name in {vendor for vendor, _ in DIFFERENCES}, scenario
            finally:
                fixture.close()
            results |= operations.results
    return results


@pytest.mark.parametrize(
    "kind, name",
    [
        pytest.param(kind, name, id=f"{kind}-{name}")
        for kind in CONTRACTS
        for name in vendor_names()
        if kind in vendor_class(name).kinds
    ],
)
def test_unknown_object_has_one_result_in_each_contract(
    kind: str, name: str, tmp_path: Path
) -> None:
    """An operation on an unknown object has the same result at all vendors of a contract."""
    results = asyncio.run(results_of(kind, name, tmp_path))

    assert {
        operation: DIFFERENCES.get(
            (name, operation), RESULTS.get((kind, operation), VendorRejected)
        )
        for operation in results
    } == results
