"""Each payment operation has the same vendor-neutral result at all vendors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from moorage import Hub
from moorage.contracts.payments import Charge, Money, MoveState, PaymentsCapability, PaymentState
from moorage.contracts.routes import Account
from moorage.errors import ConnectorError, PaymentDeclined, UnsupportedByVendor, VendorRejected
from moorage.testing import name_of
from moorage.testing.sandboxes.base import SandboxHttpClient
from tests.vendors.payments_subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.payments import Payment
    from moorage.contracts.ref import Ref
    from moorage.testing.kits.payments_conformance import Factory, PaymentsSubject

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "payments.md"
WHOLE: Final = Money("149.90", "EUR")
PART: Final = Money("50.00", "EUR")


class SandboxAccount:
    """An account at a vendor's sandbox that completes every accepted operation at once."""

    def __init__(self, subject: PaymentsSubject, hub: Hub) -> None:
        self.subject = subject
        self.payments = hub.payments()
        self._number = 0

    def __call__(self, operation: str, *arguments: Any) -> Any:
        """Run a payment operation with a new key, and return its result."""
        self._number += 1
        key = f"INV-1/{self._number}"
        result = getattr(self.payments, operation)(*arguments, idempotency_key=key)
        self.subject.happen()
        return result

    def paid(self, source: str | None = None) -> Ref:
        """Return the reference of a payment that was captured."""
        payment: Payment = self("charge", self._order(source))
        return payment.ref

    def waiting(self) -> Ref:
        """Return the reference of a payment that waits for its buyer."""
        capabilities = self.subject.vendor.capabilities
        if self.subject.asks is not None:
            return self.paid(self.subject.asks)
        if PaymentsCapability.COMPLETE in capabilities:
            intent: Payment = self("create_intent", self._order(None))
            return intent.ref
        raise UnsupportedByVendor(
            "No buyer is asked here.", capabilities=(PaymentsCapability.COMPLETE,)
        )

    def refused(self, source: str | None) -> Ref:
        """Charge a source that the vendor declines."""
        if source is None:
            raise UnsupportedByVendor(
                "This sandbox declines no payment.", capabilities=("declines",)
            )
        return self.paid(source)

    def held(self) -> Ref:
        """Return the reference of a payment that is authorised but not captured."""
        payment: Payment = self("authorize", self._order(None))
        return payment.ref

    def unknown(self) -> Ref:
        """Return a reference that has the vendor's form, but belongs to no payment."""
        can_hold = PaymentsCapability.AUTHORIZE in self.subject.vendor.capabilities
        ref = self.held() if can_hold else self.paid()
        return attrs.evolve(ref, id=f"{ref.id[:-3]}AAA", related={})

    def _order(self, source: str | None) -> Charge:
        return Charge(
            WHOLE,
            source or self.subject.pays,
            reference="INV-1",
            customer=self.subject.buyer,
            return_url="https://shop.example/",
        )


def _ref_after(shop: SandboxAccount, operation: str, ref: Ref, *arguments: Any) -> Ref:
    shop(operation, ref, *arguments)
    return ref


TOO_FAR: Final[dict[str, Callable[[SandboxAccount], object]]] = {
    "capture after a void": lambda shop: shop("capture", _ref_after(shop, "void", shop.held())),
    "part captured after a void": lambda shop: shop(
        "capture", _ref_after(shop, "void", shop.held()), PART
    ),
    "second capture": lambda shop: shop("capture", _ref_after(shop, "capture", shop.held())),
    "capture of a charge": lambda shop: shop("capture", shop.paid()),
    "more captured than authorised": lambda shop: shop("capture", shop.held(), WHOLE * 2),
    "void after a capture": lambda shop: shop("void", _ref_after(shop, "capture", shop.held())),
    "void of a charge": lambda shop: shop("void", shop.paid()),
    "void after a refund": lambda shop: shop(
        "void", _ref_after(shop, "refund", shop.paid(), WHOLE)
    ),
    "more refunded than captured": lambda shop: shop("refund", shop.paid(), WHOLE * 2),
    "refund after a whole refund": lambda shop: shop(
        "refund", _ref_after(shop, "refund", shop.paid(), WHOLE), PART
    ),
    "rest refunded after a whole refund": lambda shop: shop(
        "refund", _ref_after(shop, "refund", shop.paid(), WHOLE)
    ),
    "refund before a capture": lambda shop: shop("refund", shop.held(), PART),
    "rest refunded before a capture": lambda shop: shop("refund", shop.held()),
    "refund after a void": lambda shop: shop("refund", _ref_after(shop, "void", shop.held()), PART),
    "capture of an unknown payment": lambda shop: shop("capture", shop.unknown(), PART),
    "void of an unknown payment": lambda shop: shop("void", shop.unknown()),
    "refund of an unknown payment": lambda shop: shop("refund", shop.unknown(), PART),
    "unknown payment": lambda shop: shop.payments.get(shop.unknown()),
    "settlement of an unknown payment": lambda shop: shop.payments.settle([shop.unknown()])[
        0
    ].unwrap(),
}
"""Operations that the payment's state forbids, or whose payment does not exist."""


def _state_after(shop: SandboxAccount, ref: Ref) -> PaymentState:
    payment: Payment = shop.payments.get(ref)
    return payment.state


