"""Details of Storecove and Recommand, and the requests that their sandboxes refuse."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import ConfigurationError, InvalidData
from moorage.contracts.einvoices import EinvoiceStatus, ElectronicAddress, OutgoingInvoice
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Request
from moorage.domain.values.json_text import encode_json
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import InvalidRequest, VendorFailed, VendorRejected
from moorage.hub.hub import Hub
from moorage.testing.kits._einvoices_harness import CII, outgoing_invoice
from moorage.testing.sandboxes.base import Sandbox, SandboxHttpClient, SandboxRequest, reply
from moorage.testing.sandboxes.einvoices.base import DOCUMENT, RECIPIENT, STRANGER
from moorage.testing.sandboxes.einvoices.recommand import RecommandSandbox
from moorage.testing.sandboxes.einvoices.storecove import StorecoveSandbox
from moorage.vendors.einvoices._storecove_schemes import SCHEMES, scheme_of
from moorage.vendors.einvoices.recommand import Recommand, classify
from moorage.vendors.einvoices.storecove import Storecove
from tests.vendors.einvoices_subjects import NO_REASON

GUID = "3b7cbd0a-3d5f-4d7c-8a53-6c0f5bcd7a10"


def storecove_hub(sandbox: StorecoveSandbox) -> Hub:
    """Return a hub with an account at the sandbox."""
    vendor = Storecove(credentials=sandbox.token, legal_entity_id=str(sandbox.legal_entity_id))
    return Hub([Account("main", vendor)], http=SandboxHttpClient(sandbox))


def recommand_hub(sandbox: RecommandSandbox) -> Hub:
    """Return a hub with an account at the sandbox."""
    vendor = Recommand(
        credentials=sandbox.secret, api_key=sandbox.api_key, company_id=sandbox.company_id
    )
    return Hub([Account("main", vendor)], http=SandboxHttpClient(sandbox))


def make_ref(id: str, /, **_: str | None) -> Ref:
    """Return a reference with the given id."""
    return Ref("storecove", "main", id)


def webhook(data: Any) -> WebhookEvent:
    """Return a verified webhook with the given data."""
    return WebhookEvent(vendor="url-token", id="1", type="", vendor_type="", data=data)


def test_key_becomes_a_guid_that_is_always_the_same() -> None:
    """An idempotency key is sent as a GUID; the GUID is the same for each repeat."""
    keys = []
    for key in ("k-1", "k-1", "k-2"):
        sandbox = StorecoveSandbox()
        with storecove_hub(sandbox) as hub:
            hub.einvoices().send(outgoing_invoice(), idempotency_key=key)
        keys.append(sandbox.requests[0].json()["idempotencyGuid"])

    assert keys == [
        "d31fd552-b5c5-553a-88f2-fefbfbfbdfa1",
        "d31fd552-b5c5-553a-88f2-fefbfbfbdfa1",
        "ce81bf34-196e-550f-8685-227cf54f7bf0",
    ]


def test_storecove_gets_syntax_of_each_document() -> None:
    """Storecove gets the name of the syntax in which each document is written."""
    sandbox = StorecoveSandbox()
    with storecove_hub(sandbox) as hub:
        hub.einvoices().send(outgoing_invoice(CII))

    body = sandbox.requests[0].json()
    assert body["document"]["rawDocumentData"]["parseStrategy"] == "cii"


@pytest.mark.parametrize(
    "address, name",
    [
        ("0088:1", "GLN"),
        ("0192:1", "NO:ORG"),
        ("0204:1", "DE:LWID"),
        ("0208:1", "BE:EN"),
        ("9930:DE1", "DE:VAT"),
        ("9957:FR1", "FR:VAT"),
    ],
)
def test_schemes_have_storecoves_names(address: str, name: str) -> None:
    """A participant scheme's code is sent as Storecove's name for the scheme."""
    assert name == scheme_of(ElectronicAddress.parse(address), "recipient")


def test_no_two_schemes_of_participant_ids_have_same_name_at_storecove() -> None:
    """No two schemes of participant ids have the same name at Storecove."""
    assert len(SCHEMES) == len(set(SCHEMES.values()))


def test_unknown_scheme_is_refused_before_anything_is_sent() -> None:
    """A recipient with a scheme that Storecove lacks is refused before anything is sent."""
    sandbox = StorecoveSandbox()
    with storecove_hub(sandbox) as hub:
        with pytest.raises(InvalidData, match="name for the scheme 9918") as excinfo:
            hub.einvoices().send(OutgoingInvoice(document=DOCUMENT, recipient="9918:1"))
        assert excinfo.value.field == "recipient"
        with pytest.raises(InvalidData) as excinfo:
            hub.einvoices().check_recipient("9918:1")
        assert excinfo.value.field == "address"
    assert sandbox.requests == []


def test_refusal_of_evidence_is_an_error() -> None:
    """Only a 404 means that Storecove has no evidence yet; other errors are raised."""
    sandbox = StorecoveSandbox()
    with storecove_hub(sandbox) as hub:
        sandbox.fail(reply([{"source": "guid", "details": "is wrong"}], 422))
        with pytest.raises(VendorRejected):
            hub.einvoices().get(f"storecove:main:{GUID}")


@pytest.mark.parametrize("original", ["", "ä", "a", 1, None])
def test_unreadable_original_is_an_error(original: Any) -> None:
    """A downloaded document that is neither XML nor Base64 raises an error."""
    sandbox = StorecoveSandbox()
    with storecove_hub(sandbox) as hub:
        sandbox.fail(reply({"original": original}))
        with pytest.raises(VendorFailed):
            hub.einvoices().download(f"storecove:main:{GUID}")


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"event_type": "another", "guid": GUID, "document_guid": GUID},
        {"event_type": "received_document", "guid": GUID},
        {"event_type": "document_submission", "document_guid": GUID, "event": "succeeded"},
    ],
)
def test_other_webhooks_of_storecove_give_no_event(data: Any) -> None:
    """A Storecove webhook of another type, or without an id, gives no event."""
    assert Storecove(legal_entity_id="1").events(webhook(data), make_ref) == ()


@pytest.mark.parametrize("name", ["xml", "transmission_id"])
def test_invoice_is_delivered_if_its_evidence_has_receipt_or_transmission_id(name: str) -> None:
    """An invoice is delivered if its evidence has a receipt or a transmission id."""
    sandbox = StorecoveSandbox()
    sandbox.fail(reply({"evidence": {name: "1"}}), reply({"evidence": {}}))
    with storecove_hub(sandbox) as hub:
        states = [hub.einvoices().get(f"storecove:main:{GUID}").status for _ in range(2)]

    assert ["delivered", "unknown"] == states


@pytest.mark.parametrize(
    "text, document",
    [
        ("<Invoice/>", b"<Invoice/>"),
        ("\ufeff<Invoice/>", b"\xef\xbb\xbf<Invoice/>"),
        ("\r\n\t <Invoice/>", b"\r\n\t <Invoice/>"),
        (b64encode(b"<Invoice/>").decode(), b"<Invoice/>"),
    ],
)
def test_document_of_storecove_is_xml_or_its_base64(text: str, document: bytes) -> None:
    """A document from Storecove that begins with an XML element is not decoded from base64."""
    sandbox = StorecoveSandbox()
    sandbox.fail(reply({"original": text}))
    with storecove_hub(sandbox) as hub:
        received = hub.einvoices().download(f"storecove:main:{GUID}")

    assert document == received.document


def test_parts_of_a_received_document() -> None:
    """A received document is read with its sender, recipient, type and time."""
    sandbox = RecommandSandbox()
    document = {
        "id": "1",
        "senderId": "0208:0123456749",
        "receiverId": "0088:4012345000009",
        "type": "invoice",
        "createdAt": "2031-05-06T07:08:09Z",
        "xml": "<Invoice/>",
    }
    sandbox.fail(reply({"success": True, "document": document}), reply({"success": True}))
    with recommand_hub(sandbox) as hub:
        received = hub.einvoices().download("recommand:main:1")
        hub.einvoices().mark_fetched("recommand:main:1")

    assert ("0208:0123456749", "0088:4012345000009") == (
        str(received.sender),
        str(received.recipient),
    )
    assert ("invoice", datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)) == (
        received.vendor_type,
        received.at,
    )
    assert {"read": True} == sandbox.requests[-1].json()


@pytest.mark.parametrize("status, kind", [(422, VendorFailed), (400, InvalidRequest)])
def test_refusal_without_a_reason(status: int, kind: type[Exception]) -> None:
    """A 422 refusal without a reason is a vendor failure, since the document may have been sent."""
    answer = reply({"success": False, "errors": {"root": [NO_REASON]}}, status)
    error = classify(Request.post("/send"), answer)

    assert kind is type(error)
    assert "Recommand " in str(error)


def test_all_texts_of_a_refused_field_are_reported() -> None:
    """A rejection by Recommand names its first field, and all texts about this field."""
    answer = reply({"errors": {"lines": ["No line.", "No total."], "root": ["Invalid."]}}, 400)
    error: Any = classify(Request.post("/send"), answer)

    assert ("lines", "No line.; No total.") == (error.vendor_code, error.vendor_message)


@pytest.mark.parametrize(
    "failure, reason",
    [
        ({"category": "transport", "message": "No such address."}, "No such address."),
        ({"category": "transport", "message": None}, "transport"),
    ],
)
def test_failed_delivery_has_a_reason(failure: dict[str, str | None], reason: str) -> None:
    """The reason of a failed delivery is Recommand's text, or else the category of the failure."""
    sandbox = RecommandSandbox()
    delivery = {"channel": "peppol", "status": "failed", "failure": failure}
    sandbox.fail(
        reply({"success": True, "id": "1", "sentOverPeppol": True, "deliveries": [delivery]})
    )
    with recommand_hub(sandbox) as hub:
        sent = hub.einvoices().send(outgoing_invoice(DOCUMENT))

    assert (EinvoiceStatus.FAILED, reason) == (sent.status, sent.reason)


