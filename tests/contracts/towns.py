"""Two towns with the same trades and not one vendor in common, and an afternoon of business."""

# ruff: noqa: ANN401 - hubs of either colour

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from mooring import Request, Timeouts
from mooring.contracts.address import Address
from mooring.contracts.email import Attachment, Disposition, EmailMessage
from mooring.contracts.payments import Charge, Customer, Money
from mooring.contracts.shipping import Parcel, RateRequest, ShipmentRequest
from mooring.contracts.sms import SmsMessage
from mooring.testing.sandbox.adyen import AdyenSandbox
from mooring.testing.sandbox.amazon_ses import AmazonSesSandbox
from mooring.testing.sandbox.base import SandboxHttpClient
from mooring.testing.sandbox.easypost import EasyPostSandbox
from mooring.testing.sandbox.s3 import S3Sandbox
from mooring.testing.sandbox.sendgrid import SendGridSandbox
from mooring.testing.sandbox.shippo import ShippoSandbox
from mooring.testing.sandbox.stripe import StripeSandbox
from mooring.testing.sandbox.twilio import TwilioSandbox
from mooring.testing.sandbox.vonage import VonageSandbox
from mooring.vendors.local_files import LocalFiles
from tests.contracts.caller import given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mooring.testing.sandbox.base import Sandbox

KEY = "k" * 32
LOGO = b"\x89PNG\r\n\x1a\n a logo"
INVOICE = b"%PDF-1.7 an invoice"


@attrs.frozen
class Town:
    """Vendors on this machine, the configuration that names them, and a buyer's token."""

    sandboxes: tuple[Sandbox, ...]
    configuration: Mapping[str, Any]
    token: str
    fetch: Callable[[str], bytes]
    """The digest of what a browser gets that follows a signed URL."""

    def close(self) -> None:
        """Throw away what was kept on disk."""
        for sandbox in self.sandboxes:
            if isinstance(sandbox, S3Sandbox):
                sandbox.close()


def first_town(_: Path) -> Town:
    """SendGrid, Twilio, Stripe, S3 and EasyPost."""
    mail, texts, money = SendGridSandbox(), TwilioSandbox(), StripeSandbox()
    files, parcels = S3Sandbox(), EasyPostSandbox()
    browser = SandboxHttpClient(files)
    return Town(
        (mail, texts, money, files, parcels),
        {
            "email": {"vendor": "sendgrid"},
            "sms": {"vendor": "twilio"},
            "payments": {"vendor": "stripe"},
            "storage": {"vendor": "s3"},
            "shipping": {"vendor": "easypost"},
            "vendors": {
                "sendgrid": {"credentials": mail.api_key, "sender": "shop@acme.example"},
                "twilio": {
                    "account_sid": texts.account_sid,
                    "credentials": texts.auth_token,
                    "sender": "+15005550006",
                },
                "stripe": {"credentials": money.api_key, "volatile_keys": True},
                "s3": {
                    "bucket": files.bucket,
                    "region": files.region,
                    "access_key_id": files.key.id,
                    "credentials": files.key.secret,
                },
                "easypost": {"credentials": parcels.api_key},
            },
        },
        "pm_card_visa",
        lambda url: sha256(browser.send(Request.get("/"), url, Timeouts()).body).digest(),
    )


def second_town(folder: Path) -> Town:
    """Amazon SES, Vonage, Adyen, a folder and Shippo."""
    mail, texts, money, parcels = (
        AmazonSesSandbox(),
        VonageSandbox(),
        AdyenSandbox(),
        ShippoSandbox(),
    )
    files = LocalFiles(root=str(folder), signing_key=KEY, url="https://erp.example/files")
    return Town(
        (mail, texts, money, parcels),
        {
            "email": {"vendor": "amazon_ses"},
            "sms": {"vendor": "vonage"},
            "payments": {"vendor": "adyen"},
            "storage": {"vendor": "local_files"},
            "shipping": {"vendor": "shippo"},
            "vendors": {
                "amazon_ses": {
                    "region": mail.region,
                    "access_key_id": mail.access_key_id,
                    "credentials": mail.secret_access_key,
                    "sender": "shop@acme.example",
                },
                "vonage": {
                    "api_key": texts.api_key,
                    "credentials": texts.api_secret,
                    "sender": "ACME",
                },
                "adyen": {
                    "merchant_account": money.merchant_account,
                    "credentials": money.api_key,
                    "return_url": "https://erp.example/back",
                    "volatile_keys": True,
                },
                "local_files": {"root": files.root, "signing_key": KEY, "url": files.url},
                "shippo": {"credentials": parcels.token},
            },
        },
        "APPROVED",
        lambda url: served(files, url),
    )


