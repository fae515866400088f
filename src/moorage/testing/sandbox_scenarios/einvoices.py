"""Example calls to vendors of electronic invoices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.einvoices import EinvoiceCapability, OutgoingInvoice
from moorage.testing.sandboxes.einvoices.base import (
    DOCUMENT,
    FA3,
    RECIPIENT,
    EinvoicesSandbox,
)

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

CII: Final = (
    b'<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:'
    b'CrossIndustryInvoice:100"/>'
)


def _invoice(vendor: ScenarioVendor) -> OutgoingInvoice:
    """Return an invoice that the sandbox accepts."""
    sandbox = vendor.fixture.sandbox
    if isinstance(sandbox, EinvoicesSandbox):
        return OutgoingInvoice(document=sandbox.document, recipient=sandbox.recipient)
    return OutgoingInvoice(document=DOCUMENT, recipient=RECIPIENT)


async def send_invoice(vendor: ScenarioVendor) -> Any:
    """Send an invoice."""
    return (await vendor("send", _invoice(vendor))).status


async def sent_ubl(vendor: ScenarioVendor) -> Any:
    """Send an invoice in UBL format."""
    invoice = OutgoingInvoice(document=DOCUMENT, recipient=RECIPIENT)
    return (await vendor("send", invoice)).status


async def sent_cii(vendor: ScenarioVendor) -> Any:
    """Send an invoice in CII format."""
    invoice = OutgoingInvoice(document=CII, recipient=RECIPIENT)
    return (await vendor("send", invoice)).status


async def sent_fa3(vendor: ScenarioVendor) -> Any:
    """Send an invoice in FA(3) format."""
    return (await vendor("send", OutgoingInvoice(document=FA3))).status


async def looked_up(vendor: ScenarioVendor) -> Any:
    """Check whether a recipient can receive invoices."""
    return (await vendor("check_recipient", RECIPIENT)).can_receive


async def state_read(vendor: ScenarioVendor) -> Any:
    """Get the state of a sent invoice."""
    ref = await vendor.ref("send", _invoice(vendor))
    return (await vendor("get", ref)).ref == ref


def deliver_invoice(vendor: ScenarioVendor) -> str:
    """Make an invoice arrive at the sandbox, and return its reference."""
    sandbox = vendor.fixture.sandbox
    id_ = sandbox.arrive() if isinstance(sandbox, EinvoicesSandbox) else "1"
    return f"{vendor.name}:{vendor.name}:{id_}"


async def download_invoice(vendor: ScenarioVendor) -> Any:
    """Download a received invoice."""
    return (await vendor("download", deliver_invoice(vendor))).document


async def fetch_invoices(vendor: ScenarioVendor) -> Any:
    """List received invoices, and mark them as fetched."""
    ref = deliver_invoice(vendor)
    inbox = await vendor("list_received")
    await vendor("mark_fetched", ref)
    return len(inbox.invoices)


BASIC: Final[dict[str, Scenario]] = {"send": send_invoice}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    EinvoiceCapability.UBL: sent_ubl,
    EinvoiceCapability.CII: sent_cii,
    EinvoiceCapability.FA3: sent_fa3,
    EinvoiceCapability.LOOK_UP: looked_up,
    EinvoiceCapability.STATUS: state_read,
    EinvoiceCapability.DOWNLOAD: download_invoice,
    EinvoiceCapability.INBOX: fetch_invoices,
}
