"""The contract of mail."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from moorage.contracts import (
    email,
    email_address,
    email_bulk,
    email_mime,
    email_outcomes,
    email_received,
    email_suppressions,
    email_unsubscribe,
)
from moorage.contracts.declaration import (
    Contract,
    Effect,
    Requirements,
    Target,
    changes,
    reads,
)
from moorage.contracts.email import EmailCapability, EmailMessage, check_addressed, check_fits
from moorage.contracts.email_address import as_address
from moorage.contracts.email_outcomes import EmailEvent, StatisticsQuery
from moorage.contracts.ref import Ref
from moorage.contracts.validators import check_kind, check_maybe

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import AddressCheck, EmailReceipt, EmailStatistics
    from moorage.contracts.email_received import ReceivedEmail
    from moorage.contracts.email_suppressions import SuppressionPage

_LOOK_UP: Final[Requirements[EmailReceipt]] = Requirements()
_CANCEL: Final[Requirements[EmailReceipt]] = Requirements()
_RECEIVED: Final[Requirements[ReceivedEmail]] = Requirements()


class EmailContract(Contract):
    """Sends mail by the vendor that the configuration chooses."""

    kind = "email"
    capabilities = EmailCapability
    event = EmailEvent
    values = (
        email,
        email_address,
        email_bulk,
        email_mime,
        email_outcomes,
        email_received,
        email_suppressions,
        email_unsubscribe,
    )
    flows = {"send_bulk": Effect.DEFERRABLE}

    @changes()
    def send_transactional(
        self,
        message: EmailMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[EmailReceipt]:
        """Send one message; its recipients see each other, except for blind copies.

        Args:
            message: message with its recipients.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        check_kind(message, EmailMessage, "message")
        check_addressed(message)
        return Requirements(
            needs=message.needs,
            recipients=tuple(address.email for address in message.everybody),
            check_limits=partial(check_fits, message, len(message.everybody)),
        )

    @reads(target=Target.REFERENCE, needs=EmailCapability.LOOK_UP)
    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[EmailReceipt]:
        """Get the current status of a message, and of each recipient where the vendor states it."""
        return _LOOK_UP

    @changes(target=Target.REFERENCE, needs=EmailCapability.CANCEL)
    def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[EmailReceipt]:
        """Cancel a message that is scheduled for later.

        Args:
            ref: reference of the message.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor does not know the message, or it is too late. Some vendors do
                not know a message after its cancellation either; the others return it as
                cancelled.
        """
        return _CANCEL

    @reads(needs=EmailCapability.VALIDATE_ADDRESS)
    def validate_address(
        self, address: EmailAddress | str, *, timeout: float | None = None
    ) -> Requirements[AddressCheck]:
        """Ask the vendor if mail to an address can be delivered."""
        return Requirements(
            arguments={"address": as_address(address, "address")},
        )

    @reads(needs=EmailCapability.STATISTICS)
    def get_statistics(
        self, query: StatisticsQuery, *, timeout: float | None = None
    ) -> Requirements[EmailStatistics]:
        """Get the statistics of the mail sent in a range of days."""
        check_kind(query, StatisticsQuery, "query")
        return Requirements()

    @reads(target=Target.REFERENCE, needs=EmailCapability.RECEIVED)
    def get_received(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[ReceivedEmail]:
        """Get a received message whose webhook has no content."""
        return _RECEIVED

    @reads(target=Target.PAGE, needs=EmailCapability.SUPPRESSIONS)
    def suppressions(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[SuppressionPage]:
        """Get a page of the addresses that the vendor sends nothing to, and the reasons.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        check_maybe(account, str, "account")
        start = None if after is None else Ref.parse(after, "after")
        return Requirements(arguments={"after": start})

    @changes(target=Target.ACCOUNT, needs=EmailCapability.ADD_SUPPRESSION)
    def add_suppression(
        self,
        address: EmailAddress | str,
        *,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[None]:
        """Prevent the vendor from sending anything to an address.

        Args:
            address: the address; a suppressed address stays suppressed.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        check_maybe(account, str, "account")
        return Requirements(
            arguments={"address": as_address(address, "address")},
        )

    @changes(target=Target.ACCOUNT, needs=EmailCapability.SUPPRESSIONS)
    def remove_suppression(
        self,
        address: EmailAddress | str,
        *,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[None]:
        """Allow the vendor to send to an address again, such as to a mailbox that was full.

        Args:
            address: the address; an address that is not suppressed counts as removed.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor keeps the address suppressed, such as after a complaint.
        """
        check_maybe(account, str, "account")
        return Requirements(
            arguments={"address": as_address(address, "address")},
        )
