"""The calls of the crash matrix, and the counting of their effects at the vendor."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

import moorage
from moorage.contracts.email import EmailMessage
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.payments import Charge, Customer, Money
from moorage.contracts.shipping import Address, Parcel, RateRequest, ShipmentRequest
from moorage.contracts.sms import SmsMessage
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import Hub
    from moorage.testing.sandboxes.fixture import SandboxFixture

ALL_OF_IT = Money("30.00", "EUR")
PART = Money("10.00", "EUR")
PEOPLE = ("ada@example.com", "grace@example.com", "mary@example.com")
NUMBERS = ("+4915112345678", "+4915112345679", "+4915112345680")

SENDER = Address(
    name="Ada",
    line1="388 Townsend St",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
)
RECIPIENT = attrs.evolve(
    SENDER, name="Grace", line1="179 N Harbor Dr", city="Redondo Beach", postal_code="90277"
)

Put = tuple[str, str, tuple[Any, ...], dict[str, Any]]


@attrs.frozen
class CrashCase:
    """A call that the crash matrix tests.

    Attributes:
        contract: the contract, such as "payments".
        verb: its verb, such as "charge".
        vendor: the vendor.
        values: makes the arguments of the call from the prepared object.
        effects: the effects that a sandbox has had, one string each.
        expected: the effects that there must be.
        prepared: creates the object that the call needs, with a hub, and returns it.
        tells: whether the outcome of a call can be found out: the vendor supports idempotency
            keys, can be asked, or does nothing new if asked twice.
        looks: how many requests come before the one that has the effect.
        forgets: whether the vendor is said to forget keys at once, so that a payment whose outcome
            is unknown has to be looked up.
        lists: whether the vendor takes no key, or forgets it, and lists what it has done: of a
            request that never arrived only a person can say more.
    """

    contract: str
    verb: str
    vendor: str
    values: Callable[..., tuple[Any, ...]]
    effects: Callable[[Any], list[str]]
    expected: tuple[str, ...]
    prepared: Callable[[Hub, SandboxFixture], tuple[Any, ...]] | None = None
    tells: bool = True
    looks: int = 0
    forgets: bool = False
    lists: bool = False

    @property
    def name(self) -> str:
        """Return the case's name in the table and on the command line."""
        suffix = "-look-up" if self.forgets else ""
        return f"{self.contract}.{self.verb}@{self.vendor}{suffix}"

    def fixture(self) -> SandboxFixture:
        """Return a new sandbox of the vendor, with the options of an account in it."""
        return fixture_of(self.vendor, Path())

    def configuration(
        self, fixture: SandboxFixture, url: str | None, state: str | None
    ) -> dict[str, Any]:
        """Return the hub configuration for the case."""
        account = dict(fixture.options) | {"retry": {"max_attempts": 1}}
        tree: dict[str, Any] = {
            self.contract: {"vendor": self.vendor},
            "vendors": {self.vendor: account},
        }
        if url is not None:
            account["base_url"] = url
        if self.forgets:
            account |= {"idempotency_memory": 1, "timeout": 4}
        if state is not None:
            account.pop("volatile_keys", None)
            tree["state"] = {"url": state}
        return tree

    def prepare(self, fixture: SandboxFixture) -> tuple[Any, ...]:
        """Prepare what the call needs, such as a payment, and return the call's arguments."""
        if self.prepared is None:
            return ()
        assert fixture.sandbox is not None
        tree = self.configuration(fixture, None, None)
        return self.prepared(moorage.open(tree, http=SandboxHttpClient(fixture.sandbox)), fixture)


def _order(source: str = "pm_card_visa") -> Callable[[], tuple[Any, ...]]:
    buyer = Customer(id="buyer-1") if source == "APPROVED" else None
    return lambda: (Charge(ALL_OF_IT, source, reference="ORDER-2", customer=buyer),)


def _charge_case(verb: str) -> Callable[[Hub, SandboxFixture], tuple[Any, ...]]:
    """Return a function that makes the payment on which the tested call operates."""

    def pay(hub: Hub, fixture: SandboxFixture) -> tuple[Any, ...]:
        order = Charge(ALL_OF_IT, fixture.token, reference="ORDER-1")
        payment = getattr(hub.payments(), verb)(order, idempotency_key="prepared")
        return (str(payment.ref),)

    return pay


def _approved_payment(hub: Hub, fixture: SandboxFixture) -> tuple[Any, ...]:
    """Return a payment that waits for completion, and its buyer's returned query."""
    order = Charge(ALL_OF_IT, fixture.vendor_values["asks"], reference="ORDER-1")
    payment = hub.payments().charge(order, idempotency_key="prepared")
    return str(payment.ref), dict(fixture.buyer(payment))


def _schedule_case(hub: Hub, fixture: SandboxFixture) -> tuple[Any, ...]:
    """Schedule a text message for tomorrow, and return its reference."""
    text = SmsMessage(
        to=NUMBERS[0],
        text="Thank you.",
        sender_pool=fixture.vendor_values["sender_pool"],
        send_at=datetime.now(UTC) + timedelta(days=1),
    )
    return (str(hub.sms().send(text).ref),)


def _mail() -> tuple[Any, ...]:
    return (EmailMessage(to=PEOPLE[0], subject="Order", text="Thank you."),)


def _bulk_mail() -> tuple[Any, ...]:
    base = EmailMessage(subject="Order", text="Thank you.")
    return (BulkMessage(base=base, recipients=[BulkRecipient(to=person) for person in PEOPLE]),)


def _text() -> tuple[Any, ...]:
    return (SmsMessage(to=NUMBERS[0], text="Thank you."),)


def _texts() -> tuple[Any, ...]:
    return ([SmsMessage(to=number, text="Thank you.") for number in NUMBERS],)


