"""Recommand: electronic invoices over Peppol.

Recommand hands a document to its own access point before it answers, and reports later whether the
recipient's access point accepted it. It takes no idempotency key, so a document that may have been
sent is not sent again. Its webhooks have no signature; a secret token in their URL authenticates
the sender.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.einvoices import (
    EinvoiceCapability,
    EinvoiceEvent,
    EinvoiceEventType,
    EinvoiceInbox,
    EinvoiceStatus,
    EinvoiceType,
    ElectronicAddress,
    OutgoingInvoice,
    ReceivedInvoice,
    RecipientCheck,
    SentInvoice,
    address_or_none,
)

_TYPES: Final = {EinvoiceType.INVOICE: "invoice", EinvoiceType.CREDIT_NOTE: "creditNote"}
_STATES: Final = {
    "pending": EinvoiceStatus.ACCEPTED,
    "delivered": EinvoiceStatus.DELIVERED,
    "failed": EinvoiceStatus.FAILED,
}
_UNPROCESSABLE: Final = 422
_NO_REASON: Final = "No additional context available"
"""The texts of a refusal when Recommand lost the response of its own access point."""


def _error_words(response: sdk.Response) -> tuple[str | None, str | None]:
    """Return the field and text of an error response's first problem."""
    for name, texts in sdk.error_answer(response).object("errors").raw.items():
        words = sdk.as_answer({"texts": texts}).texts("texts")
        return str(name), sdk.masked_words("; ".join(words))
    return None, None


