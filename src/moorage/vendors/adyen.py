"""Adyen: payments by version 72 of the Checkout API.

What is captured, cancelled or refunded is answered `received`: it is pending until a webhook says
what came of it, and there is no way to ask. A payment that is charged is captured by Adyen as soon
as it is authorised, which no webhook tells of: it counts as captured when it is authorised.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage.contracts.payments import (
    Capture,
    PaymentsCapability,
    Refund,
    RefundReason,
    ThreeDs,
    Void,
    payment_ref,
    stated_amount,
)
from moorage.contracts.payments.asking import looks_like_a_card
from moorage.contracts.vendor import (
    RepeatedKey,
    UnknownOutcome,
    Vendor,
    VendorKeys,
    extra_for,
    key_at,
    merged,
)
from moorage.domain.auth import Credentials
from moorage.domain.frames import careful
from moorage.domain.http import Request
from moorage.domain.json_text import is_object
from moorage.domain.safety import Mode
from moorage.domain.secret import Secret, as_secret
from moorage.domain.service import Service
from moorage.errors import ConfigurationError, InvalidData, UnsupportedByVendor
from moorage.vendors._adyen_answers import UNITS, classify, read_move, read_payment
from moorage.vendors._adyen_news import read_news
from moorage.vendors._payments import named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments import Charge, Customer, Payment, PaymentEvent
    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.http import Response
    from moorage.domain.money import Money
    from moorage.domain.webhooks.events import WebhookEvent

_VERSION: Final = "v72"
_KEY: Final = 64
_LONGEST: Final = 80
_REASONS: Final = {
    RefundReason.REQUESTED_BY_CUSTOMER: "CUSTOMER REQUEST",
    RefundReason.DUPLICATE: "DUPLICATE",
    RefundReason.FRAUD: "FRAUD",
    RefundReason.OTHER: "OTHER",
}
_DETAILS: Final = frozenset(
    {
        "MD",
        "PaReq",
        "PaRes",
        "authorization_token",
        "billingToken",
        "cupsecureplus.smscode",
        "facilitatorAccessToken",
        "oneTimePasscode",
        "orderID",
        "payerID",
        "payload",
        "paymentID",
        "paymentStatus",
        "redirectResult",
        "resultCode",
        "returnUrlQueryString",
        "threeDSResult",
        "threeds2.challengeResult",
        "threeds2.fingerprint",
        "vaultToken",
    }
)


def _prefix(value: str | None) -> str | None:
    if value is None or value.replace("-", "").isalnum():
        return value
    raise ConfigurationError(
        "This is not the prefix of a live URL.",
        path="live_url_prefix",
        remedy="Give the prefix that Adyen's Customer Area shows under API URLs.",
    )


_KEYS: Final = VendorKeys(
    # Keys are valid for seven days at least.
    memory=7 * 86_400.0,
    repeat=RepeatedKey.REPLAYED,
    documentation=("https://docs.adyen.com/development-resources/api-idempotency",),
    header="Idempotency-Key",
)


@careful
@attrs.frozen(kw_only=True)
class Adyen(Vendor):
    """A merchant account at Adyen.

    Attributes:
        merchant_account: its name.
        credentials: the API key; by default the credential provider is asked for `Credentials`.
        live_url_prefix: what the URLs of the live platform begin with; the test platform without.
        return_url: where buyers come back to unless a charge says so itself.
        multiple_captures: whether Adyen's support has allowed more than one capture of a payment.
        base_url: where Adyen is, if it is not there.
    """

    name: ClassVar[str] = "adyen"
    kinds: ClassVar[tuple[str, ...]] = ("payments",)
    api_version: ClassVar[str | None] = _VERSION
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            PaymentsCapability.COMPLETE,
            PaymentsCapability.MULTIPLE_CAPTURES,
            PaymentsCapability.OFF_SESSION,
            PaymentsCapability.STORE_METHOD,
            PaymentsCapability.STATEMENT_DESCRIPTOR,
            PaymentsCapability.THREE_DS,
        }
    )
    limits: ClassVar[Mapping[str, int]] = {"reference": 80}
    webhook: ClassVar[str | None] = "adyen"
    idempotency: ClassVar[VendorKeys | None] = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = {
        "authorize": UnknownOutcome.ASKED_AGAIN,
        "charge": UnknownOutcome.ASKED_AGAIN,
        "capture": UnknownOutcome.ASKED_AGAIN,
        "void": UnknownOutcome.ASKED_AGAIN,
        "refund": UnknownOutcome.ASKED_AGAIN,
        "complete": UnknownOutcome.ASKED_AGAIN,
    }

    merchant_account: str
    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    live_url_prefix: str | None = attrs.field(default=None, converter=_prefix)
    return_url: str | None = None
    multiple_captures: bool = False
    base_url: str | None = None

    def mode(self) -> Mode | None:
        """Which of the vendor's systems its options are for, where they tell; else None."""
        if self.base_url is not None:
            return None
        return Mode.TEST if self.live_url_prefix is None else Mode.LIVE

    def services(self) -> Mapping[str, Service]:
        """The Checkout API."""
        own = None if self.credentials is None else Credentials.api_key(self.credentials)
        live = f"https://{self.live_url_prefix}-checkout-live.adyenpayments.com/checkout"
        known = "https://checkout-test.adyen.com" if self.live_url_prefix is None else live
        return {
            "": Service(
                "adyen",
                self.base_url or known,
                credentials=own,
                needs_credentials=own is None,
                classify=classify,
                **_KEYS.settings,
            )
        }

    async def authorize(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Have an amount set aside, to be captured later."""
        return await self._pay(wire, charge, key, taken=False)

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Take an amount at once."""
        return await self._pay(wire, charge, key, taken=True)

    async def _pay(self, wire: Wire, charge: Charge, key: str, *, taken: bool) -> Payment:
        body = payment_body(self, charge, taken=taken)
        request = Request.post(f"/{_VERSION}/payments", json=body)
        unnamed = payment_ref(wire.ref, charge.reference, charge.amount, unnamed="1")

        def parse(response: Response) -> Payment:
            return read_payment(wire, response, charge.amount, known=unnamed, taken=taken)

        sending = wire.send(request, key=key_at(wire, key, _KEY), parse=parse)
        return await named(wire, charge.amount, sending)

    async def complete(
        self, wire: Wire, ref: Ref, returned: Mapping[str, str], /, *, key: str
    ) -> Payment:
        """Go on with a payment after the buyer has come back."""
        asked, body = stated_amount(ref), details_body(returned)
        request = Request.post(f"/{_VERSION}/payments/details", json=body)
        taken = ref.other("capture") == "auto"

        def parse(response: Response) -> Payment:
            return read_payment(wire, response, asked, known=ref, taken=taken)

        return await named(
            wire, asked, wire.send(request, key=key_at(wire, key, _KEY), parse=parse)
        )

    async def capture(
        self, wire: Wire, ref: Ref, amount: Money | None, /, *, final: bool, key: str
    ) -> Capture:
        """Ask for money that was set aside to be taken."""
        if not (final or self.multiple_captures):
            raise UnsupportedByVendor(
                f"The merchant account {self.merchant_account} captures a payment once only.",
                capabilities=(PaymentsCapability.MULTIPLE_CAPTURES.value,),
                remedy="Have Adyen's support allow multiple captures, then set multiple_captures.",
            )
        asked = _amount_of(ref, amount)
        request = self._move(ref, "captures", asked)
        body, psp, state = await wire.send(request, key=key_at(wire, key, _KEY), parse=read_move)
        return Capture(
            ref=wire.ref(psp),
            payment=ref,
            state=state,
            vendor_state=body.text("status"),
            amount=asked,
            raw=body.raw,
        )

    async def void(self, wire: Wire, ref: Ref, /, *, key: str) -> Void:
        """Ask for what was set aside to be set free."""
        request = self._move(ref, "cancels", None)
        if ref.other("unnamed") is not None:
            body = {"merchantAccount": self.merchant_account, "paymentReference": ref.id}
            request = Request.post(f"/{_VERSION}/cancels", json=body)
        known = key_at(wire, key, _KEY)
        answered, psp, state = await wire.send(request, key=known, parse=read_move)
        return Void(
            ref=wire.ref(psp),
            payment=ref,
            state=state,
            vendor_state=answered.text("status"),
            raw=answered.raw,
        )

    async def refund(
        self,
        wire: Wire,
        ref: Ref,
        amount: Money | None,
        /,
        *,
        reason: RefundReason | None,
        key: str,
    ) -> Refund:
        """Ask for money to be given back."""
        asked = _amount_of(ref, amount)
        request = self._move(ref, "refunds", asked, reason)
        body, psp, state = await wire.send(request, key=key_at(wire, key, _KEY), parse=read_move)
        return Refund(
            ref=wire.ref(psp),
            payment=ref,
            state=state,
            vendor_state=body.text("status"),
            amount=asked,
            raw=body.raw,
        )

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """News of a payment, or of what was done to it."""
        return read_news(event, ref, once=not self.multiple_captures)

    def _move(
        self, ref: Ref, verb: str, amount: Money | None, reason: RefundReason | None = None
    ) -> Request:
        body: dict[str, Any] = {"merchantAccount": self.merchant_account}
        if amount is not None:
            body["amount"] = amount_body(amount)
        if reason is not None:
            body["merchantRefundReason"] = _REASONS[reason]
        return Request.post(f"/{_VERSION}/payments/{quote(ref.id, safe='')}/{verb}", json=body)


def amount_body(amount: Money) -> dict[str, Any]:
    """An amount as Adyen writes it."""
    return {"currency": amount.currency, "value": UNITS.to_minor(amount)}


def _amount_of(ref: Ref, amount: Money | None) -> Money:
    asked = amount or stated_amount(ref)
    if asked is None:
        raise InvalidData(
            "Adyen has to be told how much, and this reference does not know.",
            field="amount",
            remedy="Give the amount.",
        )
    return asked


def payment_body(vendor: Adyen, charge: Charge, *, taken: bool) -> dict[str, Any]:
    """The body that asks for a payment."""
    if len(charge.reference) > vendor.limits["reference"]:
        raise InvalidData(
            "Adyen takes references of at most 80 characters.",
            field="reference",
            remedy="Give a shorter one.",
        )
    body: dict[str, Any] = {
        "merchantAccount": vendor.merchant_account,
        "amount": amount_body(charge.amount),
        "reference": charge.reference,
        "returnUrl": charge.return_url or vendor.return_url,
        "shopperStatement": charge.statement_descriptor,
    }
    body |= {"captureDelayHours": 0} if taken else {"additionalData": {"manualCapture": "true"}}
    if charge.customer is not None:
        body |= _buyer(charge.customer)
    kept = dict(charge.metadata)
    if charge.description:
        kept.setdefault("description", charge.description[:_LONGEST])
    if kept:
        body["metadata"] = kept
    if charge.source is not None:
        body |= _source(charge.source)
    if charge.off_session:
        body |= {"shopperInteraction": "ContAuth"}
        body |= {"recurringProcessingModel": "UnscheduledCardOnFile"}
    elif charge.store_method:
        body |= {"storePaymentMethod": True, "recurringProcessingModel": "CardOnFile"}
    if charge.three_ds is ThreeDs.ALWAYS:
        body["authenticationData"] = {"attemptAuthentication": "always"}
    body = {name: value for name, value in body.items() if value is not None}
    return _complete(merged(body, extra_for("adyen", charge.extra)))


def _buyer(customer: Customer) -> dict[str, Any]:
    name = None
    if customer.name:
        first, _, last = customer.name.rpartition(" ")
        name = {"firstName": first or last, "lastName": last}
    return {
        "shopperReference": customer.id,
        "shopperName": name,
        "shopperEmail": customer.email,
        "shopperIP": customer.ip,
        "telephoneNumber": customer.phone,
        "countryCode": None if customer.country is None else customer.country.upper(),
    }


def _source(source: str) -> dict[str, Any]:
    """A stored method's id, or what Adyen's form in the browser made, as JSON."""
    if not source.lstrip().startswith("{"):
        return {
            "paymentMethod": {"type": "scheme", "storedPaymentMethodId": source},
            "shopperInteraction": "ContAuth",
            "recurringProcessingModel": "CardOnFile",
        }
    try:
        method: Any = json.loads(source)
    except ValueError:
        method = None
    if not is_object(method) or looks_like_a_card(str(method.get("number", ""))):
        raise InvalidData(
            "This is no paymentMethod that Adyen's form in the browser made.",
            field="source",
            remedy="Give its state.data.paymentMethod as JSON, or the id of a stored method.",
        )
    return {"paymentMethod": method}


_REQUIRED: Final = {
    "returnUrl": ("return_url", "Give the charge a return_url, or the account one."),
    "paymentMethod": ("source", "Give the id of a stored method, or the paymentMethod as JSON."),
}


def _complete(body: dict[str, Any]) -> dict[str, Any]:
    for name, (field, remedy) in _REQUIRED.items():
        if name not in body:
            raise InvalidData(f"Adyen takes no payment without {name}.", field=field, remedy=remedy)
    stored = is_object(body["paymentMethod"]) and "storedPaymentMethodId" in body["paymentMethod"]
    if (stored or body.get("storePaymentMethod")) and "shopperReference" not in body:
        raise InvalidData(
            "A method that is stored at Adyen belongs to a buyer.",
            field="customer.id",
            remedy="Give the customer, with the id that Adyen knows as shopperReference.",
        )
    return body


def details_body(returned: Mapping[str, str]) -> dict[str, Any]:
    """The body that goes on with a payment; what else stood in the URL is left out."""
    details = {name: value for name, value in returned.items() if name in _DETAILS}
    if not details:
        raise InvalidData(
            "Nothing of what the buyer brought back is Adyen's.",
            field="returned",
            remedy="Give the parameters of the URL they came back to, such as redirectResult.",
        )
    data = returned.get("paymentData")
    return {"details": details} if data is None else {"details": details, "paymentData": data}
