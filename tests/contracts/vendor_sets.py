"""Sets of vendors, one for each contract, and a script that uses all of them."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs

from moorage.contracts.catalog import CONTRACTS
from moorage.contracts.email import Attachment, Disposition, EmailCapability, EmailMessage
from moorage.contracts.payments import (
    Charge,
    Customer,
    Money,
    PaymentsCapability,
    PaymentState,
)
from moorage.contracts.shipping import (
    Parcel,
    RateRequest,
    ShipmentRequest,
    ShippingCapability,
)
from moorage.contracts.sms import SmsMessage
from moorage.contracts.storage import StorageCapability
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandbox_scenarios.shipping import ADA, SHOP
from moorage.wiring.installed_vendors import vendor_class, vendor_names
from tests.contracts.caller import result_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from moorage.testing.sandboxes.base import Sandbox
    from moorage.testing.sandboxes.fixture import SandboxFixture

LOGO = b"\x89PNG\r\n\x1a\n a logo"
INVOICE = b"%PDF-1.7 an invoice"
_NEEDED_CAPABILITIES: dict[str, set[str]] = {
    "email": {EmailCapability.INLINE_IMAGES},
    "payments": {PaymentsCapability.AUTHORIZE, PaymentsCapability.PARTIAL_CAPTURE},
    "shipping": {ShippingCapability.RATES},
    "storage": {StorageCapability.SIGNED_URL},
}


@attrs.frozen
class VendorSet:
    """One vendor for each contract, with sandboxes on this machine."""

    trades: Mapping[str, SandboxFixture]
    """The sandbox of each contract."""
    vendors: Mapping[str, str]

    @property
    def sandboxes(self) -> tuple[Sandbox, ...]:
        """Return the sandboxes that are reached over HTTP."""
        return tuple(trade.sandbox for trade in self.trades.values() if trade.sandbox is not None)

    @property
    def configuration(self) -> dict[str, Any]:
        """Return a configuration with exactly these vendors."""
        return {
            "vendors": {self.vendors[kind]: trade.options for kind, trade in self.trades.items()},
            **{kind: {"vendor": vendor} for kind, vendor in self.vendors.items()},
        }

    def close(self) -> None:
        """Stop the sandboxes of all vendors."""
        for trade in self.trades.values():
            trade.close()


def vendor_set(vendors: Mapping[str, str], folder: Path) -> VendorSet:
    """Start these vendors; they may store files in a folder."""
    return VendorSet(
        {kind: fixture_of(vendor, folder) for kind, vendor in vendors.items()}, vendors
    )


def vendor_sets() -> list[dict[str, str]]:
    """Return sets of vendors that together contain every vendor that can run the script."""
    by_kind = {
        kind: [
            name
            for name in vendor_names()
            if kind in vendor_class(name).kinds and _can_run_script(name)
        ]
        for kind in CONTRACTS
    }
    return [
        {kind: names[number % len(names)] for kind, names in by_kind.items()}
        for number in range(max(map(len, by_kind.values())))
    ]


def _can_run_script(vendor: str) -> bool:
    """Return whether a vendor has the optional features that the script uses of its contract."""
    vendor_type = vendor_class(vendor)
    return all(
        capabilities <= vendor_type.capabilities
        for kind, capabilities in _NEEDED_CAPABILITIES.items()
        if kind in vendor_type.kinds
    )


def digest(size: int) -> bytes:
    """Return the SHA-256 digest of this many test bytes."""
    whole_hash = sha256()
    for piece in pieces(size):
        whole_hash.update(piece)
    return whole_hash.digest()


def pieces(size: int) -> Iterator[bytes]:
    """Yield this many test bytes, piece by piece."""
    piece = bytes(range(256)) * 4096
    for start in range(0, size, len(piece)):
        yield piece[: size - start]


async def business_script(hub: Any, vendor_set: VendorSet, bundle: int) -> dict[str, Any]:
    """Use every contract once, as an ERP would, and return results that no vendor affects."""
    fields: dict[str, Any] = {}
    mail = EmailMessage(
        to="ada@example.com",
        subject="Invoice INV-2041",
        text="Please find your invoice attached.",
        html='<p>Please find your invoice attached.</p><img src="cid:logo">',
        attachments=[
            Attachment(filename="invoice.pdf", content=INVOICE, content_type="application/pdf"),
            Attachment(
                filename="logo.png",
                content=LOGO,
                content_type="image/png",
                disposition=Disposition.INLINE,
                content_id="logo",
            ),
        ],
    )
    receipt = await result_of(hub.email().send_transactional(mail, idempotency_key="INV-2041/mail"))
    fields["mail"] = receipt.status, [recipient.status for recipient in receipt.recipients]

    text = SmsMessage(to="+4915112345678", text="Your invoice is in your mailbox.")
    response = await result_of(hub.sms().send(text, idempotency_key="INV-2041/sms"))
    fields["text"] = response.status.final

    shop = vendor_set.trades["payments"]
    charge = Charge(
        Money("149.90", "EUR"), shop.token, reference="INV-2041", customer=Customer(id="ada-1")
    )
    payment = await result_of(hub.payments().authorize(charge, idempotency_key="INV-2041/pay"))
    repeated_payment = await result_of(
        hub.payments().authorize(charge, idempotency_key="INV-2041/pay")
    )
    if payment.state is PaymentState.REQUIRES_ACTION:
        return_parameters = shop.buyer(payment)
        payment = await result_of(
            hub.payments().complete(
                payment.ref, return_parameters, idempotency_key="INV-2041/return"
            )
        )
    fields["payment"] = payment.state, payment.amount, payment.ref == repeated_payment.ref
    captured = await result_of(
        hub.payments().capture(
            str(payment.ref), Money("100.00", "EUR"), idempotency_key="INV-2041/take"
        )
    )
    fields["captured"] = captured.amount, captured.payment.id == payment.ref.id
    if settle := shop.vendor_values.get("settle"):
        settle()  # Some vendors refund only what the bank has settled.
    refund = await result_of(
        hub.payments().refund(
            payment.ref, Money("50.00", "EUR"), idempotency_key="INV-2041/give back"
        )
    )
    fields["refunded"] = refund.amount, refund.payment.id == payment.ref.id

    stored_file = await result_of(hub.storage().upload("bundles/2041.zip", lambda: pieces(bundle)))
    signed_link = await result_of(hub.storage().signed_url("bundles/2041.zip", expires=60))
    fields["stored"] = stored_file.key, stored_file.size
    fetch = vendor_set.trades["storage"].fetch
    fields["fetched"] = fetch is not None and fetch(signed_link.url) == digest(bundle)

    parcel = Parcel(weight="1.5", length="30", width="20", height="10")
    request = RateRequest(sender=SHOP, recipient=ADA, parcels=[parcel])
    shipment = await result_of(
        hub.shipping().create_shipment(
            ShipmentRequest(rate_request=request), idempotency_key="INV-2041/parcel"
        )
    )
    fields["shipped"] = shipment.state, len(shipment.labels), bool(shipment.labels[0].content)
    tracking = await result_of(hub.shipping().track_shipment(shipment.ref))
    fields["tracked"] = tracking.number == shipment.tracking_numbers[0], tracking.status
    return fields
