"""Mollie: payments, mandates, links and subscriptions by version 2 of its API, with an API key.

Buyers choose or confirm their means of payment on Mollie's own page, so most payments wait for them
first. Amounts are decimal texts. Its webhooks have no signature and only the id of a payment: they
report that something changed, and the payment is then read with our own key.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage.contracts.payments import (
    Capture,
    Charge,
    MoveState,
    Page,
    PaymentEvent,
    PaymentQuery,
    PaymentsCapability,
    Void,
    stated_amount,
)
from moorage.vendor_sdk import (
    Answer,
    ApiVendor,
    InvalidData,
    InvalidRequest,
    RepeatedKey,
    Request,
    Secret,
    UnknownOutcome,
    VendorKeys,
    VendorRejected,
    as_answer,
    as_secret,
    check_done,
    extra_for,
    is_list,
    key_at,
    malformed,
    merged,
    mode_of_key,
    read_answer,
)
from moorage.vendors.payments._common import (
    answered_at,
    is_before,
    is_return_url,
    is_within,
    left_of,
    named,
    void_of,
)
from moorage.vendors.payments._mollie_answers import (
    KEY,
    PAYMENTS,
    amount_body,
    classify,
    dispute_of,
    payment_of,
    read_capture,
    read_payment,
    read_refund,
    refused,
)
from moorage.vendors.payments._mollie_order import order_fields
from moorage.vendors.payments._mollie_stored import (
    link_body,
    mandate_body,
    mandate_of,
    read_link,
    read_mandate,
    revoked,
    was_revoked,
)
from moorage.vendors.payments._mollie_subscriptions import (
    SUBSCRIPTIONS,
    cancel_subscription,
    change_subscription,
    create_subscription,
    get_subscription,
    subscription_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.payments import (
        Customer,
        Dispute,
        LinkRequest,
        Payment,
        PaymentLink,
        Refund,
        RefundReason,
        StoredMeans,
        StoreRequest,
        Subscription,
        SubscriptionRequest,
    )
    from moorage.vendor_sdk import MakeRef, Mode, Money, Ref, WebhookEvent, Wire

_LINKS: Final = "/v2/payment-links"
_LONGEST: Final = 255
_PAYMENT: Final = re.compile(r"tr_[A-Za-z0-9]{1,64}")
_FROM_PARAMETER: Final = re.compile(r"[?&]from=([A-Za-z0-9_]{1,80})")
_KEYS: Final = VendorKeys(
    # The current page says one hour, an older one a day: the smaller number counts.
    memory=3_600.0,
    repeat=RepeatedKey.REPLAYED,
    documentation=("https://docs.mollie.com/reference/api-idempotency",),
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class Mollie(ApiVendor):
    """A website profile at Mollie.

    Attributes:
        credentials: API key, test_... or live_...; by default the credential provider supplies it.
        return_url: URL that buyers return to, unless a charge has its own.
        webhook_url: URL that Mollie reports changes to, with a secret of yours in its parameter
            `token`, which is also the account's webhook secret.
        base_url: URL of Mollie.
    """

    name = "mollie"
    kinds = ("payments",)
    api_version = "v2"
    capabilities = frozenset(
        {
            PaymentsCapability.INTENT,
            PaymentsCapability.COMPLETE,
            PaymentsCapability.AUTHORIZE,
            PaymentsCapability.VOID,
            PaymentsCapability.PARTIAL_CAPTURE,
            PaymentsCapability.MULTIPLE_CAPTURES,
            PaymentsCapability.LOOK_UP,
            PaymentsCapability.LOOK_UP_REFUND,
            PaymentsCapability.LIST,
            PaymentsCapability.DISPUTES,
            PaymentsCapability.OFF_SESSION,
            PaymentsCapability.STORE_METHOD,
            PaymentsCapability.BILLING_ADDRESS,
            PaymentsCapability.SHIPPING_ADDRESS,
            PaymentsCapability.LINE_ITEMS,
            PaymentsCapability.STORE_MEANS,
            PaymentsCapability.STORED_MEANS,
            PaymentsCapability.LINKS,
            PaymentsCapability.LINK_EXPIRY,
            PaymentsCapability.LINK_ADDRESSES,
            PaymentsCapability.LINK_LINE_ITEMS,
            PaymentsCapability.SUBSCRIPTIONS,
        }
    )
    limits: ClassVar[Mapping[str, int]] = {"page": 250}
    webhook = "mollie-classic"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = {
        "authorize": UnknownOutcome.ASKED_AGAIN,
        "charge": UnknownOutcome.ASKED_AGAIN,
        "capture": UnknownOutcome.ASKED_AGAIN,
        "void": UnknownOutcome.ASKED_AGAIN,
        "refund": UnknownOutcome.ASKED_AGAIN,
        "create_intent": UnknownOutcome.ASKED_AGAIN,
        "complete": UnknownOutcome.REPEATED,
        "create_subscription": UnknownOutcome.ASKED_AGAIN,
    }

    refusals = staticmethod(classify)
    ping_path = "/v2/payments"
    ping_query: ClassVar[Mapping[str, int]] = {"limit": 1}

    return_url: str | None = attrs.field(default=None, validator=is_return_url)
    webhook_url: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    base_url: str = "https://api.mollie.com"

    def mode(self) -> Mode | None:
        """Live or test mode, by the options; None if unknown."""
        return mode_of_key(self.credentials, live=("live_",), test=("test_",))

    @property
    def notification_url(self) -> str | None:
        """The URL that Mollie reports changes to, with the secret in it."""
        return None if self.webhook_url is None else self.webhook_url.reveal()

    async def create_intent(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create a payment whose means the buyer chooses on Mollie's page."""
        return await self._pay(wire, charge, key)

    async def authorize(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise an amount, to be captured later."""
        return await self._pay(wire, charge, key, captureMode="manual")

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge an amount as soon as the buyer has confirmed it."""
        return await self._pay(wire, charge, key)

    async def _pay(self, wire: Wire, charge: Charge, key: str, **fields: Any) -> Payment:
        request = Request.post(PAYMENTS, json=payment_body(self, charge, **fields))
        parse = partial(read_payment, wire)
        sending_coroutine = wire.send(request, key=key_at(wire, key, KEY), parse=parse)
        return await named(wire, charge.amount, sending_coroutine)

    async def complete(
        self,
        wire: Wire,
        ref: Ref,
        returned: Mapping[str, str],  # noqa: ARG002 - Mollie says nothing by the buyer
        /,
        *,
        key: str,  # noqa: ARG002 - nothing moves
    ) -> Payment:
        """Get the outcome of a payment after the buyer has returned.

        Raises:
            PaymentDeclined: it failed, or the buyer cancelled it.
        """
        payment = await self.get(wire, ref)
        error = refused(payment)
        if error is not None:
            raise error
        return payment

    async def capture(
        self, wire: Wire, ref: Ref, amount: Money | None, /, *, final: bool, key: str
    ) -> Capture:
        """Capture an authorised amount, and release the rest if this capture is final."""
        body = {} if amount is None else {"amount": amount_body(amount)}
        request = Request.post(_url_of(ref.id, "captures"), json=body)
        vendor_key, parse = key_at(wire, key, KEY), partial(read_capture, wire)
        capture = await wire.send(request, key=vendor_key, parse=parse)
        if final and amount is not None and amount != stated_amount(ref):
            await _release_rest(wire, ref, f"{key}/release")
        return attrs.evolve(capture, payment=ref, amount=capture.amount or amount)

    async def void(self, wire: Wire, ref: Ref, /, *, key: str) -> Void:
        """Release an authorised amount, or cancel a payment that the buyer has not made."""
        if await _release_rest(wire, ref, key):
            return Void(ref=ref, payment=ref, state=MoveState.PENDING)
        vendor_key, parse = key_at(wire, f"{key}/cancel", KEY), partial(read_payment, wire)
        try:
            payment = await wire.send(Request.delete(_url_of(ref.id)), key=vendor_key, parse=parse)
        except InvalidRequest:
            # The answer to an earlier, successful attempt may have been lost.
            payment = await self.get(wire, ref)
            if payment.vendor_state != "canceled":
                raise
        return void_of(payment, word="canceled")

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
        """Refund a payment, or the remaining amount of it."""
        body = {
            "amount": amount_body(amount or await _refundable(wire, ref, key)),
            "description": f"Refund of {ref.id}"[:_LONGEST],
            "metadata": None if reason is None else {"reason": reason.value},
        }
        request = Request.post(_url_of(ref.id, "refunds"), json=body)
        vendor_key, parse = key_at(wire, key, KEY), partial(read_refund, wire)
        refund = await wire.send(request, key=vendor_key, parse=parse)
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: Wire, ref: Ref, /) -> Payment:
        """Get a payment with its captures and refunds."""
        response = await wire.send(
            Request.get(_url_of(ref.id), query={"embed": "captures,refunds"})
        )
        return attrs.evolve(read_payment(wire, response), as_of=answered_at(response))

    async def get_refund(self, wire: Wire, ref: Ref, /) -> Refund:
        """Get a refund."""
        payment = ref.other("payment")
        if payment is None:
            raise InvalidData(
                "Mollie finds a refund by its payment, which this reference does not name.",
                field="ref",
                remedy="Give the complete `ref` that the refund returned.",
            )
        return read_refund(wire, await wire.send(Request.get(_url_of(payment, "refunds", ref.id))))

    async def payments(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Payment]:
        """List payments."""
        return await _page(wire, PAYMENTS, query, after, payment_of)

    async def disputes(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Dispute]:
        """List chargebacks."""
        return await _page(wire, "/v2/chargebacks", query, after, dispute_of)

    async def create_subscription(
        self, wire: Wire, request: SubscriptionRequest, /, *, key: str
    ) -> Subscription:
        """Create a subscription that charges a mandate."""
        return await create_subscription(wire, request, key, self.notification_url)

    async def get_subscription(self, wire: Wire, ref: Ref, /) -> Subscription:
        """Get a subscription."""
        return await get_subscription(wire, ref)

    async def change_subscription(
        self,
        wire: Wire,
        ref: Ref,
        /,
        *,
        amount: Money,
        quantity: None,  # noqa: ARG002 - Mollie has no quantities
        key: str,
    ) -> Subscription:
        """Change the amount of a subscription from its next charge on."""
        return await change_subscription(wire, ref, amount, key)

    async def cancel_subscription(
        self,
        wire: Wire,
        ref: Ref,
        /,
        *,
        at_period_end: bool,  # noqa: ARG002 - Mollie cancels at once
        key: str,
    ) -> Subscription:
        """Cancel a subscription at once."""
        return await cancel_subscription(wire, ref, key)

    async def list_subscriptions(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Subscription]:
        """List the subscriptions of all customers."""
        read_one = partial(subscription_of, now=wire.now())
        return await _page(wire, SUBSCRIPTIONS, query, after, read_one)

    async def store_means(self, wire: Wire, request: StoreRequest, /, *, key: str) -> StoredMeans:
        """Store a mandate for direct debits, which the buyer has signed with you."""
        customer = request.customer_id
        sent = Request.post(_mandates_of(customer), json=mandate_body(request))
        parse = partial(read_mandate, wire, customer)
        mandate: StoredMeans = await wire.send(sent, key=key_at(wire, key, KEY), parse=parse)
        return mandate

    async def stored_means(
        self, wire: Wire, customer: str, after: Ref | None, /
    ) -> Page[StoredMeans]:
        """List the mandates of a customer."""
        query = PaymentQuery(limit=self.limits["page"])

        def read_one(ref: MakeRef, body: Answer) -> StoredMeans | None:
            return mandate_of(ref, body, customer)

        return await _page(wire, _mandates_of(customer), query, after, read_one)

    async def remove_means(self, wire: Wire, ref: Ref, /, *, key: str) -> StoredMeans:
        """Revoke a mandate."""
        customer = ref.other("customer")
        if customer is None:
            raise InvalidData(
                "Mollie finds a mandate by its customer, but this reference names no customer.",
                field="ref",
                remedy="Give the complete `ref` of the stored means.",
            )
        request = Request.delete(f"{_mandates_of(customer)}/{quote(ref.id, safe='')}")
        parse = partial(revoked, ref, customer)
        try:
            mandate: StoredMeans = await wire.send(request, key=key_at(wire, key, KEY), parse=parse)
        except VendorRejected as error:
            if not was_revoked(error):
                raise
            return revoked(ref, customer)
        return mandate

    async def create_link(self, wire: Wire, link: LinkRequest, /, *, key: str) -> PaymentLink:
        """Create a payment link that takes one payment."""
        body = link_body(
            link, redirectUrl=link.return_url or self.return_url, webhookUrl=self.notification_url
        )
        return await _link_after(wire, Request.post(_LINKS, json=body), key, link.reference)

    async def get_link(self, wire: Wire, ref: Ref, /) -> PaymentLink:
        """Get a payment link."""
        return read_link(wire, None, await wire.send(Request.get(_link_path(ref))))

    async def close_link(self, wire: Wire, ref: Ref, /, *, key: str) -> PaymentLink:
        """Archive a payment link, which then takes no payment."""
        request = Request.patch(_link_path(ref), json={"archived": True})
        return await _link_after(wire, attrs.evolve(request, idempotent=True), key)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """Convert a webhook to an event that asks `follow_up` for the change.

        Mollie's newer, signed webhooks are read in the same way.
        """
        data, fields = as_answer(event.data), as_answer(event.payload)
        for key in (fields.text("entityId"), data.text("paymentId"), data.text("id")):
            if key is not None and _PAYMENT.fullmatch(key) is not None:
                return (
                    PaymentEvent(
                        # The payment's id does not tell two events apart.
                        id=None if event.id == key else event.id,
                        ref=ref(key),
                        vendor_type=event.vendor_type,
                        at=event.time,
                        ask=True,
                        raw=event.payload,
                    ),
                )
        return ()