STATES: Final[dict[str, tuple[Callable[[SandboxAccount], object], object]]] = {
    "charge": (lambda shop: _state_after(shop, shop.paid()), PaymentState.CAPTURED),
    "authorisation": (lambda shop: _state_after(shop, shop.held()), PaymentState.AUTHORIZED),
    "capture": (
        lambda shop: _state_after(shop, _ref_after(shop, "capture", shop.held())),
        PaymentState.CAPTURED,
    ),
    "void": (
        lambda shop: _state_after(shop, _ref_after(shop, "void", shop.held())),
        PaymentState.VOIDED,
    ),
    "second void": (
        lambda shop: shop("void", _ref_after(shop, "void", shop.held())).state,
        MoveState.SUCCEEDED,
    ),
    "part refunded": (
        lambda shop: _state_after(shop, _ref_after(shop, "refund", shop.paid(), PART)),
        PaymentState.PARTIALLY_REFUNDED,
    ),
    "whole refunded": (
        lambda shop: _state_after(shop, _ref_after(shop, "refund", shop.paid(), WHOLE)),
        PaymentState.REFUNDED,
    ),
    "rest refunded": (
        lambda shop: _state_after(
            shop, _ref_after(shop, "refund", _ref_after(shop, "refund", shop.paid(), PART))
        ),
        PaymentState.REFUNDED,
    ),
    "void before the buyer confirms": (
        lambda shop: shop("void", shop.waiting()).state,
        MoveState.SUCCEEDED,
    ),
    "capture before the buyer confirms": (
        lambda shop: shop("capture", shop.waiting()),
        VendorRejected,
    ),
    "refund before the buyer confirms": (
        lambda shop: shop("refund", shop.waiting(), PART),
        VendorRejected,
    ),
    "declined": (lambda shop: shop.refused(shop.subject.declined), PaymentDeclined),
    "expired": (lambda shop: shop.refused(shop.subject.expired), PaymentDeclined),
}
"""Operations of all vendors, each with its result or the class of its error."""

DIFFERENCES: Final[dict[str, dict[str, object]]] = {
    "part refunded": {
        "authorize_net": PaymentState.CAPTURED,
        "paystack": PaymentState.CAPTURED,
    },
    "whole refunded": {"authorize_net": PaymentState.CAPTURED},
    "rest refunded": dict.fromkeys(("adyen", "authorize_net", "paystack"), VendorRejected),
    "void before the buyer confirms": {"paypal": VendorRejected, "checkout_com": VendorRejected},
}
"""The vendors with another result for an operation, which the page about payments lists."""


def _outcome(subject: PaymentsSubject, scenario: Callable[[SandboxAccount], object]) -> object:
    settings = {"volatile_keys": True, "retry": None, "circuit": None}
    account = Account("till", subject.vendor, settings=settings)
    with Hub([account], http=SandboxHttpClient(subject.sandbox)) as hub:
        try:
            return scenario(SandboxAccount(subject, hub))
        except ConnectorError as error:
            return error


@pytest.mark.parametrize("make", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("scenario", TOO_FAR)
def test_forbidden_operation_raises_the_same_error_at_every_vendor(
    scenario: str, make: Factory
) -> None:
    """A forbidden operation raises VendorRejected, or is pending if the vendor decides later."""
    subject = make()
    outcome: Any = _outcome(subject, TOO_FAR[scenario])

    if isinstance(outcome, UnsupportedByVendor):
        assert set(outcome.capabilities) - subject.vendor.capabilities
    elif isinstance(outcome, ConnectorError):
        assert VendorRejected is type(outcome)
    else:
        assert MoveState.PENDING is outcome.state


@pytest.mark.parametrize("make", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("scenario", STATES)
def test_operation_has_the_same_result_at_every_vendor(scenario: str, make: Factory) -> None:
    """An operation has the same result at each vendor, except for the listed differences."""
    subject = make()
    step, usual_result = STATES[scenario]
    expected = DIFFERENCES.get(scenario, {}).get(name_of(make), usual_result)
    outcome = _outcome(subject, step)

    if isinstance(outcome, UnsupportedByVendor):
        assert set(outcome.capabilities) - subject.vendor.capabilities
    elif isinstance(outcome, ConnectorError):
        assert expected is type(outcome)
    else:
        assert outcome in {expected, MoveState.PENDING}


@pytest.mark.parametrize("make", SUBJECTS, ids=name_of)
def test_payment_and_refund_have_the_times_of_their_creation(make: Factory) -> None:
    """A payment that is read later has its time of creation, and a refund has its time."""

    def times(shop: SandboxAccount) -> tuple[bool, bool]:
        paid = shop.paid()
        refund = shop("refund", paid, PART)
        return shop.payments.get(paid).created_at is not None, refund.at is not None

    outcome = _outcome(make(), times)

    if isinstance(outcome, UnsupportedByVendor):
        assert "adyen" == name_of(make)
    else:
        # The responses of these vendors to a refund have no time.
        assert (True, name_of(make) not in {"authorize_net", "checkout_com"}) == outcome


def test_page_has_a_row_for_each_difference() -> None:
    """The page about payments has a table row for each difference between vendors."""
    section = PAGE.read_text("utf-8").partition("## Know the differences")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    vendors_by_row = [
        {name for name in map(name_of, SUBJECTS) if f"`{name}`" in row.split("|")[2]}
        for row in rows
    ]

    assert [set(vendors) for vendors in DIFFERENCES.values()] == vendors_by_row
