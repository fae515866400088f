"""Published examples of Recommand, and recordings from other clients' tests, are read."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import urlsplit

import pytest

from moorage.contracts.einvoices import EinvoiceEventType, EinvoiceStatus, OutgoingInvoice
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.webhooks.events import WebhookEvent
from moorage.hub.hub import Hub
from moorage.testing.fakes.http import as_bytes
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.einvoices.base import DOCUMENT, RECIPIENT
from moorage.testing.sandboxes.einvoices.recommand import RecommandSandbox
from moorage.vendors.einvoices.recommand import Recommand
from tools.descriptions import exchanges_of

ARRIVAL: Final = {
    "eventType": "document.received",
    "documentId": "doc_xxx",
    "teamId": "team_xxx",
    "companyId": "c_xxx",
}
SENT_ANSWER: Final = {
    "success": True,
    "sentOverPeppol": True,
    "sentOverEmail": False,
    "id": "doc_01JQZ8X0M4T7RB6K9V2NDHW3PA",
    "deliveryStatus": "pending",
}
"""The answer to a document that is on its way, in the tests of a shop's client."""
SENT_FIELDS: Final = {"recipient", "documentType", "document"}
"""All fields of a request to send XML, in the same tests."""
DOCUMENT_FIELDS: Final = {"id", "companyId", "direction", "xml"}
"""The fields of a document that this client reads."""
SUPPORT: Final = {"success": True, "isValid": True, "smpUrl": "https://smp.example.com/"}


OPERATIONS: Final = {
    "GET /api/v1/companies/c_sandbox",
    "POST /api/v1/c_sandbox/send",
    "GET /api/v1/documents/doc",
    "GET /api/v1/inbox",
    "POST /api/v1/documents/doc/mark-as-read",
    "POST /api/v1/verify-document-support",
}
"""The operations that other clients use."""


def make_ref(id_: str, /, **_: str | None) -> Ref:
    """Return a reference to a document with the given id."""
    return Ref("recommand", "main", id_)


def test_arrival_is_read() -> None:
    """Recommand's published webhook example gives an event for its document."""
    vendor = Recommand(api_key="a", company_id="c")
    event = WebhookEvent(vendor="recommand", id="1", type="x", vendor_type="x", data=ARRIVAL)
    (arrival,) = vendor.events(event, make_ref)

    assert (EinvoiceEventType.RECEIVED, "doc_xxx") == (arrival.type, arrival.ref.id)


def test_sandbox_has_the_published_fields() -> None:
    """The sandbox's webhook and recipient response have the fields of the published examples."""
    sandbox = RecommandSandbox()
    notice = sandbox.receive(sandbox.arrive())
    answers = [
        json.loads(exchange.response.body)
        for exchange in exchanges_of("recommand")
        if exchange.url.endswith("/verify-document-support")
    ]

    assert ARRIVAL.keys() == json.loads(notice.body).keys()
    assert answers
    assert all(SUPPORT.keys() == answer.keys() for answer in answers)


@pytest.mark.parametrize(
    "word, status",
    [
        ("pending", EinvoiceStatus.ACCEPTED),
        ("delivered", EinvoiceStatus.DELIVERED),
        ("failed", EinvoiceStatus.FAILED),
    ],
)
def test_recorded_state_is_read(word: str, status: EinvoiceStatus) -> None:
    """A document counts as delivered only when Recommand's state says so."""
    sandbox = RecommandSandbox()
    vendor = Recommand(
        credentials=sandbox.secret, api_key=sandbox.api_key, company_id=sandbox.company_id
    )
    sandbox.fail(reply({**SENT_ANSWER, "deliveryStatus": word}))
    with Hub([Account("main", vendor)], http=SandboxHttpClient(sandbox)) as hub:
        invoice = hub.einvoices().send(OutgoingInvoice(document=DOCUMENT, recipient=RECIPIENT))

    assert (status, word, SENT_ANSWER["id"]) == (
        invoice.status,
        invoice.vendor_status,
        invoice.ref.id,
    )


def test_each_request_is_one_that_other_clients_send() -> None:
    """Each request is also sent by another client, with the same fields for a document."""
    operations: set[str] = set()
    for exchange in exchanges_of("recommand"):
        path = re.sub(r"doc_\w+", "doc", urlsplit(exchange.url).path)
        operations.add(f"{exchange.request.method.value} {path}")
        if path.endswith("/send"):
            assert SENT_FIELDS == json.loads(as_bytes(exchange.request)).keys()
            assert SENT_ANSWER.keys() <= json.loads(exchange.response.body).keys()
        if path.endswith("/doc"):
            answer = json.loads(exchange.response.body)
            assert not answer["success"] or DOCUMENT_FIELDS <= answer["document"].keys()

    assert set() == operations - OPERATIONS