# --- requests --------------------------------------------------------------


def payment_body(vendor: Mollie, charge: Charge, **fields: Any) -> dict[str, Any]:
    """The body that creates a payment; the vendor's own options come last."""
    body: dict[str, Any] = {
        "amount": amount_body(charge.amount),
        "description": (charge.description or charge.reference)[:_LONGEST],
        "redirectUrl": charge.return_url or vendor.return_url,
        "webhookUrl": vendor.notification_url,
        # The reference by which the payment and its events are found.
        "metadata": {**charge.metadata, "reference": charge.reference},
        **_means_fields(charge),
        **merged(_buyer(charge.customer), order_fields(charge)),
        **fields,
    }
    body = {name: value for name, value in body.items() if value is not None}
    body = merged(body, extra_for("mollie", charge.extra))
    if "redirectUrl" not in body and body.get("sequenceType") != "recurring":
        raise InvalidData(
            "Mollie needs a URL that the buyer returns to.",
            field="return_url",
            remedy="Give the charge a return_url, or the account one.",
        )
    return body


def _means_fields(charge: Charge) -> dict[str, Any]:
    """The fields for the means of payment, and for storing it for later payments."""
    means: dict[str, Any] = {}
    source = charge.source
    if source is not None and source.startswith("tkn_"):
        means = {"method": "creditcard", "cardToken": source}
    elif source is not None and source.startswith("mdt_"):
        means = {"mandateId": source}
    elif source is not None:
        means = {"method": source}
    if charge.off_session or charge.store_method:
        if charge.customer is None or charge.customer.id is None:
            raise InvalidData(
                "Mollie stores a means of payment for a customer, and the charge has none.",
                field="customer.id",
                remedy="Give the customer with Mollie's id, such as cst_8wmqcHMN4U.",
            )
        means["sequenceType"] = "recurring" if charge.off_session else "first"
    return means


