"""The text-message operations, at the vendor that the configuration names."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from moorage.contracts.calling_codes import country_of
from moorage.contracts.routes import RoutingRequest
from moorage.contracts.sms import KIND, SmsCapability, SmsMessage, check_number
from moorage.contracts.validators import check_kind, check_text, several
from moorage.domain.idempotency.claims import checked_key
from moorage.domain.values.durations import count, maybe_seconds
from moorage.domain.values.result import Result
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from moorage.contracts.ref import Ref
    from moorage.contracts.sms import Balance, NumberCheck, SmsReceipt, SmsVendor
    from moorage.contracts.wire import Wire
    from moorage.services.contracts.dispatcher import Dispatcher

_COUNTRY: Final = re.compile("[A-Za-z]{2}")


class SmsFlows:
    """The text-message operations of one tenant.

    Args:
        desk: dispatcher that sends operations to vendors.
        tenant: tenant of the operations.
    """

    def __init__(self, dispatcher: Dispatcher, tenant: str | None) -> None:
        self._dispatcher = dispatcher
        self._tenant = tenant

    async def send(
        self,
        message: SmsMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> SmsReceipt:
        """Send a text message.

        Args:
            message: message with its recipient.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        check_kind(message, SmsMessage, "message")
        refused = self._dispatcher.refusal("send", [message.to])
        if refused is not None:
            raise refused

        async def perform(vendor: SmsVendor, wire: Wire) -> SmsReceipt:
            return await vendor.send(wire, message, key=idempotency_key)

        operation = self._operation("send", message.needs, country_of(message.to))
        return await self._dispatcher.execute(
            operation, perform, key=idempotency_key, timeout=timeout
        )

    async def send_bulk(
        self,
        messages: Sequence[SmsMessage],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[SmsReceipt]]:
        """Send many text messages; return their results in order.

        With a key, each message has a key of its own, derived from its position: a repeat after an
        interruption sends only the missing messages.

        Args:
            messages: messages to send.
            idempotency_key: identifies this batch.
            timeout: seconds for each message.
            at_once: maximum number of concurrent messages.
        """
        every = several(messages, "messages")
        maybe_seconds(timeout, "timeout")
        if idempotency_key is not None:
            checked_key(f"{checked_key(idempotency_key)}/{len(every)}")

        def step(number: int, message: SmsMessage) -> Callable[[], Awaitable[Result[SmsReceipt]]]:
            key = None if idempotency_key is None else f"{idempotency_key}/{number}"
            return partial(self._send_one, message, key, timeout)

        steps = [step(number, message) for number, message in enumerate(every, 1)]
        return await self._dispatcher.calling.core.every(steps, at_once=count(at_once, "at_once"))

    async def get(self, ref: Ref | str, *, timeout: float | None = None) -> SmsReceipt:
        """Get the current status of a message."""

        async def perform(vendor: SmsVendor, wire: Wire, ref: Ref) -> SmsReceipt:
            return await vendor.get(wire, ref)

        operation = self._operation("get", {SmsCapability.LOOK_UP})
        return await self._dispatcher.execute_at(ref, operation, perform, timeout=timeout)

    async def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> SmsReceipt:
        """Cancel a message that is scheduled for later."""

        async def perform(vendor: SmsVendor, wire: Wire, ref: Ref) -> SmsReceipt:
            return await vendor.cancel(wire, ref)

        operation = self._operation("cancel", {SmsCapability.CANCEL})
        return await self._dispatcher.execute_at(ref, operation, perform, timeout=timeout)

    async def validate_number(
        self, number: str, *, country: str | None = None, timeout: float | None = None
    ) -> NumberCheck:
        """Look up a telephone number.

        Args:
            number: number in international form, or as it is written in `country`.
            country: ISO 3166 code of two letters.
            timeout: seconds for the whole operation.
        """
        if country is None:
            check_number(number, "number")
        else:
            check_text(number, "number")
            _check_country(country)

        async def perform(vendor: SmsVendor, wire: Wire) -> NumberCheck:
            return await vendor.validate_number(wire, number, country=country)

        where = country_of(number) if country is None else country.upper()
        operation = self._operation("validate_number", {SmsCapability.VALIDATE_NUMBER}, where)
        return await self._dispatcher.execute(operation, perform, timeout=timeout)

    async def check_balance(self, *, timeout: float | None = None) -> Balance:
        """Get the balance of the account."""

        async def perform(vendor: SmsVendor, wire: Wire) -> Balance:
            return await vendor.check_balance(wire)

        operation = self._operation("check_balance", {SmsCapability.BALANCE})
        return await self._dispatcher.execute(operation, perform, timeout=timeout)

    async def _send_one(
        self, message: SmsMessage, key: str | None, timeout: float | None
    ) -> Result[SmsReceipt]:
        try:
            return Result(await self.send(message, idempotency_key=key, timeout=timeout))
        except Exception as error:  # noqa: BLE001 - each item has its own result
            return Result(error=error)

    def _operation(
        self, operation: str, needs: Iterable[str] = (), country: str | None = None
    ) -> RoutingRequest:
        return RoutingRequest(
            kind=KIND,
            operation=operation,
            tenant=self._tenant,
            needs=frozenset(needs),
            country=country,
        )


def _check_country(country: object) -> None:
    if not isinstance(country, str) or _COUNTRY.fullmatch(country) is None:
        raise InvalidData(
            "The country is not a valid country code.",
            field="country",
            remedy="Give its two letters, such as 'DE', or leave it out.",
        )
