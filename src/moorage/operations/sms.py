"""The operations on text messages for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.live_configuration import CurrentOperations
from moorage.services.contracts.sms import SmsFlows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.ref import Ref
    from moorage.contracts.sms import Balance, NumberCheck, SmsMessage, SmsReceipt
    from moorage.contracts.sms_opt_outs import OptOut, OptOutPage
    from moorage.contracts.sms_templates import TemplateMessage
    from moorage.contracts.verification import Verification, VerificationRequest
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.values.result import Result
    from moorage.services.contracts.live_configuration import FindDispatcher


class Sms(Uncopyable):
    """Sends text messages by the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(SmsFlows, find_dispatcher, tenant)

    def send_bulk(
        self,
        messages: Sequence[SmsMessage],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[SmsReceipt]]:
        """Send many text messages; return their results in order.

        With a key, each message has its own key, derived from the message's position: a repeat
        after an interruption sends only the missing messages.

        Args:
            messages: messages to send.
            idempotency_key: identifies this batch.
            timeout: seconds for each message.
            at_once: maximum number of concurrent messages.
        """
        return run_now(
            self._flows.run(
                SmsFlows.send_bulk,
                messages,
                idempotency_key=idempotency_key,
                timeout=timeout,
                at_once=at_once,
            )
        )

    def send(
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
        return run_now(
            self._flows.run(
                SmsFlows.send, message, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def send_template(
        self,
        message: TemplateMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> SmsReceipt:
        """Send a message by WhatsApp or RCS from a template that the vendor has approved.

        Args:
            message: message with its recipient and template.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                SmsFlows.send_template, message, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def get(self, ref: Ref | str, *, timeout: float | None = None) -> SmsReceipt:
        """Get the current status of a message."""
        return run_now(self._flows.run(SmsFlows.get, ref, timeout=timeout))

    def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> SmsReceipt:
        """Cancel a message that is scheduled for later."""
        return run_now(self._flows.run(SmsFlows.cancel, ref, timeout=timeout))

    def validate_number(
        self, number: str, *, country: str | None = None, timeout: float | None = None
    ) -> NumberCheck:
        """Look up a telephone number.

        Args:
            number: number in international form, or as it is written in `country`.
            country: ISO 3166 code of two letters.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(SmsFlows.validate_number, number, country=country, timeout=timeout)
        )

    def check_balance(self, *, timeout: float | None = None) -> Balance:
        """Get the balance of the account."""
        return run_now(self._flows.run(SmsFlows.check_balance, timeout=timeout))

    def opt_outs(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> OptOutPage:
        """Get a page of the numbers whose owners have opted out of messages.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(SmsFlows.opt_outs, after=after, account=account, timeout=timeout)
        )

    def find_opt_outs(
        self, number: str, *, account: str | None = None, timeout: float | None = None
    ) -> tuple[OptOut, ...]:
        """Get the opt-outs of a number; none if the vendor still sends messages to the number.

        Args:
            number: number in E.164 form.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(SmsFlows.find_opt_outs, number, account=account, timeout=timeout)
        )

    def remove_opt_out(
        self, number: str, *, account: str | None = None, timeout: float | None = None
    ) -> None:
        """Allow messages to a number again, after its owner has agreed to that.

        Args:
            number: number in E.164 form; a number that has not opted out stays unchanged.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: only the owner can opt in again, or it is too early.
        """
        return run_now(
            self._flows.run(SmsFlows.remove_opt_out, number, account=account, timeout=timeout)
        )

    def start_verification(
        self,
        request: VerificationRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Verification:
        """Send a verification code, which the vendor makes and keeps.

        Args:
            request: number that gets the code.
            idempotency_key: identifies this code: a repeat returns the same verification.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                SmsFlows.start_verification,
                request,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def check_verification(
        self, ref: Ref | str, code: Secret | str, *, to: str, timeout: float | None = None
    ) -> Verification:
        """Check a code that a person entered, which uses up an attempt.

        moorage never repeats a check: after a lost response, ask for the code again.

        Args:
            ref: reference of the verification.
            code: entered code.
            to: number that is to be verified; a code that was sent to another number is refused
                where the vendor states the number.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the code was sent to another number.
        """
        return run_now(
            self._flows.run(SmsFlows.check_verification, ref, code, to=to, timeout=timeout)
        )


class AsyncSms(Uncopyable):
    """The asynchronous version of `Sms`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(SmsFlows, find_dispatcher, tenant)

    async def send_bulk(
        self,
        messages: Sequence[SmsMessage],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[SmsReceipt]]:
        """Send many text messages; return their results in order.

        With a key, each message has its own key, derived from the message's position: a repeat
        after an interruption sends only the missing messages.

        Args:
            messages: messages to send.
            idempotency_key: identifies this batch.
            timeout: seconds for each message.
            at_once: maximum number of concurrent messages.
        """
        return await self._flows.run(
            SmsFlows.send_bulk,
            messages,
            idempotency_key=idempotency_key,
            timeout=timeout,
            at_once=at_once,
        )

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
        return await self._flows.run(
            SmsFlows.send, message, idempotency_key=idempotency_key, timeout=timeout
        )

    async def send_template(
        self,
        message: TemplateMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> SmsReceipt:
        """Send a message by WhatsApp or RCS from a template that the vendor has approved.

        Args:
            message: message with its recipient and template.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            SmsFlows.send_template, message, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get(self, ref: Ref | str, *, timeout: float | None = None) -> SmsReceipt:
        """Get the current status of a message."""
        return await self._flows.run(SmsFlows.get, ref, timeout=timeout)

    async def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> SmsReceipt:
        """Cancel a message that is scheduled for later."""
        return await self._flows.run(SmsFlows.cancel, ref, timeout=timeout)

    async def validate_number(
        self, number: str, *, country: str | None = None, timeout: float | None = None
    ) -> NumberCheck:
        """Look up a telephone number.

        Args:
            number: number in international form, or as it is written in `country`.
            country: ISO 3166 code of two letters.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            SmsFlows.validate_number, number, country=country, timeout=timeout
        )

    async def check_balance(self, *, timeout: float | None = None) -> Balance:
        """Get the balance of the account."""
        return await self._flows.run(SmsFlows.check_balance, timeout=timeout)

    async def opt_outs(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> OptOutPage:
        """Get a page of the numbers whose owners have opted out of messages.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            SmsFlows.opt_outs, after=after, account=account, timeout=timeout
        )

    async def find_opt_outs(
        self, number: str, *, account: str | None = None, timeout: float | None = None
    ) -> tuple[OptOut, ...]:
        """Get the opt-outs of a number; none if the vendor still sends messages to the number.

        Args:
            number: number in E.164 form.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            SmsFlows.find_opt_outs, number, account=account, timeout=timeout
        )

    async def remove_opt_out(
        self, number: str, *, account: str | None = None, timeout: float | None = None
    ) -> None:
        """Allow messages to a number again, after its owner has agreed to that.

        Args:
            number: number in E.164 form; a number that has not opted out stays unchanged.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: only the owner can opt in again, or it is too early.
        """
        return await self._flows.run(
            SmsFlows.remove_opt_out, number, account=account, timeout=timeout
        )

    async def start_verification(
        self,
        request: VerificationRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Verification:
        """Send a verification code, which the vendor makes and keeps.

        Args:
            request: number that gets the code.
            idempotency_key: identifies this code: a repeat returns the same verification.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            SmsFlows.start_verification, request, idempotency_key=idempotency_key, timeout=timeout
        )

    async def check_verification(
        self, ref: Ref | str, code: Secret | str, *, to: str, timeout: float | None = None
    ) -> Verification:
        """Check a code that a person entered, which uses up an attempt.

        moorage never repeats a check: after a lost response, ask for the code again.

        Args:
            ref: reference of the verification.
            code: entered code.
            to: number that is to be verified; a code that was sent to another number is refused
                where the vendor states the number.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the code was sent to another number.
        """
        return await self._flows.run(SmsFlows.check_verification, ref, code, to=to, timeout=timeout)