def _parcel() -> tuple[Any, ...]:
    parcel = Parcel(weight="0.4", length=25, width="20.5", height=10)
    request = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=parcel, reference="ORDER-2")
    return (ShipmentRequest(rate_request=request),)


def _charged_ids(stripe: Any) -> list[str]:
    return ["charge" for _ in stripe.charges]


def _intents(stripe: Any) -> list[str]:
    return ["intent" for _ in stripe.intents]


def _captured_ids(stripe: Any) -> list[str]:
    return ["capture" for notice in stripe.sent if b'"payment_intent.succeeded"' in notice.body]


def _voided_ids(stripe: Any) -> list[str]:
    return ["void" for notice in stripe.sent if b'"payment_intent.canceled"' in notice.body]


def _effects_of_charges(sandbox: Any) -> list[str]:
    return ["charge" for _ in sandbox.payments]


def _capture_case(paypal: Any) -> list[str]:
    return ["charge" for _ in paypal.captures]


def _canceled_ids(sandbox: Any) -> list[str]:
    return ["cancel" for message in sandbox.messages.values() if message["status"] == "canceled"]


def _refund_case(sandbox: Any) -> list[str]:
    return ["refund" for _ in sandbox.refunds]


def _mailed_ids(sandbox: Any) -> list[str]:
    return [person for message in sandbox.delivered for person in message.to]


def _texted_ids(sandbox: Any) -> list[str]:
    message_texts = [re.sub(r"%2B", "+", str(message)) for message in sandbox.messages.values()]
    return [number for text in message_texts for number in NUMBERS if number[1:] in text]


def _label_ids(easypost: Any) -> list[str]:
    return [
        "label" for shipment in easypost.shipments.values() if shipment["postage_label"] is not None
    ]


def _transaction_ids(shippo: Any) -> list[str]:
    return [
        "label" for transaction in shippo.transactions.values() if transaction["status"] != "ERROR"
    ]


def _shipped_ids(sandbox: Any) -> list[str]:
    return ["label" for _ in sandbox.shipments]


def _shipping(vendor: str, effects: Callable[[Any], list[str]], looks: int = 1) -> CrashCase:
    """Return the case in which rates are read before a label is bought."""
    sells = CrashCase(
        "shipping", "create_shipment", vendor, _parcel, effects, ("label",), looks=looks
    )
    return attrs.evolve(sells, lists=vendor != "easypost")


def _payments(
    verb: str,
    values: Callable[..., tuple[Any, ...]],
    effects: Callable[[Any], list[str]],
    effect: str,
    prepared: Callable[[Hub, SandboxFixture], tuple[Any, ...]] | None = None,
) -> CrashCase:
    return _case_at(verb, "stripe", values, effects, effect, prepared)


def _case_at(  # noqa: PLR0917 - the columns of a table
    verb: str,
    vendor: str,
    values: Callable[..., tuple[Any, ...]],
    effects: Callable[[Any], list[str]],
    effect: str,
    prepared: Callable[[Hub, SandboxFixture], tuple[Any, ...]] | None = None,
) -> CrashCase:
    return CrashCase("payments", verb, vendor, values, effects, (effect,), prepared)


CASES = (
    _payments("charge", _order(), _charged_ids, "charge"),
    attrs.evolve(_payments("charge", _order(), _charged_ids, "charge"), forgets=True, lists=True),
    _payments("authorize", _order(), _charged_ids, "charge"),
    _payments("create_intent", _order(), _intents, "intent"),
    _payments(
        "capture", lambda ref: (ref, PART), _captured_ids, "capture", _charge_case("authorize")
    ),
    _payments("void", lambda ref: (ref,), _voided_ids, "void", _charge_case("authorize")),
    _payments("refund", lambda ref: (ref, PART), _refund_case, "refund", _charge_case("charge")),
    _case_at(
        "refund", "square", lambda ref: (ref, PART), _refund_case, "refund", _charge_case("charge")
    ),
    _case_at("charge", "paypal", _order("card:visa-1"), _capture_case, "charge"),
    attrs.evolve(
        _case_at(
            "complete", "paypal", lambda *values: values, _capture_case, "charge", _approved_payment
        ),
        looks=1,
    ),
    _case_at("charge", "adyen", _order("APPROVED"), _effects_of_charges, "charge"),
    attrs.evolve(
        _case_at("charge", "mollie", _order("creditcard"), _effects_of_charges, "charge"),
        forgets=True,
        lists=True,
    ),
    CrashCase("email", "send_transactional", "resend", _mail, _mailed_ids, PEOPLE[:1]),
    CrashCase(
        "email", "send_transactional", "sendgrid", _mail, _mailed_ids, PEOPLE[:1], tells=False
    ),
    CrashCase("email", "send_bulk", "resend", _bulk_mail, _mailed_ids, PEOPLE),
    CrashCase("email", "send_bulk", "sendgrid", _bulk_mail, _mailed_ids, PEOPLE, tells=False),
    CrashCase("sms", "send", "bird", _text, _texted_ids, NUMBERS[:1]),
    CrashCase("sms", "send", "twilio", _text, _texted_ids, NUMBERS[:1], tells=False),
    CrashCase(
        "sms", "cancel", "twilio", lambda ref: (ref,), _canceled_ids, ("cancel",), _schedule_case
    ),
    CrashCase("sms", "send_bulk", "bird", _texts, _texted_ids, NUMBERS),
    CrashCase("sms", "send_bulk", "twilio", _texts, _texted_ids, NUMBERS, tells=False),
    _shipping("easypost", _label_ids),
    _shipping("shippo", _transaction_ids, 2),
    _shipping("fedex", _shipped_ids),
    _shipping("ups", _shipped_ids),
)
