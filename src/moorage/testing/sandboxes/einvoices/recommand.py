"""A local sandbox that imitates Recommand's API.

A document to a recipient whose identifier ends in `9` cannot be delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, words
from moorage.testing.sandboxes.einvoices.base import (
    DOCUMENT,
    RECIPIENT,
    STRANGER,
    DeliveredDocument,
    EinvoicesSandbox,
)
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import Notice

_TYPES: Final = (
    "invoice creditNote selfBillingInvoice selfBillingCreditNote messageLevelResponse xml"
)
_EMAIL: Final = {
    "when": words("always on_peppol_failure"),
    "to!": [str],
    "subject": str,
    "htmlBody": str,
}
_DOCUMENT: Final = {
    "recipient!": (str, type(None)),
    "documentType!": words(_TYPES),
    "document!": (str, dict),
    "email": _EMAIL,
    "pdfGeneration": {"enabled": bool, "filename": str},
    "doctypeId": str,
    "processId": str,
}
_SUPPORT: Final = {"peppolAddress!": str, "documentType!": str}
_PROCESS: Final = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
_ID: Final = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2::Invoice"
_TIME: Final = "2031-05-06T07:08:09.000Z"


class RecommandSandbox(EinvoicesSandbox):
    """A sandbox of one company at Recommand.

    Attributes:
        api_key: the API key.
        secret: the secret of the API key.
        company_id: id of the company.
        documents: the documents that were sent and received, by their ids.
    """

    hosts = ("app.recommand.eu",)

    api_key: str = "key_sandbox"
    secret: str = "recommand-secret-for-the-sandbox-only"
    company_id: str = "c_sandbox"
    documents: dict[str, dict[str, Any]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /api/v1/{company}/send": self._send,
            "GET /api/v1/documents/{id}": self._document,
            "POST /api/v1/documents/{id}/mark-as-read": self._mark,
            "GET /api/v1/inbox": self._inbox,
            "POST /api/v1/verify-document-support": self._verify,
            "GET /api/v1/companies/{company}": self._company,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's API key and its secret."""
        if request.basic() != (self.api_key, self.secret):
            raise _failure("Unauthorized", 401)

    def deliveries(self) -> Sequence[DeliveredDocument]:
        """Return the sent documents."""
        return [
            DeliveredDocument(recipient=item["receiverId"], document=item["xml"].encode())
            for item in self.documents.values()
            if item["direction"] == "outgoing"
        ]

    def arrive(self, document: bytes = DOCUMENT) -> str:
        """Make a document arrive, and return its id."""
        return self._add("incoming", STRANGER, RECIPIENT, document.decode())

    def receive(self, id_: str) -> Notice:
        """Return the webhook about a received document."""
        return self.hook(
            {
                "eventType": "document.received",
                "documentId": id_,
                "teamId": "team_sandbox",
                "companyId": self.company_id,
            }
        )

    def _add(self, direction: str, sender: str, receiver: str, xml: str) -> str:
        id_ = f"doc_{self.number():026d}"
        self.documents[id_] = {
            "id": id_,
            "teamId": "team_sandbox",
            "companyId": self.company_id,
            "direction": direction,
            "senderId": sender,
            "receiverId": receiver,
            "docTypeId": _ID,
            "processId": _PROCESS,
            "countryC1": "SE",
            "type": "invoice",
            "readAt": None,
            "createdAt": _TIME,
            "updatedAt": _TIME,
            "xml": xml,
            "parsed": None,
            "validation": None,
            "sentOverPeppol": True,
            "sentOverEmail": False,
            "emailRecipients": [],
            "labels": [],
            "peppolMessageId": f"{id_}@ap.recommand",
            "peppolConversationId": None,
            "receivedPeppolSignalMessage": None,
            "envelopeId": None,
            "deliveries": [],
            "deliveryStatus": None,
        }
        return id_

    def _send(self, request: base.SandboxRequest, *, company: str) -> Response:
        self._company(request, company=company)
        body = request.json()
        for _, name, problem in problems(_DOCUMENT, body):
            raise base.refusal({"success": False, "errors": {name: [problem]}}, 400)
        if body["recipient"] is None or is_object(body["document"]):
            raise _failure("This sandbox accepts only XML for a recipient in Peppol.", 400)
        if body["recipient"].endswith("9"):
            raise _failure(
                "Failed to send document over Peppol network. The recipient is not registered.", 422
            )
        id_ = self._add("outgoing", STRANGER, body["recipient"], body["document"])
        document = self.documents[id_]
        document |= _delivered_fields(id_, body["recipient"])
        names = ("id", "teamId", "companyId", "peppolMessageId", "envelopeId", "deliveries")
        sent_fields = ("sentOverPeppol", "sentOverEmail", "emailRecipients", "deliveryStatus")
        return base.reply(
            {"success": True, **{name: document[name] for name in (*names, *sent_fields)}}
        )

    def _document(self, _: base.SandboxRequest, *, id: str) -> Response:
        return base.reply({"success": True, "document": self._existing(id)})

    def _mark(self, request: base.SandboxRequest, *, id: str) -> Response:
        is_read = request.json().get("read", True)
        self._existing(id)["readAt"] = _TIME if is_read else None
        return base.reply({"success": True})

    def _existing(self, id_: str) -> dict[str, Any]:
        return base.existing(self.documents, id_, _failure("Document not found", 404))

    def _inbox(self, request: base.SandboxRequest) -> Response:
        company = dict(request.query).get("companyId", self.company_id)
        unread_documents = [
            {name: value for name, value in item.items() if name not in {"xml", "parsed"}}
            for item in self.documents.values()
            if item["direction"] == "incoming"
            and item["readAt"] is None
            and item["companyId"] == company
        ]
        return base.reply({"success": True, "documents": unread_documents})

    def _verify(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        for _, name, problem in problems(_SUPPORT, body):
            raise base.refusal({"success": False, "errors": {name: [problem]}}, 400)
        if body["peppolAddress"].endswith("9"):
            return base.reply({"success": True, "isValid": False})
        return base.reply(
            {"success": True, "isValid": True, "smpUrl": "https://smp.example/iso6523"}
        )

    def _company(self, _: base.SandboxRequest, *, company: str) -> Response:
        if company != self.company_id:
            raise _failure("Company not found", 404)
        return base.reply({"success": True, "company": {"id": company, "name": "Harbour Ltd"}})


def _delivered_fields(id_: str, recipient: str) -> dict[str, Any]:
    """Return the fields of a document accepted by the recipient's access point."""
    references = {
        "peppolMessageId": f"{id_}@ap.recommand",
        "peppolConversationId": None,
        "envelopeId": None,
    }
    delivery = {
        "id": f"del_{id_.removeprefix('doc_')}",
        "channel": "peppol",
        "address": recipient,
        "status": "delivered",
        "statusChangedAt": _TIME,
        "failure": None,
        "references": references,
    }
    return {"deliveries": [delivery], "deliveryStatus": "delivered"}


def _failure(words_: str, status: int) -> base.Refusal:
    return base.refusal({"success": False, "errors": {"root": [words_]}}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = RecommandSandbox()
    options = {
        "credentials": sandbox.secret,
        "api_key": sandbox.api_key,
        "company_id": sandbox.company_id,
    }
    return SandboxFixture(sandbox=sandbox, options=options)


__all__ = ["RecommandSandbox", "fixture"]
