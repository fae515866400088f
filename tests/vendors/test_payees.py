"""Transfers of money to payees, in each vendor's requests and responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import pytest

from moorage import Account, Hub, RetryPolicy
from moorage.contracts.payments import Money, PayeeTransfer, PayoutState
from moorage.contracts.ref import Ref
from moorage.errors import (
    ConnectionFailed,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    VendorRejected,
)
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SandboxHttpClient
from moorage.vendor_sdk import evolve
from moorage.vendors.payments._stripe_payees import transfer_body
from tests.vendors.payments_subjects import stripe
from tests.vendors.subjects.paypal import paypal

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.response import Response
    from moorage.operations.payments import Payments
    from moorage.testing.kits.payments_conformance import PaymentsSubject

EUROS: Final = Money("20.05", "EUR")
TRANSFER: Final = PayeeTransfer(EUROS, "grace@erp.example", reference="CN-7", note="Thank you")


class SandboxHub:
    """A hub with a vendor that can pay money to others."""

    def __init__(
        self, make: Callable[[], PaymentsSubject], *, retry: RetryPolicy | None = None
    ) -> None:
        self.subject = make()
        self.sandbox: Any = self.subject.sandbox
        settings = {"volatile_keys": True, "retry": retry}
        account = Account("main", self.subject.vendor, settings=settings)
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self.payments: Payments = self.hub.payments()


def test_stripe_receives_minor_units_account_and_reference() -> None:
    """Stripe receives the amount in minor units, the account and the reference."""
    shop = SandboxHub(stripe)
    transfer = PayeeTransfer(
        EUROS, "acct_1", reference="CN-7", note="Thanks", extra={"stripe": {"transfer_group": "g"}}
    )
    payout = shop.payments.pay_payee(transfer, idempotency_key="1")

    assert {
        "amount": "2005",
        "currency": "eur",
        "destination": "acct_1",
        "description": "Thanks",
        "metadata[reference]": "CN-7",
        "transfer_group": "g",
    } == dict(parse_qsl(shop.sandbox.requests[-1].body.decode()))
    assert (PayoutState.PAID, "acct_1", EUROS) == (payout.state, payout.payee, payout.amount)
    assert not payout.replayed
    assert shop.payments.pay_payee(transfer, idempotency_key="1").replayed


def test_reversed_stripe_transfer_is_cancelled() -> None:
    """If Stripe has reversed a transfer, the transfer's state is cancelled."""
    shop = SandboxHub(stripe)
    transfer = PayeeTransfer(EUROS, "acct_1", reference="1")
    sent = shop.payments.pay_payee(transfer, idempotency_key="1")
    shop.sandbox.transfers[sent.ref.id]["reversed"] = True

    assert PayoutState.CANCELED is shop.payments.get_payee_payout(sent.ref).state


def test_stripe_pays_only_connected_accounts() -> None:
    """Only a connected account can be paid by Stripe; another payee is refused before sending."""
    with pytest.raises(InvalidData, match="connected accounts only") as excinfo:
        transfer_body(TRANSFER)
    assert "payee" == excinfo.value.field


def test_stripe_sandbox_refuses_a_transfer_of_nothing() -> None:
    """The sandbox refuses a transfer without an amount, as Stripe does."""
    shop = SandboxHub(stripe)
    transfer = PayeeTransfer(EUROS, "acct_1", reference="1", extra={"stripe": {"amount": 0}})
    with pytest.raises(VendorRejected, match="destination"):
        shop.payments.pay_payee(transfer, idempotency_key="1")


def test_paypal_gets_a_batch_of_one_item_named_by_the_key() -> None:
    """PayPal gets a batch of one payout; the batch id is made from the idempotency key."""
    shop = SandboxHub(paypal)
    sent = shop.payments.pay_payee(TRANSFER, idempotency_key="1")
    body = shop.sandbox.requests[-1].json()

    assert 64 == len(body["sender_batch_header"]["sender_batch_id"])
    assert [
        {
            "recipient_type": "EMAIL",
            "receiver": "grace@erp.example",
            "amount": {"currency": "EUR", "value": "20.05"},
            "note": "Thank you",
            "sender_item_id": "CN-7",
        }
    ] == body["items"]
    assert (PayoutState.PENDING, "PENDING", None) == (sent.state, sent.vendor_state, sent.amount)
    payout = shop.payments.get_payee_payout(sent.ref)
    assert (PayoutState.PAID, EUROS) == (payout.state, payout.amount)
    assert (Money("0.25", "USD"), "grace@erp.example") == (payout.fee, payout.payee)