def test_reason_of_a_failure_is_kept() -> None:
    """The details of a failed submission become the event's reason."""
    data = {"event_type": "document_submission", "guid": GUID, "event": "failed", "details": "No."}
    (event,) = Storecove(legal_entity_id="1").events(webhook(data), make_ref)

    assert event.reason == "No."
    assert "No." not in repr(event)


@pytest.mark.parametrize(
    "data", [None, {}, {"eventType": "document.received"}, {"eventType": "a", "documentId": "1"}]
)
def test_other_webhooks_of_recommand_give_no_event(data: Any) -> None:
    """A Recommand webhook of another type, or without an id, gives no event."""
    vendor = Recommand(api_key="a", company_id="c")
    assert vendor.events(webhook(data), make_ref) == ()


def test_document_that_is_not_utf_8_is_refused() -> None:
    """A document that is not UTF-8 is refused for Recommand, which accepts only text."""
    latin = DOCUMENT.decode().replace("UTF-8", "ISO-8859-1").encode("latin-1")
    sandbox = RecommandSandbox()
    with recommand_hub(sandbox) as hub, pytest.raises(InvalidData, match="UTF-8") as excinfo:
        hub.einvoices().send(outgoing_invoice(latin))
    assert excinfo.value.field == "document"
    assert sandbox.requests == []


