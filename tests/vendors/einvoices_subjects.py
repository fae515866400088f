"""Test subjects of all vendors of electronic invoices for the conformance kit."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.einvoices import EinvoiceStatus, ElectronicAddress, OutgoingInvoice
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits._einvoices_harness import ACCOUNT, outgoing_invoice
from moorage.testing.kits.einvoices_conformance import EinvoicesSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.einvoices.base import DOCUMENT, FA3, RECIPIENT
from moorage.testing.sandboxes.einvoices.ksef import KsefSandbox
from moorage.testing.sandboxes.einvoices.recommand import RecommandSandbox
from moorage.testing.sandboxes.einvoices.storecove import StorecoveSandbox
from moorage.vendors.einvoices.ksef import Ksef
from moorage.vendors.einvoices.recommand import Recommand
from moorage.vendors.einvoices.storecove import Storecove

if TYPE_CHECKING:
    from collections.abc import Callable

KSEF_FAILURES: Final = (405, 410, 415, 430, 435, 440, 450, 550)
GUID: Final = "3b7cbd0a-3d5f-4d7c-8a53-6c0f5bcd7a10"
NO_REASON: Final = "Failed to send document over Peppol network. No additional context available, please contact support@recommand.eu if you could use our help."  # noqa: E501 - as the vendor writes it


def storecove_error(status: int, source: str, details: str = "is wrong") -> Response:
    """Return an error response of Storecove."""
    return reply([{"source": source, "details": details}], status)


def recommand_error(status: int, **errors: list[str]) -> Response:
    """Return an error response of Recommand."""
    return reply({"success": False, "errors": errors}, status)


def storecove() -> EinvoicesSubject:
    """Return a Storecove test subject with a new sandbox."""
    sandbox = StorecoveSandbox()
    ref = Ref("storecove", ACCOUNT, GUID)
    return EinvoicesSubject(
        vendor=Storecove(credentials=sandbox.token, legal_entity_id="4711"),
        sandbox=sandbox,
        recipient="GLN:7300010000001",
        refusals=(
            (storecove_error(422, "routing"), InvalidRequest, "routing"),
            (storecove_error(422, "idempotencyGuid"), InvalidRequest, "idempotencyGuid"),
            (storecove_error(400, "document"), InvalidRequest, "document"),
            (storecove_error(409, "document"), VendorRejected, "document"),
            (reply({"error": "Unauthorized"}, 401), AuthenticationFailed, "Unauthorized"),
            (storecove_error(403, "legalEntityId"), AuthenticationFailed, "legalEntityId"),
            (storecove_error(429, "limit"), RateLimitExceeded, "limit"),
        ),
        deliver=sandbox.deliver,
        option=("createPrimaryImage", False),
        secrets=(sandbox.token,),
        reports=sandbox.report,
        words=(
            ("succeeded", EinvoiceStatus.DELIVERED),
            ("failed", EinvoiceStatus.FAILED),
            ("no_action_taken", EinvoiceStatus.FAILED),
            ("accepted", EinvoiceStatus.UNKNOWN),
        ),
        requests=(
            (
                "send",
                (outgoing_invoice(),),
                {
                    "legalEntityId": 4711,
                    "routing": {"eIdentifiers": [{"scheme": "GLN", "id": "7300010000001"}]},
                    "document": {
                        "documentType": "invoice",
                        "rawDocumentData": {
                            "document": b64encode(DOCUMENT).decode(),
                            "parseStrategy": "ubl",
                        },
                    },
                },
            ),
            (
                "check_recipient",
                ("0204:10101010-STO-10",),
                {
                    "documentTypes": ["invoice"],
                    "network": "peppol",
                    "metaScheme": "iso6523-actorid-upis",
                    "scheme": "DE:LWID",
                    "identifier": "10101010-STO-10",
                },
            ),
        ),
        answers=(
            (
                "send",
                (outgoing_invoice(),),
                reply({"guid": GUID}),
                {"ref": ref, "status": EinvoiceStatus.ACCEPTED},
            ),
            ("get", (ref,), reply({}, 404), {"ref": ref, "status": EinvoiceStatus.UNKNOWN}),
            (
                "get",
                (ref,),
                reply({"network": "email", "evidence": {"smtp_response": "250 OK"}}),
                {"status": EinvoiceStatus.UNKNOWN},
            ),
            (
                "get",
                (ref,),
                reply({"network": "peppol", "evidence": {"transmission_id": "t-1"}}),
                {"status": EinvoiceStatus.DELIVERED},
            ),
            ("check_recipient", (RECIPIENT,), reply({"code": "NOK"}), {"can_receive": False}),
            (
                "check_recipient",
                (RECIPIENT,),
                reply({"code": "OK", "email": True}),
                {"can_receive": False},
            ),
            ("download", (ref,), reply({"original": DOCUMENT.decode()}), {"document": DOCUMENT}),
        ),
        malformed=(("check_recipient", (RECIPIENT,)), ("download", (ref,))),
    )


def recommand_sent(status: str, failure: str | None = None) -> Response:
    """Return Recommand's response to a request to send a document."""
    delivery = {
        "channel": "peppol",
        "address": RECIPIENT,
        "status": status,
        "failure": failure and {"category": "transport", "message": failure, "providerCode": None},
    }
    return reply(
        {
            "success": True,
            "id": "doc_1",
            "sentOverPeppol": True,
            "deliveries": [{"channel": "email", "status": "delivered"}, delivery],
            "deliveryStatus": "delivered",
        }
    )