_REFUSALS: Final = sdk.Refusals(
    vendor="Recommand",
    statuses=sdk.error_statuses("400", login="401 403"),
    read=_error_words,
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response; a rejection without a reason leaves the outcome unknown."""
    code, words = _error_words(response)
    if response.status == _UNPROCESSABLE and _NO_REASON in (words or ""):
        return sdk.refusal(sdk.VendorFailed, "Recommand", response, code, words)
    return _REFUSALS(request, response)


def _sent_invoice(ref: sdk.Ref, fields: sdk.Answer) -> SentInvoice:
    """A sent document, with the state of its Peppol transmission.

    A response without deliveries is of an older release, whose accepted documents were delivered.
    """
    transmissions = (
        item for item in fields.objects("deliveries") if item.text("channel") == "peppol"
    )
    transmission = next(transmissions, None)
    is_sent = fields.flag("sentOverPeppol") is True
    vendor_status = fields.text("deliveryStatus") if is_sent else None
    status = EinvoiceStatus.DELIVERED if is_sent else EinvoiceStatus.UNKNOWN
    reason = None
    if transmission is not None:
        vendor_status = transmission.text("status")
        reason = transmission.text("failure.message") or transmission.text("failure.category")
    if vendor_status is not None or transmission is not None:
        status = _STATES.get(vendor_status or "", EinvoiceStatus.UNKNOWN)
    return SentInvoice(
        ref=ref, status=status, vendor_status=vendor_status, reason=reason, raw=fields.raw
    )


def _fields(response: sdk.Response) -> sdk.Answer:
    """The fields of a successful response.

    Raises:
        VendorFailed: the response does not state that it is a success.
    """
    fields = sdk.read_answer(response)
    if fields.flag("success") is not True:
        raise sdk.malformed(response, "success")
    return fields


def _read_sent(ref: sdk.MakeRef, response: sdk.Response) -> SentInvoice:
    fields = _fields(response)
    id_ = sdk.required(fields.text("id"), response, "id")
    return _sent_invoice(ref(id_), fields)


def _document(response: sdk.Response) -> sdk.Answer:
    fields = _fields(response).object("document")
    sdk.required(fields.text("id"), response, "document.id")
    return fields


def _received_invoice(
    ref: sdk.Ref, fields: sdk.Answer, document: bytes | None = None
) -> ReceivedInvoice:
    return ReceivedInvoice(
        ref=ref,
        sender=address_or_none(fields.text("senderId")),
        recipient=address_or_none(fields.text("receiverId")),
        vendor_type=fields.text("type"),
        at=fields.time("createdAt"),
        document=document,
        raw=fields.raw,
    )


def _text_of(document: bytes) -> str:
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise sdk.InvalidData(
            "The document is not encoded in UTF-8, which Recommand requires.",
            field="document",
            remedy="Write the document in UTF-8, as write_invoice does.",
        ) from None


@attrs.frozen(kw_only=True)
class Recommand(sdk.ApiVendor):
    """A company at Recommand.

    Attributes:
        company_id: id of the company that sends and receives.
        api_key: API key, which is used together with the secret.
        credentials: secret of the API key; by default the credential provider supplies
            `Credentials`.
        base_url: URL of the API.
    """

    name = "recommand"
    kinds = ("einvoices",)
    api_version = "v1"
    capabilities = frozenset(EinvoiceCapability) - {EinvoiceCapability.CII, EinvoiceCapability.FA3}
    webhook = "url-token"

    auth: ClassVar[Any] = sdk.basic("api_key")
    ping_path = "/companies/{company_id}"
    refusals = staticmethod(classify)

    company_id: str = attrs.field(
        validator=sdk.matches(
            "[A-Za-z0-9_-]{1,100}",
            problem="The value is not the id of a company.",
            remedy="Set the id that Recommand shows for the company, such as c_01J….",
        )
    )
    api_key: str = attrs.field(repr=False)
    base_url: str = "https://app.recommand.eu/api/v1"

    async def send(
        self, wire: sdk.Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        """Send a document over Peppol."""
        body = {
            "recipient": str(invoice.address),
            "documentType": "xml",
            "document": _text_of(invoice.document),
        }
        request = sdk.Request.post(
            f"/{self.company_id}/send",
            json=sdk.merged(body, sdk.extra_for(self.name, invoice.extra)),
        )
        return await wire.send(request, key=key, parse=partial(_read_sent, wire.ref))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SentInvoice:
        """Get the state of a sent document."""
        fields = _document(await wire.send(sdk.Request.get(_path(ref))))
        if fields.text("direction") != "outgoing":
            return SentInvoice(ref=ref, status=EinvoiceStatus.UNKNOWN, raw=fields.raw)
        return _sent_invoice(ref, fields)

    async def check_recipient(
        self, wire: sdk.Wire, address: ElectronicAddress, /, *, document_type: EinvoiceType
    ) -> RecipientCheck:
        """Look a recipient up; Recommand reports a failed look-up like an unknown recipient."""
        body = {"peppolAddress": str(address), "documentType": _TYPES[document_type]}
        request = sdk.Request.post("/verify-document-support", json=body)
        response = await wire.send(request.evolve(idempotent=True))
        fields = _fields(response)
        is_valid = sdk.required(fields.flag("isValid"), response, "isValid")
        return RecipientCheck(
            address=address,
            document_type=document_type,
            can_receive=True if is_valid else None,
            raw=fields.raw,
        )

    async def list_received(self, wire: sdk.Wire, /) -> EinvoiceInbox:
        """List the unread documents of the company."""
        response = await wire.send(sdk.Request.get("/inbox", query={"companyId": self.company_id}))
        fields = _fields(response)
        if not sdk.is_list(fields.value("documents")):
            raise sdk.malformed(response, "documents")
        return EinvoiceInbox(
            invoices=tuple(
                _received_invoice(wire.ref(sdk.required(item.text("id"), response, "id")), item)
                for item in fields.objects("documents")
            ),
            raw=fields.raw,
        )

    async def download(self, wire: sdk.Wire, ref: sdk.Ref, /) -> ReceivedInvoice:
        """Get a document with its XML."""
        response = await wire.send(sdk.Request.get(_path(ref)))
        fields = _document(response)
        xml = sdk.required(fields.text("xml"), response, "document.xml")
        return _received_invoice(ref, fields, xml.encode())

    async def mark_fetched(self, wire: sdk.Wire, ref: sdk.Ref, /) -> None:
        """Mark a document as read."""
        request = sdk.Request.post(f"{_path(ref)}/mark-as-read", json={"read": True})
        _fields(await wire.send(request.evolve(idempotent=True)))

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[EinvoiceEvent, ...]:
        """The document that has arrived; empty for other events."""
        fields = sdk.as_answer(event.data)
        id_ = fields.text("documentId")
        if fields.text("eventType") != "document.received" or id_ is None:
            return ()
        return (
            EinvoiceEvent(
                id=event.id, type=EinvoiceEventType.RECEIVED, ref=ref(id_), raw=fields.raw
            ),
        )


def _path(ref: sdk.Ref) -> str:
    return f"/documents/{quote(ref.id, safe='')}"
