"""Example calls to vendors of electronic signatures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.signatures import (
    SignatureDocument,
    SignaturePlace,
    SignatureRequest,
    SignaturesCapability,
    Signer,
)
from moorage.testing.sandboxes.signatures.base import PDF, ROLE, TEMPLATE

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

EMAIL: Final = "ada@example.com"


def request(signer: dict[str, Any], **fields: Any) -> SignatureRequest:
    """Return a request to one signer, with a document unless a template is given."""
    document = SignatureDocument(name="contract.pdf", content=PDF)
    person: dict[str, Any] = {"name": "Ada Lovelace", "email": EMAIL}
    values: dict[str, Any] = {"subject": "Your contract", "signers": [Signer(**person | signer)]}
    if "template" not in fields:
        values["documents"] = [document]
    return SignatureRequest(**values | fields)


async def send(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Send a request with these fields."""
    signer = fields.pop("signer", {})
    return (await vendor("send", request(signer, **fields))).status


async def send_request(vendor: ScenarioVendor, **signer: Any) -> Any:
    """Send a request, and return its reference."""
    return await vendor.ref("send", request(signer))


async def get(vendor: ScenarioVendor) -> Any:
    """Get the state of an envelope."""
    return (await vendor("get", await send_request(vendor))).status


async def remind(vendor: ScenarioVendor) -> Any:
    """Send a reminder."""
    ref = await send_request(vendor)
    return (await vendor("remind", ref)).ref == ref


async def void(vendor: ScenarioVendor, *reason: str) -> Any:
    """Void an envelope."""
    return (await vendor("void", await send_request(vendor), *reason)).status


async def void_with_reason(vendor: ScenarioVendor) -> Any:
    """Void an envelope, with a reason."""
    return await void(vendor, "The price has changed.")


async def download(vendor: ScenarioVendor) -> Any:
    """Download the documents."""
    return (await vendor("download", await send_request(vendor))).content_type


async def certificate(vendor: ScenarioVendor) -> Any:
    """Download the certificate."""
    return (await vendor("certificate", await send_request(vendor))).content_type


async def make_embedded_link(vendor: ScenarioVendor) -> Any:
    """Make a signer's link, with a return address if the vendor needs one."""
    ref = await send_request(vendor, embedded=True)
    address = vendor.fixture.vendor_values.get("return_url")
    arguments = (ref, EMAIL) if address is None else (ref, EMAIL, address)
    return (await vendor("signing_link", *arguments)).url.startswith("https://")


async def send_expiring_request(vendor: ScenarioVendor) -> Any:
    """Send a request that expires in thirty days."""
    return await send(vendor, expires_on=datetime.now(UTC).date() + timedelta(days=30))


BASIC: Final[dict[str, Scenario]] = {
    "send": send,
    "get": get,
    "void": void,
    "download": download,
}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    SignaturesCapability.TEMPLATES: partial(send, template=TEMPLATE, signer={"role": ROLE}),
    SignaturesCapability.ANCHORS: partial(
        send, signer={"signature_places": [SignaturePlace(anchor="/sn1/", x=10)]}
    ),
    SignaturesCapability.POSITIONS: partial(
        send, signer={"signature_places": [SignaturePlace(page=1, x=100, y=640)]}
    ),
    SignaturesCapability.PHONE_CHECK: partial(send, signer={"phone": "+4915112345678"}),
    SignaturesCapability.EMBEDDED: make_embedded_link,
    SignaturesCapability.LANGUAGE: partial(send, language="de"),
    SignaturesCapability.EXPIRY: send_expiring_request,
    SignaturesCapability.REMINDERS: partial(send, remind_every=3),
    SignaturesCapability.REMIND: remind,
    SignaturesCapability.VOID_REASON: void_with_reason,
    SignaturesCapability.CERTIFICATE: certificate,
}