def _buyer(customer: Customer | None) -> dict[str, Any]:
    if customer is None:
        return {}
    buyer: dict[str, Any] = {"customerId": customer.id}
    if customer.email is not None:
        # Mollie accepts an address only with an email address or a complete postal address.
        contact_fields = {
            "email": customer.email,
            "phone": customer.phone,
            "country": None if customer.country is None else customer.country.upper(),
        }
        buyer["billingAddress"] = {
            name: text for name, text in contact_fields.items() if text is not None
        }
    return buyer


def _url_of(*parts: str) -> str:
    return "/".join([PAYMENTS, *(quote(part, safe="") for part in parts)])


def _mandates_of(customer: str) -> str:
    return f"/v2/customers/{quote(customer, safe='')}/mandates"


def _link_path(ref: Ref) -> str:
    return f"{_LINKS}/{quote(ref.id, safe='')}"


async def _link_after(
    wire: Wire, request: Request, key: str, reference: str | None = None
) -> PaymentLink:
    """The payment link after a step that is executed once for its key."""
    parse = partial(read_link, wire, reference)
    link: PaymentLink = await wire.send(request, key=key_at(wire, key, KEY), parse=parse)
    return link


async def _release_rest(wire: Wire, ref: Ref, key: str) -> bool:
    """Release the authorised rest; return False if there was none."""
    request = Request.post(_url_of(ref.id, "release-authorization"), json={})
    try:
        await wire.send(request, key=key_at(wire, key, KEY), parse=check_done)
    except InvalidRequest:
        return False
    return True