def recommand() -> EinvoicesSubject:
    """Return a Recommand test subject with a new sandbox."""
    sandbox = RecommandSandbox()
    ref = Ref("recommand", ACCOUNT, "doc_1")
    received = {
        "id": "doc_1",
        "senderId": "0208:0123456789",
        "receiverId": None,
        "type": "creditNote",
        "createdAt": "2026-11-26T08:00:00.000Z",
    }
    return EinvoicesSubject(
        vendor=Recommand(
            credentials=sandbox.secret, api_key=sandbox.api_key, company_id=sandbox.company_id
        ),
        sandbox=sandbox,
        recipient=RECIPIENT,
        refusals=(
            (recommand_error(400, root=["Invalid document."]), InvalidRequest, "root"),
            (recommand_error(400, lines=["BR-16: No line."]), InvalidRequest, "lines"),
            (recommand_error(401, root=["Unauthorized"]), AuthenticationFailed, "root"),
            (recommand_error(403, root=["Forbidden"]), AuthenticationFailed, "root"),
            (recommand_error(404, root=["Company not found"]), VendorRejected, "root"),
            (recommand_error(422, root=["The recipient is unknown."]), VendorRejected, "root"),
            (recommand_error(429, root=["Too many requests"]), RateLimitExceeded, "root"),
        ),
        uncertain=(recommand_error(422, root=[NO_REASON]), recommand_error(500, root=["Failed"])),
        option=("processId", "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"),
        secrets=(sandbox.secret,),
        requests=(
            (
                "send",
                (outgoing_invoice(),),
                {"recipient": RECIPIENT, "documentType": "xml", "document": DOCUMENT.decode()},
            ),
            (
                "check_recipient",
                (RECIPIENT,),
                {"peppolAddress": RECIPIENT, "documentType": "invoice"},
            ),
        ),
        answers=(
            (
                "send",
                (outgoing_invoice(),),
                reply({"success": True, "id": "doc_1", "sentOverPeppol": True}),
                {"ref": ref, "status": EinvoiceStatus.DELIVERED},
            ),
            (
                "send",
                (outgoing_invoice(),),
                reply({"success": True, "id": "doc_1", "sentOverPeppol": False}),
                {"status": EinvoiceStatus.UNKNOWN},
            ),
            (
                "send",
                (outgoing_invoice(),),
                recommand_sent("failed", failure="The certificate has expired."),
                {
                    "status": EinvoiceStatus.FAILED,
                    "vendor_status": "failed",
                    "reason": "The certificate has expired.",
                },
            ),
            (
                "send",
                (outgoing_invoice(),),
                recommand_sent("held"),
                {"status": EinvoiceStatus.UNKNOWN, "vendor_status": "held"},
            ),
            (
                "get",
                (ref,),
                reply(
                    {
                        "success": True,
                        "document": {**received, "direction": "incoming", "sentOverPeppol": True},
                    }
                ),
                {"ref": ref, "status": EinvoiceStatus.UNKNOWN},
            ),
            (
                "check_recipient",
                (RECIPIENT,),
                reply({"success": True, "isValid": False}),
                {"can_receive": None},
            ),
            (
                "download",
                (ref,),
                reply({"success": True, "document": {**received, "xml": "<Invoice/>"}}),
                {
                    "sender": ElectronicAddress("0208", "0123456789"),
                    "recipient": None,
                    "vendor_type": "creditNote",
                    "at": datetime(2026, 11, 26, 8, tzinfo=UTC),
                    "document": b"<Invoice/>",
                },
            ),
        ),
        malformed=(
            ("check_recipient", (RECIPIENT,)),
            ("download", (ref,)),
            ("get", (ref,)),
            ("list_received", ()),
            ("mark_fetched", (ref,)),
        ),
    )