def test_only_documents_of_the_company_are_listed() -> None:
    """Received documents are listed for the account's company only."""
    sandbox = RecommandSandbox()
    sandbox.documents[sandbox.arrive()]["companyId"] = "c_other"
    with recommand_hub(sandbox) as hub:
        assert hub.einvoices().list_received().invoices == ()
    assert sandbox.requests[0].query == (("companyId", "c_sandbox"),)


@pytest.mark.parametrize("documents", [None, {}, "x", 3])
def test_answer_without_a_list_is_no_empty_inbox(documents: object) -> None:
    """If the response has no list of documents, an error is raised, not an empty inbox returned."""
    sandbox = RecommandSandbox()
    sandbox.fail(reply({"success": True, "documents": documents}))
    with recommand_hub(sandbox) as hub, pytest.raises(VendorFailed, match="documents"):
        hub.einvoices().list_received()


@pytest.mark.parametrize(
    "kind, options",
    [
        (Storecove, {"legal_entity_id": "a"}),
        (Storecove, {"legal_entity_id": "0"}),
        (Recommand, {"api_key": "a", "company_id": "a/b"}),
    ],
)
def test_wrong_options_are_refused(kind: Any, options: dict[str, str]) -> None:
    """An option of the wrong form is refused."""
    with pytest.raises((ConfigurationError, InvalidData)):
        kind(**options)


BODY: dict[str, Any] = {
    "legalEntityId": 4711,
    "routing": {"eIdentifiers": [{"scheme": "GLN", "id": "1"}]},
    "document": {"documentType": "invoice", "rawDocumentData": {"document": "PGEvPg=="}},
}


