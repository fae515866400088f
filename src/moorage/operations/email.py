"""The operations on mail for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.email import EmailFlows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import (
        AddressCheck,
        EmailReceipt,
        EmailStatistics,
        StatisticsQuery,
    )
    from moorage.contracts.email_received import ReceivedEmail
    from moorage.contracts.email_suppressions import SuppressionPage
    from moorage.contracts.ref import Ref
    from moorage.domain.values.result import Result
    from moorage.services.contracts.live_configuration import FindDispatcher


class Email(Uncopyable):
    """Sends mail by the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(EmailFlows, find_dispatcher, tenant)

    def send_bulk(
        self,
        bulk: BulkMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        at_once: int = 4,
    ) -> list[Result[EmailReceipt]]:
        """Send one message to many recipients separately; return their results in order.

        The recipients are sent in chunks of the vendor's batch size; a failed chunk does not
        affect the others. With a key, each chunk has its own key, derived from the chunk's
        position: a repeat after an interruption sends only the missing chunks.

        Args:
            bulk: message with its recipients.
            idempotency_key: identifies this bulk message.
            timeout: seconds for each chunk.
            at_once: maximum number of concurrent chunks.
        """
        return run_now(
            self._flows.run(
                EmailFlows.send_bulk,
                bulk,
                idempotency_key=idempotency_key,
                timeout=timeout,
                at_once=at_once,
            )
        )

    def send_transactional(
        self,
        message: EmailMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> EmailReceipt:
        """Send one message; its recipients see each other, except for blind copies.

        Args:
            message: message with its recipients.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                EmailFlows.send_transactional,
                message,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def get(self, ref: Ref | str, *, timeout: float | None = None) -> EmailReceipt:
        """Get the current status of a message, and of each recipient where the vendor states it."""
        return run_now(self._flows.run(EmailFlows.get, ref, timeout=timeout))

    def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> EmailReceipt:
        """Cancel a message that is scheduled for later.

        Args:
            ref: reference of the message.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor does not know the message, or it is too late. Some vendors do
                not know a message after its cancellation either; the others return it as
                cancelled.
        """
        return run_now(self._flows.run(EmailFlows.cancel, ref, timeout=timeout))

    def validate_address(
        self, address: EmailAddress | str, *, timeout: float | None = None
    ) -> AddressCheck:
        """Ask the vendor if mail to an address can be delivered."""
        return run_now(self._flows.run(EmailFlows.validate_address, address, timeout=timeout))

    def get_statistics(
        self, query: StatisticsQuery, *, timeout: float | None = None
    ) -> EmailStatistics:
        """Get the statistics of the mail sent in a range of days."""
        return run_now(self._flows.run(EmailFlows.get_statistics, query, timeout=timeout))

    def get_received(self, ref: Ref | str, *, timeout: float | None = None) -> ReceivedEmail:
        """Get a received message whose webhook has no content."""
        return run_now(self._flows.run(EmailFlows.get_received, ref, timeout=timeout))

    def suppressions(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> SuppressionPage:
        """Get a page of the addresses that the vendor sends nothing to, and the reasons.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(EmailFlows.suppressions, after=after, account=account, timeout=timeout)
        )

    def add_suppression(
        self,
        address: EmailAddress | str,
        *,
        account: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Prevent the vendor from sending anything to an address.

        Args:
            address: the address; a suppressed address stays suppressed.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(EmailFlows.add_suppression, address, account=account, timeout=timeout)
        )

    def remove_suppression(
        self,
        address: EmailAddress | str,
        *,
        account: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Allow the vendor to send to an address again, such as to a mailbox that was full.

        Args:
            address: the address; an address that is not suppressed counts as removed.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor keeps the address suppressed, such as after a complaint.
        """
        return run_now(
            self._flows.run(
                EmailFlows.remove_suppression, address, account=account, timeout=timeout
            )
        )


class AsyncEmail(Uncopyable):
    """The asynchronous version of `Email`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(EmailFlows, find_dispatcher, tenant)

    async def send_bulk(
        self,
        bulk: BulkMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        at_once: int = 4,
    ) -> list[Result[EmailReceipt]]:
        """Send one message to many recipients separately; return their results in order.

        The recipients are sent in chunks of the vendor's batch size; a failed chunk does not
        affect the others. With a key, each chunk has its own key, derived from the chunk's
        position: a repeat after an interruption sends only the missing chunks.

        Args:
            bulk: message with its recipients.
            idempotency_key: identifies this bulk message.
            timeout: seconds for each chunk.
            at_once: maximum number of concurrent chunks.
        """
        return await self._flows.run(
            EmailFlows.send_bulk,
            bulk,
            idempotency_key=idempotency_key,
            timeout=timeout,
            at_once=at_once,
        )

    async def send_transactional(
        self,
        message: EmailMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> EmailReceipt:
        """Send one message; its recipients see each other, except for blind copies.

        Args:
            message: message with its recipients.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            EmailFlows.send_transactional, message, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get(self, ref: Ref | str, *, timeout: float | None = None) -> EmailReceipt:
        """Get the current status of a message, and of each recipient where the vendor states it."""
        return await self._flows.run(EmailFlows.get, ref, timeout=timeout)

    async def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> EmailReceipt:
        """Cancel a message that is scheduled for later.

        Args:
            ref: reference of the message.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor does not know the message, or it is too late. Some vendors do
                not know a message after its cancellation either; the others return it as
                cancelled.
        """
        return await self._flows.run(EmailFlows.cancel, ref, timeout=timeout)

    async def validate_address(
        self, address: EmailAddress | str, *, timeout: float | None = None
    ) -> AddressCheck:
        """Ask the vendor if mail to an address can be delivered."""
        return await self._flows.run(EmailFlows.validate_address, address, timeout=timeout)

    async def get_statistics(
        self, query: StatisticsQuery, *, timeout: float | None = None
    ) -> EmailStatistics:
        """Get the statistics of the mail sent in a range of days."""
        return await self._flows.run(EmailFlows.get_statistics, query, timeout=timeout)

    async def get_received(self, ref: Ref | str, *, timeout: float | None = None) -> ReceivedEmail:
        """Get a received message whose webhook has no content."""
        return await self._flows.run(EmailFlows.get_received, ref, timeout=timeout)

    async def suppressions(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> SuppressionPage:
        """Get a page of the addresses that the vendor sends nothing to, and the reasons.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            EmailFlows.suppressions, after=after, account=account, timeout=timeout
        )

    async def add_suppression(
        self,
        address: EmailAddress | str,
        *,
        account: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Prevent the vendor from sending anything to an address.

        Args:
            address: the address; a suppressed address stays suppressed.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            EmailFlows.add_suppression, address, account=account, timeout=timeout
        )

    async def remove_suppression(
        self,
        address: EmailAddress | str,
        *,
        account: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Allow the vendor to send to an address again, such as to a mailbox that was full.

        Args:
            address: the address; an address that is not suppressed counts as removed.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor keeps the address suppressed, such as after a complaint.
        """
        return await self._flows.run(
            EmailFlows.remove_suppression, address, account=account, timeout=timeout
        )