def ksef_error(status: int, code: int | None = None) -> Response:
    """Return an error response of KSeF, in the form of problem details."""
    problem: dict[str, Any] = {
        "title": "Bad Request",
        "status": status,
        "detail": "Żądanie jest nieprawidłowe.",
    }
    if code is not None:
        errors = [{"code": code, "description": "Błąd walidacji.", "details": ["Pole faktury."]}]
        problem |= {"errors": errors}
    return reply(problem, status)


def ksef_state(code: int, **fields: Any) -> Response:
    """Return KSeF's response with the state of an invoice."""
    status = {"code": code, "description": f"Status {code}", "details": ["Powód"]}
    return reply({"referenceNumber": "EE-1", "status": status, **fields})


def ksef() -> EinvoicesSubject:
    """Return a KSeF test subject with a new sandbox."""
    sandbox = KsefSandbox()
    ref = Ref("ksef", ACCOUNT, "EE-1", {"session": "SO-1"})
    number = "5260250274-20310506-00000A000000-B4"
    return EinvoicesSubject(
        vendor=Ksef(credentials=sandbox.token, nip=sandbox.nip),
        sandbox=sandbox,
        recipient="5252248481",
        refusals=(
            (ksef_error(400, 21405), InvalidRequest, "21405"),
            (ksef_error(400, 21180), VendorRejected, "21180"),
            (ksef_error(400, 21173), VendorRejected, "21173"),
            (ksef_error(401), AuthenticationFailed, None),
            (ksef_error(403), AuthenticationFailed, None),
            (ksef_error(429), RateLimitExceeded, None),
        ),
        deliver=sandbox.deliver,
        option=("offlineMode", True),
        secrets=(sandbox.token, sandbox.access_token, sandbox.login_token),
        answers=(
            (
                "send",
                (OutgoingInvoice(document=FA3),),
                reply({"referenceNumber": "EE-1"}, 202),
                {"status": EinvoiceStatus.ACCEPTED, "official_number": None},
            ),
            (
                "get",
                (ref,),
                ksef_state(200, ksefNumber=number, acquisitionDate="2026-11-26T08:00:00+00:00"),
                {
                    "ref": ref,
                    "status": EinvoiceStatus.DELIVERED,
                    "vendor_status": "200",
                    "official_number": number,
                    "reason": None,
                    "at": datetime(2026, 11, 26, 8, tzinfo=UTC),
                },
            ),
            *(
                ("get", (ref,), ksef_state(code), {"status": status, "vendor_status": str(code)})
                for code, status in (
                    (100, EinvoiceStatus.ACCEPTED),
                    (150, EinvoiceStatus.ACCEPTED),
                    *((code, EinvoiceStatus.FAILED) for code in KSEF_FAILURES),
                    (500, EinvoiceStatus.UNKNOWN),
                    (777, EinvoiceStatus.UNKNOWN),
                )
            ),
            (
                "get",
                (ref,),
                ksef_state(450),
                {"reason": "Status 450 Powód", "official_number": None},
            ),
            (
                "download",
                (Ref("ksef", ACCOUNT, number),),
                Response(200, {"Content-Type": "application/xml"}, FA3),
                {"document": FA3, "vendor_type": "Faktura", "sender": None},
            ),
        ),
        malformed=(("get", (ref,)), ("download", (Ref("ksef", ACCOUNT, number),))),
        login_count=5,
        send_count=1,
    )


SUBJECTS: Final[tuple[Callable[[], EinvoicesSubject], ...]] = (storecove, recommand, ksef)