def test_paypal_payee_without_at_sign_is_an_account_id() -> None:
    """A payee without an at sign is sent to PayPal as an account id."""
    shop = SandboxHub(paypal)
    shop.payments.pay_payee(PayeeTransfer(EUROS, "GRACE1", reference="1"), idempotency_key="1")

    (item,) = shop.sandbox.requests[-1].json()["items"]
    assert ("PAYPAL_ID", "GRACE1") == (item["recipient_type"], item["receiver"])


@pytest.mark.parametrize(
    "status, state",
    [
        ("SUCCESS", PayoutState.PAID),
        ("FAILED", PayoutState.FAILED),
        ("BLOCKED", PayoutState.FAILED),
        ("PENDING", PayoutState.PENDING),
        ("ONHOLD", PayoutState.PENDING),
        ("UNCLAIMED", PayoutState.PENDING),
        ("RETURNED", PayoutState.CANCELED),
        ("REFUNDED", PayoutState.CANCELED),
        ("REVERSED", PayoutState.CANCELED),
        ("LEVITATED", PayoutState.UNKNOWN),
    ],
)
def test_paypal_item_has_a_state(status: str, state: PayoutState) -> None:
    """A PayPal payout has the state of its item; an unknown status becomes unknown."""
    shop = SandboxHub(paypal)
    sent = shop.payments.pay_payee(TRANSFER, idempotency_key="1")
    shop.sandbox.payees.batches[sent.ref.id]["items"][0] |= {
        "transaction_status": status,
        "errors": {"name": "X", "message": "The receiver is unregistered.", "debug_id": "1"},
    }
    payout = shop.payments.get_payee_payout(sent.ref)

    assert (state, status) == (payout.state, payout.vendor_state)
    assert "The receiver is unregistered." == payout.reason


@pytest.mark.parametrize(
    "status, state",
    [
        ("PROCESSING", PayoutState.PENDING),
        ("DENIED", PayoutState.FAILED),
        ("CANCELED", PayoutState.CANCELED),
        ("SUCCESS", PayoutState.UNKNOWN),
    ],
)
def test_paypal_batch_without_an_item_has_a_state(status: str, state: PayoutState) -> None:
    """A PayPal batch without its item has the batch's own state, and never counts as paid."""
    shop = SandboxHub(paypal)

    def change_status(response: Response) -> Response:
        return response.evolve(body=response.body.replace(b"PENDING", status.encode()))

    first = shop.payments.pay_payee(TRANSFER, idempotency_key="1")
    shop.sandbox.fail(AlteredAnswer(change_status))
    second = shop.payments.pay_payee(TRANSFER, idempotency_key="2")

    assert PayoutState.PENDING is first.state
    assert (state, status) == (second.state, second.vendor_state)


def test_batch_id_of_the_caller_is_used_once() -> None:
    """If the caller's own batch id was used before, PayPal's refusal is the result."""
    shop = SandboxHub(paypal)
    header = {"paypal": {"sender_batch_header": {"sender_batch_id": "1"}}}
    transfer = PayeeTransfer(EUROS, "GRACE1", reference="1", extra=header)
    shop.payments.pay_payee(transfer, idempotency_key="1")
    with pytest.raises(VendorRejected, match="sender_batch_id already exists"):
        shop.payments.pay_payee(transfer, idempotency_key="2")


def test_lost_payout_is_found_by_its_batch_id() -> None:
    """After a lost response, PayPal refuses the repeat, and the payout is found by the link."""
    shop = SandboxHub(paypal)
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.pay_payee(TRANSFER, idempotency_key="1")
    payout = shop.payments.pay_payee(TRANSFER, idempotency_key="1")

    assert [payout.ref.id] == [*shop.sandbox.payees.batches]
    assert (PayoutState.PAID, EUROS) == (payout.state, payout.amount)
    assert [] == shop.hub.unsettled_payments()


def test_retry_after_lost_answer_finds_the_payout() -> None:
    """A retry within the call finds the payout whose response was lost, and sends no second."""
    shop = SandboxHub(paypal, retry=RetryPolicy(base_delay=0))
    shop.sandbox.fail(Lost())
    payout = shop.payments.pay_payee(TRANSFER, idempotency_key="1")

    assert [payout.ref.id] == [*shop.sandbox.payees.batches]
    assert EUROS == payout.amount


