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
from moorage.contracts.validators import check_kind

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import AddressCheck, EmailReceipt, EmailStatistics
    from moorage.contracts.email_received import ReceivedEmail
    from moorage.contracts.ref import Ref

_RECEIVED: Final[Requirements[ReceivedEmail]] = Requirements(needs={EmailCapability.RECEIVED})


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

    @reads()
    def validate_address(
        self, address: EmailAddress | str, *, timeout: float | None = None
    ) -> Requirements[AddressCheck]:
        """Ask the vendor if mail to an address can be delivered."""
        return Requirements(
            needs={EmailCapability.VALIDATE_ADDRESS},
            arguments={"address": as_address(address, "address")},
        )

    @reads()
    def get_statistics(
        self, query: StatisticsQuery, *, timeout: float | None = None
    ) -> Requirements[EmailStatistics]:
        """Get the statistics of the mail sent in a range of days."""
        check_kind(query, StatisticsQuery, "query")
        return Requirements(needs={EmailCapability.STATISTICS})

    @reads(target=Target.REFERENCE)
    def get_received(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[ReceivedEmail]:
        """Get a received message whose webhook has no content."""
        return _RECEIVED