TOWNS = [first_town, second_town]


def served(files: LocalFiles, url: str) -> bytes:
    """What a business system gives to whoever comes with a URL that it has signed."""
    grant = files.allowed("GET", url, now=datetime.now(UTC))
    return sha256((Path(files.root) / grant.key).read_bytes()).digest()


def digest(size: int) -> bytes:
    """What so many bytes come to."""
    whole = sha256()
    for piece in pieces(size):
        whole.update(piece)
    return whole.digest()


def pieces(size: int) -> Iterator[bytes]:
    """So many bytes, one piece after another."""
    piece = bytes(range(256)) * 4096
    for start in range(0, size, len(piece)):
        yield piece[: size - start]


async def afternoon(hub: Any, town: Town, bundle: int) -> dict[str, Any]:
    """What a business system does on an afternoon; what it got, in neutral words."""
    got: dict[str, Any] = {}
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
    receipt = await given(hub.email().send_transactional(mail, idempotency_key="INV-2041/mail"))
    got["mail"] = receipt.status, [one.status for one in receipt.recipients]

    text = SmsMessage(to="+4915112345678", text="Your invoice is in your mailbox.")
    sent = await given(hub.sms().send(text, idempotency_key="INV-2041/sms"))
    got["text"] = sent.status.final

    charge = Charge(
        Money("149.90", "EUR"), town.token, reference="INV-2041", customer=Customer(id="ada-1")
    )
    payment = await given(hub.payments().authorize(charge, idempotency_key="INV-2041/pay"))
    again = await given(hub.payments().authorize(charge, idempotency_key="INV-2041/pay"))
    got["payment"] = payment.state, payment.amount, payment.ref == again.ref
    captured = await given(
        hub.payments().capture(
            str(payment.ref), Money("100.00", "EUR"), idempotency_key="INV-2041/take"
        )
    )
    got["captured"] = captured.amount, captured.payment.id == payment.ref.id
    refunded = await given(
        hub.payments().refund(
            payment.ref, Money("50.00", "EUR"), idempotency_key="INV-2041/give back"
        )
    )
    got["refunded"] = refunded.amount, refunded.payment.id == payment.ref.id

    stored = await given(hub.storage().upload("bundles/2041.zip", lambda: pieces(bundle)))
    signed = await given(hub.storage().signed_url("bundles/2041.zip", expires=60))
    got["stored"] = stored.key, stored.size
    got["fetched"] = town.fetch(signed.url) == digest(bundle)

    parcel = Parcel(weight="1.5", length="30", width="20", height="10")
    asked = RateRequest(sender=SHOP, recipient=ADA, parcels=[parcel])
    shipment = await given(
        hub.shipping().create_shipment(
            ShipmentRequest(asked=asked), idempotency_key="INV-2041/parcel"
        )
    )
    got["shipped"] = shipment.state, len(shipment.labels), bool(shipment.labels[0].content)
    tracking = await given(hub.shipping().track_shipment(shipment.ref))
    got["tracked"] = tracking.number == shipment.tracking_numbers[0], tracking.status
    return got


SHOP = Address(
    name="ACME",
    line1="417 Montgomery Street",
    city="San Francisco",
    region="CA",
    postal_code="94104",
    country="US",
    phone="+14153334445",
    email="shop@acme.example",
)
ADA = Address(
    name="Ada Lovelace",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    phone="+14155559999",
    email="ada@example.com",
)
