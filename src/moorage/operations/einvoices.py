"""The operations on e-invoices for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.einvoices import EinvoicesContract
from moorage.contracts.einvoices import EinvoiceType
from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.einvoices import (
        EinvoiceInbox,
        ElectronicAddress,
        OutgoingInvoice,
        ReceivedInvoice,
        RecipientCheck,
        SentInvoice,
    )
    from moorage.contracts.ref import Ref
    from moorage.services.contracts.live_configuration import FindDispatcher


class EinvoicesFlows(Flows, EinvoicesContract):
    """The operations of one tenant."""


class Einvoices(Uncopyable):
    """Sends and receives electronic invoices by the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(EinvoicesFlows, find_dispatcher, tenant)

    def send(
        self,
        invoice: OutgoingInvoice,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> SentInvoice:
        """Send an invoice to its recipient.

        Args:
            invoice: invoice to send, from `moorage.invoices.outgoing_invoice`.
            idempotency_key: identifies this invoice: a repeat returns the same result.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                EinvoicesFlows.send, invoice, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def get(self, ref: Ref | str, *, timeout: float | None = None) -> SentInvoice:
        """Get the current state of a sent invoice."""
        return run_now(self._flows.run(EinvoicesFlows.get, ref, timeout=timeout))

    def check_recipient(
        self,
        address: ElectronicAddress | str,
        *,
        document_type: EinvoiceType | str = EinvoiceType.INVOICE,
        timeout: float | None = None,
    ) -> RecipientCheck:
        """Look up if a recipient can receive a type of document.

        Args:
            address: electronic address of the recipient, such as "0208:0123456789".
            document_type: type of the document.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                EinvoicesFlows.check_recipient,
                address,
                document_type=document_type,
                timeout=timeout,
            )
        )

    def list_received(self, *, timeout: float | None = None) -> EinvoiceInbox:
        """List the invoices that arrived and were not marked as fetched."""
        return run_now(self._flows.run(EinvoicesFlows.list_received, timeout=timeout))

    def download(self, ref: Ref | str, *, timeout: float | None = None) -> ReceivedInvoice:
        """Get an invoice that arrived, with its document as the sender wrote it."""
        return run_now(self._flows.run(EinvoicesFlows.download, ref, timeout=timeout))

    def mark_fetched(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Mark an invoice that arrived as fetched; repeating this has no further effect."""
        return run_now(self._flows.run(EinvoicesFlows.mark_fetched, ref, timeout=timeout))


class AsyncEinvoices(Uncopyable):
    """The asynchronous version of `Einvoices`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(EinvoicesFlows, find_dispatcher, tenant)

    async def send(
        self,
        invoice: OutgoingInvoice,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> SentInvoice:
        """Send an invoice to its recipient.

        Args:
            invoice: invoice to send, from `moorage.invoices.outgoing_invoice`.
            idempotency_key: identifies this invoice: a repeat returns the same result.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            EinvoicesFlows.send, invoice, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get(self, ref: Ref | str, *, timeout: float | None = None) -> SentInvoice:
        """Get the current state of a sent invoice."""
        return await self._flows.run(EinvoicesFlows.get, ref, timeout=timeout)

    async def check_recipient(
        self,
        address: ElectronicAddress | str,
        *,
        document_type: EinvoiceType | str = EinvoiceType.INVOICE,
        timeout: float | None = None,
    ) -> RecipientCheck:
        """Look up if a recipient can receive a type of document.

        Args:
            address: electronic address of the recipient, such as "0208:0123456789".
            document_type: type of the document.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            EinvoicesFlows.check_recipient, address, document_type=document_type, timeout=timeout
        )

    async def list_received(self, *, timeout: float | None = None) -> EinvoiceInbox:
        """List the invoices that arrived and were not marked as fetched."""
        return await self._flows.run(EinvoicesFlows.list_received, timeout=timeout)

    async def download(self, ref: Ref | str, *, timeout: float | None = None) -> ReceivedInvoice:
        """Get an invoice that arrived, with its document as the sender wrote it."""
        return await self._flows.run(EinvoicesFlows.download, ref, timeout=timeout)

    async def mark_fetched(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Mark an invoice that arrived as fetched; repeating this has no further effect."""
        return await self._flows.run(EinvoicesFlows.mark_fetched, ref, timeout=timeout)
