"""Authorize.Net: payments, refunds and stored payment profiles, by its JSON API.

Authorize.Net has no idempotency keys. So each payment and each refund carries a mark of its key.
For eight hours, Authorize.Net refuses a transaction that is equal to an earlier one, whose id it
returns. A request that may have been executed is not sent again: its transaction is searched by the
mark among the unsettled ones.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Capture,
    Charge,
    Page,
    Payment,
    PaymentQuery,
    PaymentsCapability,
    PaymentState,
    Refund,
    RefundReason,
    StoredMeans,
    StoredState,
    Void,
)
from moorage.vendors.payments._authorize_net_answers import (
    ALREADY_CAPTURED,
    ALREADY_VOIDED,
    AUTHORIZED,
    REFUND_TYPE,
    charged_payment,
    is_done_before,
    listed_payment,
    move_state,
    new_refund,
    payment_of,
    read_details,
    read_transaction,
    refund_of,
    stored_of,
)
from moorage.vendors.payments._authorize_net_errors import NOT_FOUND, classify, declined_error
from moorage.vendors.payments._authorize_net_events import read_events
from moorage.vendors.payments._authorize_net_lists import (
    ListPosition,
    next_rows,
)
from moorage.vendors.payments._authorize_net_marks import sent_or_earlier
from moorage.vendors.payments._authorize_net_requests import (
    LONGEST,
    PAGE,
    STORED_PARTS,
    VENDOR,
    CredentialsInBody,
    charge_fields,
    details_request,
    mark_of,
    question,
    refund_fields,
    stored_ids,
    transaction,
)
from moorage.vendors.payments._common import is_within, with_payment_reference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

_LIVE: Final = "https://api.authorize.net"
_TEST: Final = "https://apitest.authorize.net"


@attrs.frozen(kw_only=True)
class AuthorizeNet(sdk.HttpVendor):
    """A merchant account at Authorize.Net.

    Attributes:
        login_id: API login id.
        transaction_key: transaction key.
        currency: currency of the account.
        base_url: URL of Authorize.Net; its sandbox is https://apitest.authorize.net.
    """

    name = "authorize_net"
    kinds = ("payments",)
    capabilities = sdk.members_of(
        PaymentsCapability,
        "authorize void partial_capture look_up look_up_refund list off_session store_method"
        " stored_means billing_address shipping_address",
    )
    limits: ClassVar[Mapping[str, int]] = {"page": PAGE, **LONGEST}
    modes = sdk.url_modes(live=_LIVE, test=_TEST)
    webhook = "authorize-net"
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = {
        **sdk.words(sdk.UnknownOutcome.LOOKED_UP, "authorize charge refund"),
        **sdk.words(sdk.UnknownOutcome.REPEATED, "capture void"),
    }
    # Nothing is documented; a day covers the move to a settled batch at night.
    listed_within = 86_400.0
    states_refunds = False

    refusals = staticmethod(classify)
    event_reading = staticmethod(read_events)

    login_id: str = attrs.field(
        validator=sdk.matches(
            "[A-Za-z0-9]{1,25}",
            problem="The value is not an API login id of Authorize.Net.",
            remedy="Copy the API login id from the API credentials in the Merchant Interface.",
        )
    )
    transaction_key: sdk.Secret = attrs.field(converter=sdk.as_secret)
    currency: str = attrs.field(
        validator=sdk.matches(
            "[A-Z]{3}",
            problem="The value is not a currency code.",
            remedy="Set the currency of the account, such as USD.",
        )
    )
    base_url: str = _LIVE

    def static_credentials(self) -> sdk.Credentials:
        """None: the credentials are in the body of each request."""
        return sdk.Credentials.none()

    def settings(self) -> Mapping[str, Any]:
        """The transform that inserts the credentials, and the secret that logs must not show."""
        return {
            "request_transforms": (CredentialsInBody(self.login_id, self.transaction_key),),
            "redaction": sdk.Redaction(secrets=(self.transaction_key,)),
        }

    async def authorize(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise an amount, to be captured later."""
        return await self._pay(wire, charge, key, PaymentState.AUTHORIZED)

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge an amount at once."""
        return await self._pay(wire, charge, key, PaymentState.CAPTURED)

    async def _pay(self, wire: sdk.Wire, charge: Charge, key: str, done: PaymentState) -> Payment:
        mark = mark_of(wire, key)
        fields = charge_fields(self, charge, mark, capture=done is PaymentState.CAPTURED)
        request = transaction(fields, mark=mark)
        sending: Awaitable[Payment] = wire.send(
            request, key=key, parse=partial(charged_payment, wire, charge, done)
        )
        sending = with_payment_reference(wire, charge.amount, sending)
        result = await sent_or_earlier(wire, sending, mark, charge.reference)
        if isinstance(result, Payment):
            return result
        payment = self._payment(wire, result)
        if payment.state is PaymentState.FAILED and payment.decline is not None:
            raise declined_error(payment.decline, str(payment.ref))
        return payment

    async def capture(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        amount: sdk.Money | None,
        /,
        *,
        final: bool,  # noqa: ARG002 - there is no other
        key: str,
    ) -> Capture:
        """Capture an authorised payment fully or partly; the rest is released."""
        earlier_payment = self._payment(wire, await _details_before(wire, ref, key))
        if earlier_payment.state in {PaymentState.CAPTURED, PaymentState.PARTIALLY_CAPTURED}:
            raise sdk.VendorRejected(
                "The payment was captured before, and Authorize.Net allows only one capture.",
                vendor_code=ALREADY_CAPTURED,
                remedy="Look up the payment to see its captured amount.",
            )
        requested_amount = amount or earlier_payment.authorized
        fields: dict[str, Any] = {
            "transactionType": "priorAuthCaptureTransaction",
            "refTransId": ref.id,
        }
        if amount is not None:
            fields |= {"amount": str(amount.amount), "currencyCode": amount.currency}
        request = transaction(fields).evolve(idempotent=True)
        answer: sdk.Answer = await wire.send(request, key=key, parse=read_transaction)
        if is_done_before(answer):
            # The response to an earlier, successful attempt may have been lost.
            payment = await self.get(wire, ref)
            is_captured = payment.captured == requested_amount
            if earlier_payment.vendor_state != AUTHORIZED or not is_captured:
                raise _done_before_error(answer)
        return Capture(
            ref=ref,
            payment=ref,
            state=move_state(answer),
            vendor_state=answer.text("responseCode"),
            amount=requested_amount,
            raw=answer.raw,
        )

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:
        """Void a payment that is not settled yet; a repeat has no further effect."""
        fields = {"transactionType": "voidTransaction", "refTransId": ref.id}
        request = transaction(fields).evolve(idempotent=True)
        answer: sdk.Answer = await wire.send(request, key=key, parse=read_transaction)
        if is_done_before(answer) and _message(answer).text("code") != ALREADY_VOIDED:
            raise _done_before_error(answer)
        return Void(
            ref=ref,
            payment=ref,
            state=move_state(answer),
            vendor_state=answer.text("responseCode"),
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
        """Refund a settled payment; without an amount, refund all that was captured."""
        details = read_details(await wire.send(details_request(ref.id), reads=True))
        refunded_amount = amount or self._payment(wire, details).captured
        if refunded_amount is None or refunded_amount.minor <= 0:
            raise sdk.VendorRejected(
                "Nothing of the payment was captured.",
                remedy="Void the payment instead of refunding it.",
            )
        mark = mark_of(wire, key)
        request = transaction(refund_fields(refunded_amount, details, mark, reason), mark=mark)
        sending: Awaitable[Refund] = wire.send(
            request, key=key, parse=partial(new_refund, wire, ref, refunded_amount)
        )
        invoice = details.text("order.invoiceNumber")
        result = await sent_or_earlier(wire, sending, mark, invoice)
        if isinstance(result, Refund):
            return result
        return attrs.evolve(refund_of(wire.ref, self.currency, result), payment=ref)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
        """Get a payment; the id of a refund gets the payment with that refund.

        A payment does not state its other refunds.
        """
        details = read_details(await wire.send(details_request(ref.id), reads=True))
        payment_id = details.text("refTransId")
        if details.text("transactionType") != REFUND_TYPE or payment_id is None:
            return self._payment(wire, details)
        response = await wire.send(details_request(payment_id), reads=True)
        payment = self._payment(wire, read_details(response))
        refund = attrs.evolve(refund_of(wire.ref, self.currency, details), payment=payment.ref)
        return attrs.evolve(payment, refunds=(refund,))

    async def get_refund(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Refund:
        """Get a refund."""
        response = await wire.send(details_request(ref.id), reads=True)
        details = read_details(response)
        if details.text("transactionType") != REFUND_TYPE:
            text = "This transaction is not a refund."
            raise sdk.refusal(sdk.VendorRejected, VENDOR, response, NOT_FOUND, None, otherwise=text)
        return refund_of(wire.ref, self.currency, details)

    async def payments(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payment]:
        """List payments: the unsettled ones, then those of each settled batch, newest first.

        Without a start, the list goes back two years.
        """
        position: ListPosition | None = ListPosition.parse(after)
        items: list[Payment] = []
        while position is not None and not items:
            rows, position = await next_rows(wire, query, position)
            payments = [listed_payment(wire.ref, self.currency, row) for row in rows]
            items = [
                payment
                for payment in payments
                if payment is not None and is_within(query, payment.created_at)
            ]
        return Page(tuple(items), None if position is None else position.reference(wire))

    async def stored_means(
        self,
        wire: sdk.Wire,
        customer: str,
        after: sdk.Ref | None,  # noqa: ARG002 - there is one page
        /,
    ) -> Page[StoredMeans]:
        """List the payment profiles of a customer.

        An id of digits is that of a customer profile; any other one is the merchant's own.
        """
        is_profile = customer.isascii() and customer.isdigit()
        name = "customerProfileId" if is_profile else "merchantCustomerId"
        try:
            response = await wire.send(question("getCustomerProfile", **{name: customer}))
        except sdk.VendorRejected as refused:
            if refused.vendor_code != NOT_FOUND:
                raise
            return Page(())
        profile = sdk.read_answer(response).object("profile")
        profile_id = sdk.required(
            profile.text("customerProfileId"), response, "profile.customerProfileId"
        )
        means = [
            stored_of(wire.ref, profile_id, item) for item in profile.objects("paymentProfiles")
        ]
        return Page(tuple(item for item in means if item is not None))

    async def remove_means(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
        """Delete a payment profile; a repeat has no further effect."""
        ids = stored_ids(ref.id)
        if ids is None:
            raise sdk.InvalidData(
                "The reference is not that of a stored means of payment.",
                field="ref",
                remedy=f"Pass a reference from stored_means(); its id has {STORED_PARTS} numbers.",
            )
        request = question(
            "deleteCustomerPaymentProfile",
            customerProfileId=ids[0],
            customerPaymentProfileId=ids[1],
        )

        def read(response: sdk.Response) -> StoredMeans:
            answer = sdk.read_answer(response)
            if answer.text("messages.resultCode") != "Ok":
                raise sdk.malformed(response, "messages.resultCode")
            return StoredMeans(ref=ref, state=StoredState.REMOVED, raw=answer.raw)

        try:
            return await wire.send(request, key=key, parse=read)
        except sdk.VendorRejected as refused:
            if refused.vendor_code != NOT_FOUND:
                raise
        return StoredMeans(ref=ref, state=StoredState.REMOVED)

    def _payment(self, wire: sdk.Wire, details: sdk.Answer) -> Payment:
        payment = payment_of(wire.ref, self.currency, details)
        if payment is None:
            raise sdk.VendorFailed(
                f"{VENDOR} returned a transaction without its amounts.",
                remedy="Look at the transaction in the Merchant Interface.",
            )
        return payment


async def _details_before(wire: sdk.Wire, ref: sdk.Ref, key: str) -> sdk.Answer:
    """The details of a payment as they were when the key was used for the first time."""
    details: sdk.Answer = await wire.send(
        details_request(ref.id), key=sdk.part_key(key, "before"), parse=read_details, reads=True
    )
    return details


def _message(answer: sdk.Answer) -> sdk.Answer:
    return next(answer.objects("messages"), sdk.Answer({}))


def _done_before_error(answer: sdk.Answer) -> sdk.VendorRejected:
    message = _message(answer)
    text = sdk.masked_words(message.text("description"))
    return sdk.VendorRejected(
        f"{VENDOR} refused: {text or message.text('code')}",
        vendor_code=message.text("code"),
        vendor_message=text,
    )
