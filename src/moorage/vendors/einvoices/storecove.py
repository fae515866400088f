"""Storecove: electronic invoices over Peppol.

Documents go to `document_submissions`; Storecove reads them and writes a new document with their
content. The error response to a repeated `idempotencyGuid` does not contain the earlier
submission's id, and the documentation does not say how long it is remembered. So a document that
may have been accepted is not sent again. A webhook reports the delivery, and so does the evidence
of the recipient's access point, which exists only after the delivery.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from functools import partial
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID, uuid5

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.einvoices import (
    EinvoiceCapability,
    EinvoiceEvent,
    EinvoiceEventType,
    EinvoiceStatus,
    EinvoiceType,
    ElectronicAddress,
    OutgoingInvoice,
    ReceivedInvoice,
    RecipientCheck,
    SentInvoice,
)
from moorage.vendors.einvoices._storecove_schemes import scheme_of

_KEYS: Final = UUID("3d1c2b5e-53f4-4c1b-9a57-0f0c7b1e9d20")
"""The namespace in which idempotency keys become GUIDs."""

_NOT_FOUND: Final = 404
_STATUSES: Final = {
    "succeeded": EinvoiceStatus.DELIVERED,
    "failed": EinvoiceStatus.FAILED,
    "no_action_taken": EinvoiceStatus.FAILED,
}
_TYPES: Final = {EinvoiceType.INVOICE: "invoice", EinvoiceType.CREDIT_NOTE: "creditnote"}
_VERDICTS: Final = {"OK": True, "NOK": False}


def _error_words(response: sdk.Response) -> tuple[str | None, str | None]:
    """Return the field and text of an error response's first problem."""
    try:
        problems = sdk.read_answers(response)
    except sdk.VendorFailed:
        return sdk.vendor_code_and_message(response)
    first = next(iter(problems), sdk.Answer({}))
    return first.text("source"), sdk.masked_words(first.text("details"))


def guid_of(wire: sdk.Wire, key: str) -> str:
    """The GUID derived from an idempotency key; it differs between tenants."""
    return str(uuid5(_KEYS, sdk.key_for_vendor(wire, key, 255)))


def _read_sent(wire: sdk.Wire, response: sdk.Response) -> SentInvoice:
    fields = sdk.read_answer(response)
    guid = sdk.required(fields.text("guid"), response, "guid")
    return SentInvoice(ref=wire.ref(guid), status=EinvoiceStatus.ACCEPTED, raw=fields.raw)


def _document_of(text: str) -> bytes | None:
    """The bytes of a document given as XML or its Base64; None for anything else."""
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return text.encode()
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None


@attrs.frozen(kw_only=True)
class Storecove(sdk.ApiVendor):
    """A legal entity at Storecove.

    Attributes:
        legal_entity_id: id of the legal entity that sends, a number.
        credentials: API key; by default the credential provider supplies `Credentials`.
        base_url: URL of the API.
    """

    name = "storecove"
    kinds = ("einvoices",)
    api_version = "v2"
    capabilities = sdk.members_of(EinvoiceCapability, "ubl cii look_up status download")
    webhook = "url-token"

    ping_path = "/legal_entities/{legal_entity_id}"
    refusals = sdk.Refusals(
        vendor="Storecove",
        statuses=sdk.error_statuses("400 422", login="401 403"),
        read=_error_words,
    )

    legal_entity_id: str = attrs.field(
        validator=sdk.matches(
            "[1-9][0-9]{0,17}",
            problem="The value is not the id of a legal entity.",
            remedy="Set the number that Storecove shows for the legal entity, as a string.",
        )
    )
    base_url: str = "https://api.storecove.com/api/v2"

    async def send(
        self, wire: sdk.Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        """Submit a document for delivery."""
        receiver = {
            "scheme": scheme_of(invoice.address, "recipient"),
            "id": invoice.address.identifier,
        }
        document = {
            "document": b64encode(invoice.document).decode(),
            "parseStrategy": invoice.syntax.value,
        }
        body: dict[str, Any] = {
            "legalEntityId": int(self.legal_entity_id),
            "routing": {"eIdentifiers": [receiver]},
            "document": {"documentType": "invoice", "rawDocumentData": document},
        }
        if key is not None:
            body["idempotencyGuid"] = guid_of(wire, key)
        request = sdk.Request.post(
            "/document_submissions",
            json=sdk.merged(body, sdk.extra_for(self.name, invoice.extra)),
        )
        return await wire.send(request, key=key, parse=partial(_read_sent, wire))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SentInvoice:
        """Get the evidence of a delivery; without evidence the state is unknown."""
        path = f"/document_submissions/{quote(ref.id, safe='')}/evidence/sending"
        try:
            response = await wire.send(sdk.Request.get(path))
        except sdk.VendorRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            return SentInvoice(ref=ref, status=EinvoiceStatus.UNKNOWN)
        fields = sdk.read_answer(response)
        receipt = fields.text("evidence.xml") or fields.text("evidence.transmission_id")
        status = EinvoiceStatus.DELIVERED if receipt else EinvoiceStatus.UNKNOWN
        return SentInvoice(ref=ref, status=status, raw=fields.raw)

    async def check_recipient(
        self, wire: sdk.Wire, address: ElectronicAddress, /, *, document_type: EinvoiceType
    ) -> RecipientCheck:
        """Look a recipient up; delivery by PDF and email alone counts as unable to receive."""
        body = {
            "documentTypes": [_TYPES[document_type]],
            "network": "peppol",
            "metaScheme": "iso6523-actorid-upis",
            "scheme": scheme_of(address, "address"),
            "identifier": address.identifier,
        }
        request = sdk.Request.post("/discovery/receives", json=body).evolve(idempotent=True)
        response = await wire.send(request)
        fields = sdk.read_answer(response)
        verdict = sdk.required(_VERDICTS.get(fields.text("code") or ""), response, "code")
        return RecipientCheck(
            address=address,
            document_type=document_type,
            can_receive=verdict and not fields.flag("email"),
            raw=fields.raw,
        )

    async def download(self, wire: sdk.Wire, ref: sdk.Ref, /) -> ReceivedInvoice:
        """Get the document as the sender wrote it."""
        path = f"/received_documents/{quote(ref.id, safe='')}/original"
        response = await wire.send(sdk.Request.get(path))
        fields = sdk.read_answer(response)
        document = _document_of(fields.text("original") or "")
        return ReceivedInvoice(
            ref=ref, document=sdk.required(document or None, response, "original"), raw=fields.raw
        )

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[EinvoiceEvent, ...]:
        """The document that has arrived, or the state of a submission."""
        fields = sdk.as_answer(event.data)
        received_guid, sent_guid = fields.text("document_guid"), fields.text("guid")
        match fields.text("event_type"):
            case "received_document" if received_guid:
                return (
                    EinvoiceEvent(
                        id=event.id,
                        type=EinvoiceEventType.RECEIVED,
                        ref=ref(received_guid),
                        raw=fields.raw,
                    ),
                )
            case "document_submission" if sent_guid:
                event_type = fields.text("event")
                return (
                    EinvoiceEvent(
                        id=event.id,
                        type=EinvoiceEventType.STATUS,
                        ref=ref(sent_guid),
                        status=_STATUSES.get(event_type or "", EinvoiceStatus.UNKNOWN),
                        vendor_status=event_type,
                        reason=fields.text("details"),
                        raw=fields.raw,
                    ),
                )
            case _:
                return ()
