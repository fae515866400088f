"""A local sandbox that imitates Storecove's API for documents.

A submission to a recipient whose identifier ends in `9` is not delivered; its webhook reports
`no_action_taken`. Each submission stays pending until `deliver` is called.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import attrs

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, words
from moorage.testing.sandboxes.einvoices.base import (
    DOCUMENT,
    DeliveredDocument,
    EinvoicesSandbox,
)
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import Notice

_IDENTIFIER: Final = {"scheme!": str, "id!": str}
_SUBMISSION: Final = {
    "legalEntityId": int,
    "receiveGuid": str,
    "idempotencyGuid": str,
    "createPrimaryImage": bool,
    "routing": {"eIdentifiers": [_IDENTIFIER], "emails": [str], "clearWithoutSending": bool},
    "document!": {
        "documentType!": words("invoice invoice_response order"),
        "rawDocumentData": {
            "document!": str,
            "parse": bool,
            "parseStrategy": words("ubl cii idoc"),
            "processId": str,
            "documentTypeId": str,
        },
    },
}
_PARTICIPANT: Final = {
    "documentTypes": [words("invoice creditnote invoice_response order")],
    "network": words("peppol"),
    "metaScheme": words("iso6523-actorid-upis"),
    "scheme!": str,
    "identifier!": str,
}


@attrs.define(kw_only=True)
class Submission:
    """A submitted document, and the response of the recipient's access point."""

    recipient: str
    document: bytes
    key: str | None = None
    receipt: str | None = None


class StorecoveSandbox(EinvoicesSandbox):
    """A sandbox of one legal entity at Storecove.

    Attributes:
        token: the API key.
        legal_entity_id: id of the legal entity.
        submissions: the submissions by their GUIDs.
        received: the documents that arrived, by their GUIDs.
    """

    hosts = ("api.storecove.com",)

    token: str = "storecove-key-for-the-sandbox-only"
    legal_entity_id: int = 4711
    submissions: dict[str, Submission] = base.state_field(dict)
    received: dict[str, bytes] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /api/v2/document_submissions": self._submit,
            "GET /api/v2/document_submissions/{guid}/evidence/sending": self._evidence,
            "POST /api/v2/discovery/receives": self._discover,
            "GET /api/v2/received_documents/{guid}/original": self._original_document,
            "GET /api/v2/legal_entities/{id}": self._legal_entity,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's API key."""
        if request.bearer() != self.token:
            raise base.refusal({"error": "Unauthorized"}, 401)

    def deliveries(self) -> Sequence[DeliveredDocument]:
        """Return the submitted documents."""
        return [
            DeliveredDocument(recipient=item.recipient, document=item.document)
            for item in self.submissions.values()
        ]

    def deliver(self, guid: str) -> Notice:
        """Try to deliver a submitted document, and return the webhook about the outcome."""
        submission = self.submissions[guid]
        if submission.recipient.endswith("9"):
            return self.report(guid, "no_action_taken")
        submission.receipt = "<Receipt/>"
        return self.report(guid, "succeeded")

    def report(self, guid: str, event: str, details: str | None = None) -> Notice:
        """Return the webhook about an event of a submission."""
        key = self.submissions[guid].key
        return self.hook(
            {
                "event_type": "document_submission",
                "event": event,
                "guid": guid,
                **({"idempotencyGuid": key} if key else {}),
                **({"details": details} if details else {}),
            }
        )

    def arrive(self, document: bytes = DOCUMENT) -> str:
        """Make a document arrive, and return its GUID."""
        guid = self.uuid()
        self.received[guid] = document
        return guid

    def receive(self, id_: str) -> Notice:
        """Return the webhook about a received document."""
        return self.hook({"event_type": "received_document", "document_guid": id_})

    def _submit(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        for _, name, problem in problems(_SUBMISSION, body):
            raise _invalid(name, problem)
        if body.get("legalEntityId") != self.legal_entity_id:
            raise _invalid("legalEntityId", "not found")
        key = body.get("idempotencyGuid")
        if key is not None and (not _is_guid(key) or self._is_known(key)):
            raise _invalid("idempotencyGuid", "has already been taken or is not a GUID")
        receivers = body.get("routing", {}).get("eIdentifiers", [])
        raw = body["document"].get("rawDocumentData")
        if not receivers or raw is None:
            raise _invalid("routing", "is missing")
        guid = self.uuid()
        self.submissions[guid] = Submission(
            recipient=f"{receivers[0]['scheme']}:{receivers[0]['id']}",
            document=_decode(raw["document"]),
            key=key,
        )
        return base.reply({"guid": guid})

    def _is_known(self, key: str) -> bool:
        return any(item.key == key for item in self.submissions.values())

    def _evidence(self, _: base.SandboxRequest, *, guid: str) -> Response:
        submission = base.existing(self.submissions, guid, _missing_error())
        if submission.receipt is None:
            raise _missing_error()
        return base.reply(
            {
                "sender": "DE123456789",
                "receiver": submission.recipient,
                "network": "peppol",
                "documents": [
                    {
                        "mime_type": "application/xml",
                        "document": "https://files.storecove.example/1?signature=abc",
                        "expires_at": "2031-05-06T07:08:09Z",
                    }
                ],
                "evidence": {
                    "message_id": f"{guid}@storecove",
                    "transmission_id": guid,
                    "receiving_accesspoint": "CN=PNO000001",
                    "xml": submission.receipt,
                },
            }
        )

    def _discover(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        for _, name, problem in problems(_PARTICIPANT, body):
            raise _invalid(name, problem)
        is_known = not body["identifier"].endswith("9")
        return base.reply({"code": "OK" if is_known else "NOK", "email": False})

    def _original_document(self, _: base.SandboxRequest, *, guid: str) -> Response:
        document = base.existing(self.received, guid, _missing_error())
        return base.reply({"guid": guid, "original": b64encode(document).decode()})

    def _legal_entity(self, _: base.SandboxRequest, *, id: str) -> Response:
        if id != str(self.legal_entity_id):
            raise _missing_error()
        return base.reply({"id": self.legal_entity_id, "party_name": "Harbour Ltd"})


def _invalid(source: str, details: str) -> base.Refusal:
    return base.refusal([{"source": source, "details": details}], 422)


def _missing_error() -> base.Refusal:
    return base.refusal({"error": "Not Found"}, 404)


def _is_guid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _decode(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except Error:
        raise _invalid("document", "is not Base64") from None


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = StorecoveSandbox()
    options: dict[str, Any] = {
        "credentials": sandbox.token,
        "legal_entity_id": str(sandbox.legal_entity_id),
    }
    return SandboxFixture(sandbox=sandbox, options=options)


__all__ = ["StorecoveSandbox", "Submission", "fixture"]
