"""Adyen: payments, stored payment methods and links, by Checkout API version 72.

Adyen responds to captures, cancellations and refunds with `received`: they are pending until a
webhook reports the result, and cannot be queried. A charge is captured by Adyen as soon as it is
authorised; no webhook reports that, so it counts as captured when it is authorised.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Capture,
    Charge,
    Dispute,
    LinkRequest,
    LinkState,
    Page,
    Payment,
    PaymentEvent,
    PaymentLink,
    PaymentsCapability,
    Refund,
    RefundReason,
    StoredMeans,
    StoreRequest,
    Void,
    payment_ref,
    stated_amount,
)
from moorage.vendors.payments._adyen_answers import classify, read_move, read_payment
from moorage.vendors.payments._adyen_disputes import (
    DISPUTES,
    LIVE_URL,
    TEST_URL,
    accept_dispute,
)
from moorage.vendors.payments._adyen_events import read_events
from moorage.vendors.payments._adyen_requests import (
    amount_of,
    check_reference,
    details_body,
    method_of,
    move_body,
    payment_body,
)
from moorage.vendors.payments._adyen_stored import (
    link_body,
    read_link,
    read_stored,
    removed,
    stored_body,
    stored_of,
    was_removed,
)
from moorage.vendors.payments._common import return_url_option, with_payment_reference

if TYPE_CHECKING:
    from collections.abc import Mapping


_VERSION: Final = "v72"
_STORED: Final = f"/{_VERSION}/storedPaymentMethods"
_LINKS: Final = f"/{_VERSION}/paymentLinks"
_KEY: Final = 64


def _prefix(value: str | None) -> str | None:
    if value is None or value.replace("-", "").isalnum():
        return value
    raise sdk.ConfigurationError(
        "The value is not the prefix of a live URL.",
        path="live_url_prefix",
        remedy="Set the prefix that Adyen's Customer Area shows under API URLs.",
    )


_KEYS: Final = sdk.VendorKeys(
    # Keys are valid for seven days at least.
    memory=7 * 86_400.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=("https://docs.adyen.com/development-resources/api-idempotency",),
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class Adyen(sdk.Vendor):
    """A merchant account at Adyen.

    Attributes:
        merchant_account: name of the merchant account.
        credentials: API key; by default the credential provider supplies `Credentials`.
        live_url_prefix: prefix of the live platform's URLs; None for the test platform.
        return_url: URL that buyers return to, unless a charge has its own.
        multiple_captures: True if Adyen's support has enabled several captures of one payment.
        base_url: URL of another platform.
    """

    name: ClassVar[str] = "adyen"
    kinds: ClassVar[tuple[str, ...]] = ("payments",)
    api_version: ClassVar[str | None] = _VERSION
    capabilities: ClassVar[frozenset[str]] = sdk.members_of(
        PaymentsCapability,
        "complete authorize void partial_capture multiple_captures off_session store_method"
        " statement_descriptor billing_address shipping_address line_items three_ds store_means"
        " stored_means links link_expiry link_addresses link_line_items accept_dispute",
    )
    limits: ClassVar[Mapping[str, int]] = {"reference": 80}
    webhook: ClassVar[str | None] = "adyen"
    idempotency: ClassVar[sdk.VendorKeys | None] = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = sdk.words(
        sdk.UnknownOutcome.ASKED_AGAIN, "authorize charge capture void refund complete"
    )

    merchant_account: str
    credentials: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    live_url_prefix: str | None = attrs.field(default=None, converter=_prefix)
    return_url: str | None = return_url_option()
    multiple_captures: bool = False
    base_url: str | None = None

    def mode(self) -> sdk.Mode | None:
        """Return live or test mode, as the options say; None if unknown."""
        if self.base_url is not None:
            return None
        return sdk.Mode.TEST if self.live_url_prefix is None else sdk.Mode.LIVE

    def services(self) -> Mapping[str, sdk.Service]:
        """The Checkout API and the Disputes API, which has a separate URL."""
        credentials = (
            None if self.credentials is None else sdk.Credentials.api_key(self.credentials)
        )
        live_url = f"https://{self.live_url_prefix}-checkout-live.adyenpayments.com/checkout"
        default_url = (
            "https://checkout-test.adyen.com" if self.live_url_prefix is None else live_url
        )
        disputes_url = TEST_URL if self.live_url_prefix is None else LIVE_URL
        urls = {"": default_url, DISPUTES: disputes_url}
        return {
            name: sdk.Service(
                "adyen",
                self.base_url or url,
                credentials=credentials,
                needs_credentials=credentials is None,
                classify=classify,
                **_KEYS.settings,
            )
            for name, url in urls.items()
        }

    async def authorize(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise an amount, to be captured later."""
        return await self._pay(wire, charge, key, taken=False)

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge an amount at once."""
        return await self._pay(wire, charge, key, taken=True)

    async def _pay(self, wire: sdk.Wire, charge: Charge, key: str, *, taken: bool) -> Payment:
        body = payment_body(self, charge, taken=taken)
        request = sdk.Request.post(f"/{_VERSION}/payments", json=body)
        unnamed = payment_ref(wire.ref, charge.reference, charge.amount, unnamed="1")

        def parse(response: sdk.Response) -> Payment:
            return read_payment(
                wire, response, charge.amount, payment_reference=unnamed, taken=taken
            )

        sending_coroutine = wire.send(request, key=sdk.key_for_vendor(wire, key, _KEY), parse=parse)
        return await with_payment_reference(wire, charge.amount, sending_coroutine)

    async def complete(
        self, wire: sdk.Wire, ref: sdk.Ref, returned: Mapping[str, str], /, *, key: str
    ) -> Payment:
        """Continue a payment after the buyer has returned."""
        requested_amount, body = stated_amount(ref), details_body(returned)
        request = sdk.Request.post(f"/{_VERSION}/payments/details", json=body)
        is_taken = ref.other("capture") == "auto"

        def parse(response: sdk.Response) -> Payment:
            return read_payment(
                wire, response, requested_amount, payment_reference=ref, taken=is_taken
            )

        return await with_payment_reference(
            wire,
            requested_amount,
            wire.send(request, key=sdk.key_for_vendor(wire, key, _KEY), parse=parse),
        )

    async def capture(
        self, wire: sdk.Wire, ref: sdk.Ref, amount: sdk.Money | None, /, *, final: bool, key: str
    ) -> Capture:
        """Request the capture of an authorised payment."""
        if not (final or self.multiple_captures):
            raise sdk.UnsupportedByVendor(
                f"The merchant account {self.merchant_account} allows one capture per payment.",
                capabilities=(PaymentsCapability.MULTIPLE_CAPTURES.value,),
                remedy="Ask Adyen's support to allow multiple captures. Then set"
                " `multiple_captures`.",
            )
        requested = amount_of(ref, amount)
        request = self._modification_request(ref, "captures", requested)
        body, psp, state = await wire.send(
            request, key=sdk.key_for_vendor(wire, key, _KEY), parse=read_move
        )
        return Capture(
            ref=wire.ref(psp),
            payment=ref,
            state=state,
            vendor_state=body.text("status"),
            amount=requested,
            raw=body.raw,
        )

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:
        """Request the cancellation of an authorised payment."""
        request = self._modification_request(ref, "cancels", None)
        if ref.other("unnamed") is not None:
            body = {"merchantAccount": self.merchant_account, "paymentReference": ref.id}
            request = sdk.Request.post(f"/{_VERSION}/cancels", json=body)
        vendor_key = sdk.key_for_vendor(wire, key, _KEY)
        answer, psp, state = await wire.send(request, key=vendor_key, parse=read_move)
        return Void(
            ref=wire.ref(psp),
            payment=ref,
            state=state,
            vendor_state=answer.text("status"),
            raw=answer.raw,
        )

    async def refund(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        amount: sdk.Money | None,
        /,
        *,
        reason: RefundReason | None,
        key: str,
    ) -> Refund:
        """Request a refund."""
        requested = amount_of(ref, amount)
        request = self._modification_request(ref, "refunds", requested, reason)
        body, psp, state = await wire.send(
            request, key=sdk.key_for_vendor(wire, key, _KEY), parse=read_move
        )
        return Refund(
            ref=wire.ref(psp),
            payment=ref,
            state=state,
            vendor_state=body.text("status"),
            amount=requested,
            raw=body.raw,
        )

    async def accept_dispute(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Dispute:
        """Accept a dispute, so that the buyer keeps the money."""
        return await accept_dispute(wire, ref, self.merchant_account, key)

    async def store_means(
        self, wire: sdk.Wire, request: StoreRequest, /, *, key: str
    ) -> StoredMeans:
        """Store a payment method; Adyen does not check it with the bank."""
        method = method_of(request.source)
        body = stored_body(self.merchant_account, request, method)
        parse = partial(read_stored, wire, request.customer_id)
        storing_request = sdk.Request.post(_STORED, json=body)
        stored: StoredMeans = await wire.send(
            storing_request, key=sdk.key_for_vendor(wire, key, _KEY), parse=parse
        )
        return stored

    async def stored_means(
        self,
        wire: sdk.Wire,
        customer: str,
        after: sdk.Ref | None,  # noqa: ARG002 - Adyen lists all at once
        /,
    ) -> Page[StoredMeans]:
        """List a buyer's stored payment methods."""
        response = await wire.send(sdk.Request.get(_STORED, query=self._owner_of(customer)))
        body = sdk.read_answer(response)
        # Adyen leaves out an empty list.
        if not sdk.is_list(body.raw.get("storedPaymentMethods", [])):
            raise sdk.malformed(response, "storedPaymentMethods")
        rows = body.objects("storedPaymentMethods")
        items = [stored_of(wire.ref, item, customer) for item in rows]
        return Page(tuple(item for item in items if item is not None))

    async def remove_means(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
        """Remove a stored payment method."""
        customer = ref.other("customer")
        if customer is None:
            raise sdk.InvalidData(
                "Adyen finds a stored means of payment only through its customer, but this"
                " reference names no customer.",
                field="ref",
                remedy="Pass the complete `ref` of the stored means of payment.",
            )
        path = f"{_STORED}/{quote(ref.id, safe='')}"
        request = sdk.Request.delete(path, query=self._owner_of(customer))
        parse = partial(removed, ref, customer)
        try:
            result: StoredMeans = await wire.send(
                request, key=sdk.key_for_vendor(wire, key, _KEY), parse=parse
            )
        except sdk.VendorRejected as error:
            if not was_removed(error):
                raise
            return removed(ref, customer)
        return result

    def _owner_of(self, customer: str) -> dict[str, str]:
        return {"merchantAccount": self.merchant_account, "shopperReference": customer}

    async def create_link(self, wire: sdk.Wire, link: LinkRequest, /, *, key: str) -> PaymentLink:
        """Create a payment link for one payment."""
        check_reference(self, link.reference)
        request = sdk.Request.post(_LINKS, json=link_body(self.merchant_account, link))
        return await _link_after(wire, request, key)

    async def get_link(self, wire: sdk.Wire, ref: sdk.Ref, /) -> PaymentLink:
        """Get a payment link."""
        return read_link(wire, await wire.send(sdk.Request.get(_link_path(ref))))

    async def close_link(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> PaymentLink:
        """Expire a payment link early."""
        request = sdk.Request.patch(_link_path(ref), json={"status": "expired"})
        try:
            return await _link_after(wire, attrs.evolve(request, idempotent=True), key)
        except sdk.InvalidRequest as error:
            # Adyen refuses to end a link twice, and an earlier attempt may have ended it and lost
            # the response.
            with suppress(sdk.VendorRejected):
                link = await self.get_link(wire, ref)
                if link.state is LinkState.EXPIRED:
                    return link
            raise error from None

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
        """Convert a webhook to events."""
        return read_events(event, ref, once=not self.multiple_captures)

    def _modification_request(
        self, ref: sdk.Ref, verb: str, amount: sdk.Money | None, reason: RefundReason | None = None
    ) -> sdk.Request:
        path = f"/{_VERSION}/payments/{quote(ref.id, safe='')}/{verb}"
        return sdk.Request.post(path, json=move_body(self, amount, reason))


def _link_path(ref: sdk.Ref) -> str:
    return f"{_LINKS}/{quote(ref.id, safe='')}"


async def _link_after(wire: sdk.Wire, request: sdk.Request, key: str) -> PaymentLink:
    """The payment link after a step that is executed once per idempotency key."""
    parse = partial(read_link, wire)
    link: PaymentLink = await wire.send(
        request, key=sdk.key_for_vendor(wire, key, _KEY), parse=parse
    )
    return link