async def _refundable(wire: Wire, ref: Ref, key: str) -> Money:
    """The refundable amount, looked up once for a key, so that a repeat uses the same."""
    request = Request.get(_url_of(ref.id))
    vendor_key, parse = key_at(wire, f"{key}/left", KEY), partial(read_payment, wire)
    return left_of(await wire.send(request, key=vendor_key, parse=parse))


async def _page(
    wire: Wire,
    path: str,
    query: PaymentQuery,
    after: Ref | None,
    read_one: Callable[[MakeRef, Answer], Any],
) -> Page[Any]:
    """Read a page and filter it by time, since Mollie cannot."""
    filters = {
        "limit": min(query.limit, Mollie.limits["page"]),
        "from": None if after is None else after.id,
    }
    response = await wire.send(Request.get(path, query=filters))
    body, name = read_answer(response), path.rpartition("/")[2]
    if not is_list(body.value(f"_embedded.{name}")):
        raise malformed(response, f"_embedded.{name}")
    results = [read_one(wire.ref, item) for item in body.objects(f"_embedded.{name}")]
    items = [item for item in results if item is not None]
    following_match = _FROM_PARAMETER.search(body.text("_links.next.href") or "")
    if items and is_before(query, items[-1].created_at):
        # The newest come first: after one that is too old, all are.
        following_match = None
    return Page(
        tuple(item for item in items if is_within(query, item.created_at)),
        None if following_match is None else wire.ref(following_match[1]),
    )
