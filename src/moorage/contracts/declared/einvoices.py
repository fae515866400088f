"""The contract of electronic invoices."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from moorage.contracts import einvoices
from moorage.contracts.declaration import Contract, Requirements, Target, changes, reads
from moorage.contracts.einvoices import (
    EinvoiceCapability,
    EinvoiceEvent,
    EinvoiceType,
    ElectronicAddress,
    OutgoingInvoice,
    check_fits,
)
from moorage.contracts.validators import check_kind

if TYPE_CHECKING:
    from moorage.contracts.einvoices import (
        EinvoiceInbox,
        ReceivedInvoice,
        RecipientCheck,
        SentInvoice,
    )
    from moorage.contracts.ref import Ref

_STATUS: Final[Requirements[SentInvoice]] = Requirements()
_INBOX: Final[Requirements[EinvoiceInbox]] = Requirements()
_MARK: Final[Requirements[None]] = Requirements()
_DOWNLOAD: Final[Requirements[ReceivedInvoice]] = Requirements()


class EinvoicesContract(Contract):
    """Sends and receives electronic invoices by the vendor that the configuration chooses."""

    kind = "einvoices"
    capabilities = EinvoiceCapability
    event = EinvoiceEvent
    values = (einvoices,)

    @changes()
    def send(
        self,
        invoice: OutgoingInvoice,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[SentInvoice]:
        """Send an invoice to its recipient.

        Args:
            invoice: invoice to send, from `moorage.invoices.outgoing_invoice`.
            idempotency_key: identifies this invoice: a repeat returns the same result.
            timeout: seconds for the whole operation.
        """
        check_kind(invoice, OutgoingInvoice, "invoice")
        return Requirements(
            needs=invoice.needs,
            recipients=() if invoice.recipient is None else (str(invoice.recipient),),
            check_limits=partial(check_fits, invoice),
        )

    @reads(target=Target.REFERENCE, needs=EinvoiceCapability.STATUS)
    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[SentInvoice]:
        """Get the current state of a sent invoice."""
        return _STATUS

    @reads(needs=EinvoiceCapability.LOOK_UP)
    def check_recipient(
        self,
        address: ElectronicAddress | str,
        *,
        document_type: EinvoiceType | str = EinvoiceType.INVOICE,
        timeout: float | None = None,
    ) -> Requirements[RecipientCheck]:
        """Look up if a recipient can receive a type of document.

        Args:
            address: electronic address of the recipient, such as "0208:0123456789".
            document_type: type of the document.
            timeout: seconds for the whole operation.
        """
        return Requirements(
            arguments={
                "address": ElectronicAddress.parse(address),
                "document_type": EinvoiceType(document_type),
            },
        )

    @reads(needs=EinvoiceCapability.INBOX)
    def list_received(self, *, timeout: float | None = None) -> Requirements[EinvoiceInbox]:
        """List the invoices that arrived and were not marked as fetched."""
        return _INBOX

    @reads(target=Target.REFERENCE, needs=EinvoiceCapability.DOWNLOAD)
    def download(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[ReceivedInvoice]:
        """Get an invoice that arrived, with its document as the sender wrote it."""
        return _DOWNLOAD

    @changes(target=Target.REFERENCE, needs=EinvoiceCapability.INBOX)
    def mark_fetched(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[None]:
        """Mark an invoice that arrived as fetched; repeating this has no further effect."""
        return _MARK