@pytest.mark.parametrize(
    "path, body, status",
    [
        ("/document_submissions", BODY, 200),
        ("/document_submissions", {**BODY, "legalEntityId": 1}, 422),
        ("/document_submissions", {**BODY, "idempotencyGuid": "k-1"}, 422),
        ("/document_submissions", {**BODY, "another": 1}, 422),
        ("/document_submissions", {**BODY, "routing": {}}, 422),
        (
            "/document_submissions",
            {
                **BODY,
                "document": {"documentType": "invoice", "rawDocumentData": {"document": "?"}},
            },
            422,
        ),
        ("/discovery/receives", {"scheme": "GLN"}, 422),
        ("/discovery/exists", {}, 404),
    ],
)
def test_sandbox_of_storecove_is_strict(path: str, body: Any, status: int) -> None:
    """The Storecove sandbox refuses what Storecove's API description does not allow."""
    sandbox = StorecoveSandbox()
    assert status == status_of_post(sandbox, f"/api/v2{path}", body, f"Bearer {sandbox.token}")


def test_sandbox_of_storecove_refuses_a_repeated_guid() -> None:
    """The Storecove sandbox refuses a GUID that was used before, and a wrong key."""
    sandbox = StorecoveSandbox()
    body = {**BODY, "idempotencyGuid": GUID}
    path, key = "/api/v2/document_submissions", f"Bearer {sandbox.token}"

    assert [status_of_post(sandbox, path, body, key) for _ in range(2)] == [200, 422]
    assert status_of_post(sandbox, path, body, "Bearer another") == 401
    assert len(sandbox.deliveries()) == 1


SENT: dict[str, Any] = {"recipient": RECIPIENT, "documentType": "xml", "document": "<a/>"}
SUPPORT = "verify-document-support"


@pytest.mark.parametrize(
    "path, body, status",
    [
        ("c_sandbox/send", SENT, 200),
        ("c_other/send", SENT, 404),
        ("c_sandbox/send", {**SENT, "another": 1}, 400),
        ("c_sandbox/send", {**SENT, "recipient": None}, 400),
        ("c_sandbox/send", {**SENT, "document": {}}, 400),
        ("c_sandbox/send", {**SENT, "recipient": STRANGER}, 422),
        ("documents/doc_1/mark-as-read", {}, 404),
        (SUPPORT, {"peppolAddress": RECIPIENT}, 400),
        (SUPPORT, {"peppolAddress": RECIPIENT, "documentType": "invoice"}, 200),
    ],
)
def test_sandbox_of_recommand_is_strict(path: str, body: Any, status: int) -> None:
    """The Recommand sandbox refuses what Recommand's published schema does not allow."""
    sandbox = RecommandSandbox()
    key = b64encode(f"{sandbox.api_key}:{sandbox.secret}".encode()).decode()
    assert status == status_of_post(sandbox, f"/api/v1/{path}", body, f"Basic {key}")
    assert status_of_post(sandbox, f"/api/v1/{path}", body, "Basic YTpi") == 401


def status_of_post(sandbox: Sandbox, path: str, body: Any, authorization: str) -> int:
    """Return the status of the sandbox's response to a POST request."""
    headers = Headers({"Content-Type": "application/json", "Authorization": authorization})
    request = SandboxRequest("POST", "", path, (), headers, encode_json(body))
    return sandbox.answer(request).status


def test_api_key_is_not_shown() -> None:
    """The account's repr shows neither the API key nor its secret."""
    vendor = Recommand(api_key="key-canary", credentials="secret-canary", company_id="c")

    assert "canary" not in repr(vendor)


@pytest.mark.parametrize(
    "recipient, word, status",
    [(RECIPIENT, "succeeded", "delivered"), (STRANGER, "no_action_taken", "unknown")],
)
def test_storecove_sandbox_delivers_only_to_registered_recipients(
    recipient: str, word: str, status: str
) -> None:
    """A document for an unknown recipient is not delivered, and has no evidence."""
    sandbox = StorecoveSandbox()
    with storecove_hub(sandbox) as hub:
        invoice = OutgoingInvoice(document=DOCUMENT, recipient=recipient)
        ref = hub.einvoices().send(invoice).ref
        notice = sandbox.deliver(ref.id)
        state = hub.einvoices().get(ref)

    assert word == json.loads(notice.body)["event"]
    assert status == state.status
