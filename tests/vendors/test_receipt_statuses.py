"""The status of a message or envelope that a vendor has just accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

import moorage
from moorage.contracts.email_outcomes import EmailStatus
from moorage.contracts.signatures import (
    EnvelopeStatus,
    SignatureDocument,
    SignatureRequest,
    Signer,
)
from moorage.contracts.sms import SmsMessage, SmsStatus
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.signatures.base import PDF
from moorage.wiring.installed_vendors import vendor_class, vendor_names
from tests.vendors.email_hubs import mail

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATUSES: Final[dict[str, object]] = {
    "email": EmailStatus.QUEUED,
    "sms": SmsStatus.QUEUED,
    # Adobe prepares an agreement after its response, and the others send it at once.
    "acrobat_sign": EnvelopeStatus.CREATED,
    "docusign": EnvelopeStatus.SENT,
    "dropbox_sign": EnvelopeStatus.SENT,
}
"""The statuses by contract, or by vendor if its responses differ."""
ENVELOPE: Final = SignatureRequest(
    subject="Lease",
    documents=[SignatureDocument(name="lease.pdf", content=PDF)],
    signers=[Signer(name="Ada", email="ada@example.com")],
)
TEXT: Final = SmsMessage(to="+4915112345678", text="Hi", sender="+15005550006")
SENDING: Final[dict[str, Callable[[Any], Any]]] = {
    "email": lambda hub: hub.email().send_transactional(mail()),
    "signatures": lambda hub: hub.signatures().send(ENVELOPE),
    "sms": lambda hub: hub.sms().send(TEXT),
}


@pytest.mark.parametrize(
    "vendor", [name for name in sorted(vendor_names()) if vendor_class(name).kinds[0] in SENDING]
)
def test_accepted_message_has_a_status(vendor: str, tmp_path: Path) -> None:
    """The receipt of a message that the vendor will send has the status that the vendor means."""
    kind = vendor_class(vendor).kinds[0]
    fixture = fixture_of(vendor, tmp_path)
    sandboxes = [] if fixture.sandbox is None else [fixture.sandbox]
    with moorage.open(
        {"vendors": {vendor: fixture.options}}, http=SandboxHttpClient(*sandboxes)
    ) as hub:
        receipt = SENDING[kind](hub)
    fixture.close()

    assert receipt.status is STATUSES.get(vendor, STATUSES.get(kind))
