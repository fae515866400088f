"""Payments, by whoever the configuration names, and afterwards by whoever took them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.contracts.kinds import (
    as_table,
    check_kind,
    check_maybe,
    check_texts,
    several,
)
from moorage.contracts.payments import (
    KIND,
    Charge,
    PaymentEvent,
    PaymentQuery,
    PaymentsCapability,
    RefundReason,
    Unsettled,
    capture_needs,
    check_currency,
)
from moorage.contracts.payments.asking import check_amount, stated_amount
from moorage.contracts.payments.news import told_by
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Asked
from moorage.domain.durations import count, maybe_seconds
from moorage.domain.idempotency import checked_key
from moorage.domain.result import Result
from moorage.errors import InvalidData, InvalidRequest, OutcomeUnknown, VendorRejected
from moorage.services.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from moorage.contracts.payments import (
        Capture,
        Dispute,
        Money,
        Page,
        Payment,
        PaymentsVendor,
        Payout,
        Refund,
        Void,
    )
    from moorage.contracts.wire import Wire
    from moorage.services.desk import Desk

R = TypeVar("R")

_FIRST_REFUNDS: Final = "payments.refund"
_YEAR: Final = 366 * 86_400.0
"""Seconds for which a payment may be given back in parts, at the vendors that allow it longest."""


class PaymentsFlows:
    """The operations of payments, for one tenant.

    Args:
        desk: hands operations to vendors.
        tenant: whose operations they are.
    """

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._desk = desk
        self._tenant = tenant

    async def create_intent(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Prepare a payment that the buyer goes on with in the vendor's form; nothing moves yet.

        Args:
            charge: what is to be paid.
            idempotency_key: names this one payment: a repeat gets the same.
            timeout: seconds for the whole of it.
        """
        check_kind(charge, Charge, "charge")
        needs = charge.needs | {PaymentsCapability.INTENT}
        return await self._begin("create_intent", charge, needs, idempotency_key, timeout)

    async def authorize(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Have an amount set aside, to be captured or given up later.

        Args:
            charge: what is to be paid, and with what.
            idempotency_key: names this one payment: a repeat gets the same, never a second one.
            timeout: seconds for the whole of it.

        Raises:
            PaymentDeclined: it was declined; `reason` says why.
        """
        check_kind(charge, Charge, "charge")
        _check_source(charge)
        return await self._begin("authorize", charge, charge.needs, idempotency_key, timeout)

    async def charge(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Take an amount at once.

        Args:
            charge: what is to be paid, and with what.
            idempotency_key: names this one payment: a repeat gets the same, never a second one.
            timeout: seconds for the whole of it.

        Raises:
            PaymentDeclined: it was declined; `reason` says why.
        """
        check_kind(charge, Charge, "charge")
        _check_source(charge)
        return await self._begin("charge", charge, charge.needs, idempotency_key, timeout)

    async def complete(
        self,
        ref: Ref | str,
        returned: Mapping[str, str] | None = None,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Payment:
        """Go on with a payment after the buyer has done what its next action was.

        Args:
            ref: the payment.
            returned: what the buyer came back with, such as the parameters of the return URL.
            idempotency_key: names this one step.
            timeout: seconds for the whole of it.

        Raises:
            PaymentDeclined: it was declined; `reason` says why.
        """
        came_back = as_table({} if returned is None else returned)
        check_texts(came_back, "returned")

        async def deed(vendor: PaymentsVendor, wire: Wire, found: Ref) -> Payment:
            return await vendor.complete(wire, found, came_back, key=idempotency_key)

        asked = self._asked("complete", {PaymentsCapability.COMPLETE})
        return await self._desk.at(
            ref, asked, deed, key=_required(idempotency_key), timeout=timeout
        )

    async def capture(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        final: bool = True,
        timeout: float | None = None,
    ) -> Capture:
        """Take what was authorised, or a part of it.

        Args:
            ref: the payment.
            amount: how much; all of it by default.
            idempotency_key: names this one capture.
            final: whether the rest is given up, or left to be captured later.
            timeout: seconds for the whole of it.
        """
        check_kind(final, bool, "final")
        _check_some(amount)

        async def deed(vendor: PaymentsVendor, wire: Wire, found: Ref) -> Capture:
            await _check_currency(vendor, wire, found, amount)
            return await _refused_alike(
                vendor.capture(wire, found, amount, final=final, key=idempotency_key)
            )

        asked = self._asked("capture", capture_needs(final=final))
        return await self._desk.at(
            ref, asked, deed, key=_required(idempotency_key), timeout=timeout
        )

    async def void(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> Void:
        """Give up what was authorised and not captured.

        Args:
            ref: the payment.
            idempotency_key: names this one effect.
            timeout: seconds for the whole of it.
        """

        async def deed(vendor: PaymentsVendor, wire: Wire, found: Ref) -> Void:
            return await _refused_alike(vendor.void(wire, found, key=idempotency_key))

        key = _required(idempotency_key)
        return await self._desk.at(ref, self._asked("void"), deed, key=key, timeout=timeout)

    async def refund(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        reason: RefundReason | str | None = None,
        timeout: float | None = None,
    ) -> Refund:
        """Give back what was captured, or a part of it.

        Args:
            ref: the payment.
            amount: how much; all that is left by default.
            idempotency_key: names this one refund: another part takes another key.
            reason: why, also as a text, such as "duplicate".
            timeout: seconds for the whole of it.

        Raises:
            VendorRejected: nothing is left to give back, or not so much; or the vendor cannot be
                asked what is left after a part, and no amount is given.
        """
        why = None if reason is None else RefundReason(reason)
        _check_some(amount)

        async def deed(vendor: PaymentsVendor, wire: Wire, found: Ref) -> Refund:
            await _check_currency(vendor, wire, found, amount)
            await self._check_rest(vendor, found, amount, idempotency_key)
            return await _refused_alike(
                vendor.refund(wire, found, amount, reason=why, key=idempotency_key)
            )

        key = _required(idempotency_key)
        return await self._desk.at(ref, self._asked("refund"), deed, key=key, timeout=timeout)

    async def get(self, ref: Ref | str, *, timeout: float | None = None) -> Payment:
        """Ask what became of a payment."""

        async def deed(vendor: PaymentsVendor, wire: Wire, found: Ref) -> Payment:
            return await vendor.get(wire, found)

        asked = self._asked("get", {PaymentsCapability.LOOK_UP})
        return await self._desk.at(ref, asked, deed, timeout=timeout)

    async def get_refund(self, ref: Ref | str, *, timeout: float | None = None) -> Refund:
        """Ask what became of a refund, by its own reference."""

        async def deed(vendor: PaymentsVendor, wire: Wire, found: Ref) -> Refund:
            return await vendor.get_refund(wire, found)

        asked = self._asked("get_refund", {PaymentsCapability.LOOK_UP_REFUND})
        return await self._desk.at(ref, asked, deed, timeout=timeout)

    async def follow_up(self, event: PaymentEvent, *, timeout: float | None = None) -> PaymentEvent:
        """All that news mean: the vendor is asked where they only say that there are some.

        Nothing but the id is taken from such news, so that whoever makes some up can only have the
        truth looked up.

        Args:
            event: what `Hub.events` made of a webhook; whatever says enough by itself comes back.
            timeout: seconds for asking.
        """
        check_kind(event, PaymentEvent, "event")
        if not event.ask:
            return event
        return told_by(event, await self.get(event.ref, timeout=timeout))

    async def settle(
        self,
        payments: Iterable[Ref | str | Unsettled],
        *,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[Payment]]:
        """Ask of each payment what became of it, and tell it in their order.

        Args:
            payments: references of payments, and `Unsettled` for those whose reference never
                arrived: they are asked for again under their key, which does nothing twice.
            timeout: seconds for each payment.
            at_once: how many may be asked for at once.
        """

        def step(one: Ref | str | Unsettled) -> Callable[[], Awaitable[Result[Payment]]]:
            return partial(self._told, one, timeout)

        maybe_seconds(timeout, "timeout")
        return await self._desk.calling.core.every(
            [step(one) for one in several(payments, "payments")], at_once=count(at_once, "at_once")
        )

    async def payments(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Payment]:
        """A page of the payments that the vendor knows.

        Args:
            query: which of them.
            after: the `next` of the page before.
            account: whose, if several are configured.
            timeout: seconds for the whole of it.
        """
        asked = self._asked("payments", {PaymentsCapability.LIST})
        page: Page[Payment] = await self._page(asked, query, after, account, timeout)
        return page

    async def disputes(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Dispute]:
        """A page of the disputes that the vendor knows.

        Args:
            query: which of them.
            after: the `next` of the page before.
            account: whose, if several are configured.
            timeout: seconds for the whole of it.
        """
        asked = self._asked("disputes", {PaymentsCapability.DISPUTES})
        page: Page[Dispute] = await self._page(asked, query, after, account, timeout)
        return page

    async def payouts(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Payout]:
        """A page of the payouts to our bank that the vendor knows.

        Args:
            query: which of them.
            after: the `next` of the page before.
            account: whose, if several are configured.
            timeout: seconds for the whole of it.
        """
        asked = self._asked("payouts", {PaymentsCapability.PAYOUTS})
        page: Page[Payout] = await self._page(asked, query, after, account, timeout)
        return page

    async def _begin(
        self,
        operation: str,
        charge: Charge,
        needs: Iterable[str],
        key: str,
        timeout: float | None,
    ) -> Payment:
        async def deed(vendor: PaymentsVendor, wire: Wire) -> Payment:
            payment: Payment = await getattr(vendor, operation)(wire, charge, key=key)
            return payment

        asked = Asked(
            kind=KIND,
            operation=operation,
            tenant=self._tenant,
            needs=frozenset(needs),
            country=charge.country,
            currency=charge.amount.currency,
        )
        return await self._desk.ask(asked, deed, key=_required(key), timeout=timeout)

    async def _page(
        self,
        asked: Asked,
        query: PaymentQuery | None,
        after: Ref | str | None,
        account: str | None,
        timeout: float | None,
    ) -> Any:
        query = PaymentQuery() if query is None else query
        check_kind(query, PaymentQuery, "query")
        check_maybe(account, str, "account")
        operation = asked.operation
        if after is None and account is None:

            async def first(vendor: PaymentsVendor, wire: Wire) -> Any:
                return await getattr(vendor, operation)(wire, query, None)

            return await self._desk.ask(asked, first, timeout=timeout)

        async def deed(vendor: PaymentsVendor, wire: Wire, _: Ref) -> Any:
            return await getattr(vendor, operation)(wire, query, start)

        start = None if after is None else Ref.parse(after, "after")
        at = start if start is not None else self._somewhere(account or "")
        return await self._desk.at(at, asked, deed, timeout=timeout)

    async def _check_rest(
        self, vendor: PaymentsVendor, ref: Ref, amount: Money | None, key: str
    ) -> None:
        """Refuse to give back the rest of what a vendor cannot be asked about.

        The first refund of such a payment is written down. If that is another one, the rest is
        less than the whole, which is all that the reference knows.

        Raises:
            VendorRejected: the caller has to say how much.
        """
        whole = stated_amount(ref)
        known = whole is None or PaymentsCapability.LOOK_UP in vendor.capabilities
        if known or self._desk.safety.dry_run:
            return
        calling = self._desk.calling
        turn = Turn(
            calling.core,
            _FIRST_REFUNDS,
            self._tenant,
            f"{ref.account}:{ref.id}",
            remembered=_YEAR,
            seconds=calling.plans.services[ref.account].timeout,
        )
        first, _ = await turn.settled(key, movable=False)
        if amount is None and first != key:
            raise VendorRejected(
                "A refund of this payment was asked for before, and"
                f" {ref.vendor} does not tell what is left.",
                remedy="Give the amount.",
            )

    def _somewhere(self, account: str) -> Ref:
        """A reference that stands for the account itself."""
        known = self._desk.directory.accounts.get(account)
        if known is None:
            raise InvalidData(
                f"No account is named {account!r}.",
                field="account",
                remedy="Give the name of a configured account.",
            )
        return Ref(known.vendor.name, account, account)

    async def _told(self, one: Ref | str | Unsettled, timeout: float | None) -> Result[Payment]:
        try:
            if isinstance(one, Unsettled):
                again = getattr(self, one.operation)
                key = one.idempotency_key
                try:
                    return Result(await again(one.charge, idempotency_key=key, timeout=timeout))
                except OutcomeUnknown as error:
                    return Result(await self._found(one, error, timeout))
            return Result(await self.get(one, timeout=timeout))
        except Exception as error:  # noqa: BLE001 - each item has its own result
            return Result(error=error)

    async def _found(
        self, one: Unsettled, unknown: OutcomeUnknown, timeout: float | None
    ) -> Payment:
        """The payment that has the reference of one whose answer was lost.

        That there is none proves nothing: it may not be listed yet.
        """
        account = self._desk.directory.accounts.get(unknown.service or "")
        lists = account is not None and PaymentsCapability.LIST in account.vendor.capabilities
        if one.since is None or not lists:
            raise unknown
        query, after = PaymentQuery(since=one.since), None
        while True:
            page = await self.payments(query, after=after, account=unknown.service, timeout=timeout)
            for payment in page.items:
                if payment.reference == one.charge.reference:
                    return payment
            after = page.next
            if after is None:
                raise unknown

    def _asked(self, operation: str, needs: Iterable[str] = ()) -> Asked:
        return Asked(kind=KIND, operation=operation, tenant=self._tenant, needs=frozenset(needs))


def _check_source(charge: Charge) -> None:
    if charge.source is None:
        raise InvalidData(
            "There is nothing to pay with.",
            field="source",
            remedy="Give the vendor's token, or create an intent for the buyer to go on with.",
        )


def _required(key: str | None) -> str:
    """A key that somebody must have given: without one, a repeat would move money again."""
    if key is None:
        raise InvalidData(
            "Nothing that moves money is done without a key.",
            field="idempotency_key",
            remedy="Name the effect, such as idempotency_key='INV-2041/1'.",
        )
    return checked_key(key)


def _check_some(amount: object) -> None:
    """Refuse what is neither None nor an amount that can be moved."""
    if amount is not None:
        check_amount(amount)


async def _refused_alike(step: Awaitable[R]) -> R:
    """What a step on a payment brings; a refusal of it has one type at all vendors.

    Nothing of the step itself can be wrong by then, so that "wrong", as some vendors say, is the
    state that the payment is in, or an amount that it does not have.
    """
    try:
        return await step
    except InvalidRequest as error:
        refused = VendorRejected(error.message)
        vars(refused).update(vars(error))
        raise refused from error


async def _check_currency(
    vendor: PaymentsVendor, wire: Wire, ref: Ref, amount: Money | None
) -> None:
    """Refuse another currency than the payment's, before anything is done."""
    if amount is None:
        return
    currency = ref.other("currency")
    if currency is None and PaymentsCapability.LOOK_UP in vendor.capabilities:
        payment = await vendor.get(wire, ref)
        currency = None if payment.amount is None else payment.amount.currency
    check_currency(amount, currency)
