"""Braintree: payments, refunds and stored payment methods, by its GraphQL API.

Braintree offers idempotency keys to selected merchants only. So each payment and each refund has an
order id that ends with a mark of the key, and before one is requested, Braintree is searched for
its mark. A request that may have been executed is not sent again unless it has no further effect.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Capture,
    Charge,
    MoveState,
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
from moorage.vendors.payments import _braintree_documents as documents
from moorage.vendors.payments._braintree_answers import (
    AUTHORIZED,
    VENDOR,
    VOIDED,
    classify,
    declined_error,
    payment_of,
    read_payment,
    read_refund,
    refund_of,
    stored_of,
)
from moorage.vendors.payments._braintree_events import read_events
from moorage.vendors.payments._braintree_requests import (
    listed,
    mark_of,
    node_of,
    page_of,
    payment_fields,
    time_text,
    with_node,
)
from moorage.vendors.payments._common import (
    is_within,
    refundable_rest,
    void_of,
    with_payment_reference,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


API_VERSION: Final = "2018-09-10"
_PAGE: Final = 50
_MARKED_PAGE_SIZE: Final = 2
"""A page size larger than the number of payments with the same mark."""
_LIVE: Final = "https://payments.braintree-api.com"
_TEST: Final = "https://payments.sandbox.braintree-api.com"


@attrs.frozen(kw_only=True)
class Braintree(sdk.ApiVendor):
    """A merchant account at Braintree.

    Attributes:
        public_key: public key of the API key.
        credentials: private key of the API key; by default the credential provider supplies it.
        currency: currency of the merchant account, because Braintree's requests do not name one.
        merchant_account_id: merchant account that takes the payments; by default Braintree's own
            default account.
        base_url: URL of Braintree; its sandbox is https://payments.sandbox.braintree-api.com.
    """

    name = "braintree"
    kinds = ("payments",)
    api_version = API_VERSION
    capabilities = sdk.members_of(
        PaymentsCapability,
        "authorize void partial_capture look_up look_up_refund list off_session store_method"
        " stored_means shipping_address",
    )
    limits: ClassVar[Mapping[str, int]] = {"page": _PAGE}
    modes = sdk.url_modes(live=_LIVE, test=_TEST)
    webhook = "braintree"
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = {
        **sdk.words(sdk.UnknownOutcome.LOOKED_UP, "authorize charge refund"),
        **sdk.words(sdk.UnknownOutcome.REPEATED, "capture void"),
    }

    auth = sdk.basic("public_key")
    refusals = staticmethod(classify)
    event_reading = staticmethod(read_events)
    headers: ClassVar[Mapping[str, str]] = {"Braintree-Version": API_VERSION}

    public_key: str = attrs.field(
        validator=sdk.matches(
            "[A-Za-z0-9]+",
            problem="The value is not the public key of a Braintree API key.",
            remedy="Copy the public key from the API keys in Braintree's Control Panel.",
        )
    )
    currency: str = attrs.field(
        validator=sdk.matches(
            "[A-Z]{3}",
            problem="The value is not a currency code.",
            remedy="Set the currency of the merchant account, such as EUR.",
        )
    )
    merchant_account_id: str | None = None
    base_url: str = _LIVE

    def webhook_verification(self) -> Mapping[str, Any]:
        """The webhook's signature scheme, and the public key that Braintree's signatures name."""
        return {"scheme": self.webhook, "parameters": {"public_key": self.public_key}}

    async def authorize(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise an amount, to be captured later."""
        return await self._pay(wire, charge, key, documents.AUTHORIZE, "authorizePaymentMethod")

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge an amount at once."""
        return await self._pay(wire, charge, key, documents.CHARGE, "chargePaymentMethod")

    async def _pay(
        self, wire: sdk.Wire, charge: Charge, key: str, document: str, name: str
    ) -> Payment:
        """Find the payment that an earlier attempt made with this key, or request a new payment."""
        order_id = f"{charge.reference}/{mark_of(wire, key)}"
        request = documents.mutation(document, payment_fields(self, charge, order_id))
        payment = await self._payment_of_order(wire, order_id)
        if payment is None:
            sending = wire.send(
                request, key=key, parse=partial(read_payment, f"{name}.transaction", wire)
            )
            return await with_payment_reference(wire, charge.amount, sending)
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
        earlier_payment = await self._payment_before(wire, ref, key)
        requested_amount = amount or earlier_payment.authorized
        fields: dict[str, Any] = {"transactionId": await node_of(wire, ref)}
        if amount is not None:
            fields["transaction"] = {"amount": str(amount.amount)}
        request = documents.mutation(documents.CAPTURE, fields).evolve(idempotent=True)
        parse = partial(read_payment, "captureTransaction.transaction", wire)
        try:
            payment = await wire.send(request, key=key, parse=parse)
        except sdk.VendorRejected:
            # The response to an earlier, successful attempt may have been lost.
            payment = await self.get(wire, ref)
            is_captured = payment.captured == requested_amount
            if earlier_payment.vendor_state != AUTHORIZED or not is_captured:
                raise
        is_pending = payment.state is PaymentState.PENDING
        is_done = payment.captured == requested_amount
        return Capture(
            ref=payment.ref,
            payment=payment.ref,
            state=MoveState.SUCCEEDED
            if is_done
            else MoveState.PENDING
            if is_pending
            else MoveState.UNKNOWN,
            vendor_state=payment.vendor_state,
            amount=requested_amount,
            after=payment,
            raw=payment.raw,
        )

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:
        """Void an authorised payment; Braintree would refund a settled one."""
        node = await node_of(wire, ref)
        response = await wire.send(documents.query(documents.GET, id=node), reads=True)
        payment = _transaction_in_answer(wire, response)
        if payment.vendor_state == VOIDED:
            return void_of(payment, word=VOIDED)
        if payment.vendor_state != AUTHORIZED:
            text = f"A transaction in the state {payment.vendor_state} cannot be voided."
            code = payment.vendor_state
            raise sdk.refusal(sdk.VendorRejected, VENDOR, response, code, None, otherwise=text)
        request = documents.mutation(documents.REVERSE, {"transactionId": node})
        try:
            reversal = await wire.send(
                request.evolve(idempotent=True), key=key, parse=partial(_read_reversal, wire)
            )
        except sdk.VendorRejected:
            # The response to an earlier, successful attempt may have been lost.
            reversal = await self.get(wire, ref)
            if reversal.vendor_state != VOIDED:
                raise
        # A transaction that was settled in the meantime is refunded instead of voided.
        return void_of(reversal or await self.get(wire, ref), word=VOIDED)

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
        """Refund a settled payment; without an amount, refund all that is not refunded yet."""
        order_id = f"refund/{mark_of(wire, key)}"
        search = documents.query(
            documents.SEARCH_REFUNDS, input={"orderId": {"is": order_id}}, first=_MARKED_PAGE_SIZE
        )
        nodes, _ = listed(await wire.send(search, reads=True), "refunds")
        refunds = [item for node in nodes if (item := refund_of(wire.ref, node)) is not None]
        if refunds:
            return attrs.evolve(refunds[0], payment=ref)
        refunded_amount = amount or _refundable(await self._payment_before(wire, ref, key))
        fields = {"amount": str(refunded_amount.amount), "orderId": order_id}
        if reason is not None:
            fields["description"] = reason.value.replace("_", " ")
        input_fields = {"transactionId": await node_of(wire, ref), "refund": fields}
        request = documents.mutation(documents.REFUND, input_fields)
        parse = partial(read_refund, "refundTransaction.refund", wire)
        refund: Refund = await wire.send(request, key=key, parse=parse)
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
        """Get a payment."""
        request = documents.query(documents.GET, id=await node_of(wire, ref))
        return _transaction_in_answer(wire, await wire.send(request, reads=True))

    async def get_refund(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Refund:
        """Get a refund."""
        node = await node_of(wire, ref, "REFUND")
        response = await wire.send(documents.query(documents.GET_REFUND, id=node), reads=True)
        return read_refund("node", wire, with_node(response))

    async def payments(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payment]:
        """List payments in the order of Braintree's search."""
        period = {
            "greaterThanOrEqualTo": time_text(query.since),
            "lessThanOrEqualTo": time_text(query.until),
        }
        bounds = {name: text for name, text in period.items() if text is not None}
        request = documents.query(
            documents.SEARCH,
            input={"createdAt": bounds} if bounds else {},
            first=min(query.limit, _PAGE),
            after=None if after is None else after.id,
        )
        page = page_of(wire, await wire.send(request), "search.transactions", payment_of)
        # Braintree's search includes the end of a period.
        return Page(
            tuple(item for item in page.items if is_within(query, item.created_at)), page.next
        )

    async def stored_means(
        self, wire: sdk.Wire, customer: str, after: sdk.Ref | None, /
    ) -> Page[StoredMeans]:
        """List a customer's payment methods in the vault."""
        request = documents.query(
            documents.MEANS, id=customer, first=_PAGE, after=None if after is None else after.id
        )
        try:
            response = await wire.send(request)
        except sdk.VendorRejected as refused:
            if refused.vendor_code != "NOT_FOUND":
                raise
            return Page(())
        if sdk.read_answer(response).value("data.node") is None:
            return Page(())

        def read_one(make_ref: sdk.MakeRef, item: sdk.Answer) -> StoredMeans | None:
            return stored_of(make_ref, customer, item)

        return page_of(wire, response, "node.paymentMethods", read_one)

    async def remove_means(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
        """Delete a payment method from the vault; a repeat has no further effect."""
        request = documents.mutation(documents.REMOVE, {"paymentMethodId": ref.id})

        def read(response: sdk.Response) -> StoredMeans:
            answer = sdk.read_answer(response)
            if "deletePaymentMethodFromVault" not in answer.object("data").raw:
                raise sdk.malformed(response, "deletePaymentMethodFromVault")
            return StoredMeans(ref=ref, state=StoredState.REMOVED, raw=answer.raw)

        try:
            return await wire.send(request.evolve(idempotent=True), key=key, parse=read)
        except sdk.VendorRejected as refused:
            if refused.vendor_code != "NOT_FOUND":
                raise
        return StoredMeans(ref=ref, state=StoredState.REMOVED)

    async def _payment_of_order(self, wire: sdk.Wire, order_id: str) -> Payment | None:
        """The payment with this order id; None if Braintree finds none."""
        request = documents.query(
            documents.SEARCH,
            input={"orderId": {"is": order_id}},
            first=_MARKED_PAGE_SIZE,
            after=None,
        )
        nodes, _ = listed(await wire.send(request, reads=True), "search.transactions")
        payments = [item for node in nodes if (item := payment_of(wire.ref, node)) is not None]
        return payments[0] if payments else None

    async def _payment_before(self, wire: sdk.Wire, ref: sdk.Ref, key: str) -> Payment:
        """Get the payment as it was when the idempotency key was first used."""
        request = documents.query(documents.GET, id=await node_of(wire, ref))
        return await wire.send(
            request,
            key=sdk.part_key(key, "before"),
            parse=partial(_transaction_in_answer, wire),
            reads=True,
        )


def _refundable(payment: Payment) -> sdk.Money:
    """The amount that is neither refunded yet nor in a refund that Braintree has not settled."""
    refunded = payment.refunded
    for refund in payment.refunds:
        if refunded is not None and refund.amount is not None and refund.state is MoveState.PENDING:
            refunded += refund.amount
    return refundable_rest(attrs.evolve(payment, refunded=refunded))


def _transaction_in_answer(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """The transaction in a response."""
    return read_payment("node", wire, with_node(response))


def _read_reversal(wire: sdk.Wire, response: sdk.Response) -> Payment | None:
    """The voided transaction in a response; None if Braintree made a refund instead."""
    word = sdk.read_answer(response).text("data.reverseTransaction.reversal.__typename")
    if word == "Refund":
        return None
    return read_payment("reverseTransaction.reversal", wire, response)