def test_failed_look_up_of_a_lost_payout_leaves_it_unsettled() -> None:
    """If the payout cannot be looked up, its outcome stays unknown until a later repeat."""
    shop = SandboxHub(paypal, retry=RetryPolicy(base_delay=0))
    unsent = [ConnectionFailed("down", may_have_been_processed=False) for _ in range(3)]
    shop.sandbox.fail(Lost(), None, *unsent)
    with pytest.raises(ConnectionFailed) as excinfo:
        shop.payments.pay_payee(TRANSFER, idempotency_key="1")

    assert excinfo.value.may_have_been_processed
    assert ["1"] == [item.idempotency_key for item in shop.hub.unsettled_payments()]
    assert EUROS == shop.payments.pay_payee(TRANSFER, idempotency_key="1").amount
    assert [] == shop.hub.unsettled_payments()


def test_known_payout_without_a_link_is_unknown() -> None:
    """If PayPal knows the payout, but does not say which one it is, its outcome is unknown."""
    shop = SandboxHub(paypal)

    def without_link(response: Response) -> Response:
        return response.evolve(body=response.body.replace(b'"link"', b'"no_link"'))

    shop.sandbox.fail(Lost(), AlteredAnswer(without_link))
    with pytest.raises(ConnectionFailed):
        shop.payments.pay_payee(TRANSFER, idempotency_key="1")
    with pytest.raises(OutcomeUnknown, match="did not say which one"):
        shop.payments.pay_payee(TRANSFER, idempotency_key="1")

    assert 1 == len(shop.hub.unsettled_payments())


def test_batch_of_another_payout_is_a_conflict() -> None:
    """If the batch of the key pays another amount, the key was used for another payout."""
    shop, other_shop = SandboxHub(paypal), SandboxHub(paypal)
    shop.payments.pay_payee(TRANSFER, idempotency_key="1")
    other_shop.sandbox.payees.batches = shop.sandbox.payees.batches
    with pytest.raises(IdempotencyConflict, match="another amount"):
        other_shop.payments.pay_payee(evolve(TRANSFER, amount=EUROS * 2), idempotency_key="1")


def test_unknown_payout_is_refused() -> None:
    """A payout that does not exist at PayPal is refused."""
    with pytest.raises(VendorRejected):
        SandboxHub(paypal).payments.get_payee_payout(Ref("paypal", "main", "unknown"))


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"amount": EUROS * 0}, "amount"),
        ({"payee": ""}, "payee"),
        ({"payee": 5}, "payee"),
        ({"payee": "x" * 1_001}, "payee"),
        ({"reference": ""}, "reference"),
        ({"note": ""}, "note"),
        ({"note": "x" * 1_001}, "note"),
    ],
)
def test_wrong_transfer_is_refused(fields: dict[str, Any], field: str) -> None:
    """If a field of a transfer is wrong, the error names the field."""
    values: dict[str, Any] = {"amount": EUROS, "payee": "acct_1", "reference": "1", **fields}
    with pytest.raises(InvalidData) as excinfo:
        PayeeTransfer(**values)
    assert field == excinfo.value.field


def test_payee_id_in_place_of_transfer_is_refused() -> None:
    """A payee's id is refused where a transfer's id is needed."""
    payments: Any = SandboxHub(stripe).payments
    with pytest.raises(InvalidData, match="transfer"):
        payments.pay_payee("acct_1", idempotency_key="1")


@pytest.mark.parametrize(
    "fields, field", [({"payee": "x" * 128}, "payee"), ({"reference": "x" * 64}, "reference")]
)
def test_paypal_refuses_long_texts(fields: dict[str, Any], field: str) -> None:
    """A payee or reference that is too long for PayPal is refused before sending."""
    shop = SandboxHub(paypal)
    values: dict[str, Any] = {"amount": EUROS, "payee": "GRACE1", "reference": "1", **fields}
    transfer = PayeeTransfer(**values)
    with pytest.raises(InvalidData) as excinfo:
        shop.payments.pay_payee(transfer, idempotency_key="1")
    assert field == excinfo.value.field
    assert not [request for request in shop.sandbox.requests if "payouts" in request.path]
