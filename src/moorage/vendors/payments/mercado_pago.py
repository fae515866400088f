"""Mercado Pago: card payments in Latin America, by the Payments API.

Mercado Pago remembers idempotency keys, and returns the payment of a repeated key. A request names
no currency: an account has that of its country. The vendor executes each capture and each
cancellation only once.
"""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Capture,
    MoveState,
    Page,
    Payment,
    PaymentsCapability,
    PaymentState,
    Refund,
    Void,
)
from moorage.vendors.payments._common import is_within, refundable_rest, url_of, void_of
from moorage.vendors.payments._mercado_pago_answers import (
    VENDOR,
    classify,
    declined_error,
    payment_of,
    read_events,
    read_payment,
    read_refund,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.payments import Charge, PaymentQuery, RefundReason

_PAYMENTS: Final = "/v1/payments"
_REFUNDS: Final = "refunds"
_VOIDED: Final = "cancelled"
_MOST_ROWS: Final = 50
_LONGEST_KEY: Final = 128
_KEYS: Final = sdk.VendorKeys(
    # Mercado Pago states no retention time for payments; an hour covers the usual repeats.
    memory=3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    header="X-Idempotency-Key",
    documentation=(
        "https://mercadopago.com.br/developers/en/news/2023/01/04/Idempotency-key-usage-will-be-mandatory",
        "https://www.mercadopago.com.mx/developers/en/docs/wallet-connect/payment-flow/idempotency",
    ),
)


def payment_body(vendor: MercadoPago, charge: Charge, *, capture: bool) -> dict[str, Any]:
    """The body that creates a payment; the caller's extra options override it.

    Raises:
        InvalidData: the currency, the source or the buyer is not what Mercado Pago requires.
    """
    method, _, token = (charge.source or "").partition(":")
    if not method or not token:
        raise sdk.InvalidData(
            f"A source of {VENDOR} has the id of the payment method and the card token.",
            field="source",
            remedy="Join both values with a colon, such as visa:ff8080814c11e237014c1ff593b57b4d.",
        )
    email = None if charge.customer is None else charge.customer.email
    if email is None:
        raise sdk.InvalidData(
            f"{VENDOR} needs the buyer's email address for a payment.",
            field="customer.email",
            remedy="Pass Customer(email=...).",
        )
    fields: dict[str, Any] = {
        "transaction_amount": vendor.number_of(charge.amount),
        "token": token,
        "payment_method_id": method,
        "installments": 1,
        "capture": capture,
        "external_reference": charge.reference,
        "payer": {"email": email},
        "metadata": dict(charge.metadata) or None,
        "description": charge.description,
        "statement_descriptor": charge.statement_descriptor,
    }
    fields = sdk.merged(fields, sdk.extra_for(vendor.name, charge.extra))
    return {name: value for name, value in fields.items() if value is not None}


@attrs.frozen(kw_only=True)
class MercadoPago(sdk.ApiVendor):
    """An account at Mercado Pago.

    Attributes:
        credentials: access token; by default the credential provider supplies it.
        currency: currency of the account's country, such as BRL.
        base_url: URL of Mercado Pago.
    """

    name = "mercado_pago"
    kinds = ("payments",)
    api_version = "v1"
    capabilities = sdk.members_of(
        PaymentsCapability,
        "authorize void look_up look_up_refund list statement_descriptor",
    )
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": _LONGEST_KEY, "page": _MOST_ROWS}
    modes = sdk.key_modes(test=("TEST-",))
    webhook = "mercado-pago"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = {
        **sdk.words(sdk.UnknownOutcome.ASKED_AGAIN, "authorize charge refund"),
        **sdk.words(sdk.UnknownOutcome.REPEATED, "capture void"),
    }

    refusals = staticmethod(classify)
    ping_path = "/v1/payment_methods"
    event_reading = staticmethod(read_events)

    currency: str = attrs.field(
        validator=sdk.matches(
            "[A-Z]{3}",
            problem="The currency is not the code of a currency.",
            remedy="Set the currency of the account's country, such as BRL or MXN.",
        )
    )
    base_url: str = "https://api.mercadopago.com"

    def number_of(self, amount: sdk.Money) -> float:
        """An amount as a JSON number.

        Raises:
            InvalidData: the account has another currency, or the number would be inexact.
        """
        number = float(amount.amount)
        if amount.currency == self.currency and sdk.as_decimal(number) == amount.amount:
            return number
        raise sdk.InvalidData(
            f"{VENDOR} cannot charge {amount} to this account, whose currency is {self.currency}.",
            field="amount",
            remedy="Pass an amount in the account's currency, or use another account.",
        )

    async def authorize(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise an amount, to be captured later."""
        return await self._pay(wire, charge, key, capture=False)

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge an amount at once."""
        return await self._pay(wire, charge, key, capture=True)

    async def _pay(self, wire: sdk.Wire, charge: Charge, key: str, *, capture: bool) -> Payment:
        request = sdk.Request.post(_PAYMENTS, json=payment_body(self, charge, capture=capture))
        payment = await wire.send(
            request,
            key=sdk.key_for_vendor(wire, key, _LONGEST_KEY),
            parse=partial(read_payment, wire),
        )
        if payment.state is PaymentState.FAILED:
            raise declined_error(payment)
        return payment

    async def capture(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        amount: sdk.Money | None,  # noqa: ARG002 - the vendor captures the whole amount
        /,
        *,
        final: bool,  # noqa: ARG002 - a payment has only one capture
        key: str,
    ) -> Capture:
        """Capture an authorised payment completely."""
        earlier_payment = await _payment_before(wire, ref, key)
        try:
            payment = await _change(wire, ref, key, capture=True)
        except sdk.VendorRejected:
            # The response to an earlier, successful attempt may have been lost.
            payment = await self.get(wire, ref)
            was_authorized = earlier_payment.state is PaymentState.AUTHORIZED
            if not was_authorized or payment.captured != earlier_payment.amount:
                raise
        is_captured = payment.captured == earlier_payment.amount
        return Capture(
            ref=payment.ref,
            payment=payment.ref,
            state=MoveState.SUCCEEDED if is_captured else MoveState.UNKNOWN,
            vendor_state=payment.vendor_state,
            amount=payment.amount,
            after=payment,
            raw=payment.raw,
        )

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:
        """Cancel a payment that is not captured."""
        try:
            payment = await _change(wire, ref, key, status=_VOIDED)
        except sdk.VendorRejected:
            # The response to an earlier, successful attempt may have been lost.
            payment = await self.get(wire, ref)
            if payment.vendor_state != _VOIDED:
                raise
        return void_of(payment, word=_VOIDED)

    async def refund(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        amount: sdk.Money | None,
        /,
        *,
        reason: RefundReason | None,  # noqa: ARG002 - Mercado Pago stores none
        key: str,
    ) -> Refund:
        """Refund a payment; without an amount, refund all that is not refunded yet."""
        refund_amount = amount or refundable_rest(await _payment_before(wire, ref, key))
        path = url_of(_PAYMENTS, ref.id, _REFUNDS)
        request = sdk.Request.post(path, json={"amount": self.number_of(refund_amount)})
        payment_ref = wire.ref(ref.id, currency=self.currency)
        refund = await wire.send(
            request,
            key=sdk.key_for_vendor(wire, key, _LONGEST_KEY),
            parse=partial(read_refund, wire, payment_ref),
        )
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
        """Get a payment."""
        return read_payment(wire, await wire.send(sdk.Request.get(url_of(_PAYMENTS, ref.id))))

    async def get_refund(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Refund:
        """Get a refund."""
        payment_ref = wire.ref(ref.other("payment") or "", currency=self.currency)
        path = url_of(_PAYMENTS, payment_ref.id, _REFUNDS, ref.id)
        return read_refund(wire, payment_ref, await wire.send(sdk.Request.get(path)))

    async def payments(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payment]:
        """List payments of the last twelve months, newest first."""
        start = 0 if after is None or not after.id.isdecimal() else int(after.id)
        filters: dict[str, str | int] = {
            "sort": "date_created",
            "criteria": "desc",
            "range": "date_created",
            "begin_date": "NOW-12MONTHS" if query.since is None else _date(query.since),
            "end_date": "NOW" if query.until is None else _date(query.until),
            "offset": start,
            "limit": min(query.limit, _MOST_ROWS),
        }
        response = await wire.send(sdk.Request.get(f"{_PAYMENTS}/search", query=filters))
        body = sdk.read_answer(response)
        rows = sdk.required_objects(body, "results", response)
        payments = [payment_of(wire.ref, row) for row in rows]
        end = start + len(rows)
        has_more = bool(rows) and end < (body.integer("paging.total") or 0)
        return Page(
            tuple(item for item in payments if item and is_within(query, item.created_at)),
            wire.ref(str(end)) if has_more else None,
        )


def _date(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


async def _change(wire: sdk.Wire, ref: sdk.Ref, key: str, **fields: Any) -> Payment:
    """Change fields of a payment, and return the payment after the change."""
    request = sdk.Request.put(url_of(_PAYMENTS, ref.id), json=fields)
    key = sdk.key_for_vendor(wire, key, _LONGEST_KEY)
    return await wire.send(request, key=key, parse=partial(read_payment, wire))


async def _payment_before(wire: sdk.Wire, ref: sdk.Ref, key: str) -> Payment:
    """Get the payment as it was when the idempotency key was first used."""
    request = sdk.Request.get(url_of(_PAYMENTS, ref.id))
    key = sdk.key_for_vendor(wire, sdk.part_key(key, "before"), _LONGEST_KEY)
    return await wire.send(request, key=key, parse=partial(read_payment, wire))
