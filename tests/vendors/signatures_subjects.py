"""Test subjects of all vendors of electronic signatures for the conformance kit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.signatures_conformance import SignaturesSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.signatures.acrobat_sign import AcrobatSignSandbox
from moorage.testing.sandboxes.signatures.base import RETURN_URL
from moorage.testing.sandboxes.signatures.docusign import DocusignSandbox
from moorage.testing.sandboxes.signatures.dropbox_sign import DropboxSignSandbox
from moorage.vendors.signatures.acrobat_sign import AcrobatSign
from moorage.vendors.signatures.docusign import Docusign
from moorage.vendors.signatures.dropbox_sign import DropboxSign

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response


def docusign_error(code: str, status: int = 400, **headers: str) -> Response:
    """Return an error response of DocuSign."""
    return reply({"errorCode": code, "message": "This did not work."}, status, **headers)


def docusign_envelope(id_: str, status: str, **signer: Any) -> Response:
    """Return DocuSign's response with an envelope that has one signer."""
    person = {"email": "ada@example.com", "name": "Ada", "status": status, **signer}
    recipients = {"signers": [person]}
    return reply({"envelopeId": id_, "status": status, "recipients": recipients})


def docusign() -> SignaturesSubject:
    """Return a DocuSign test subject with a new sandbox."""
    sandbox = DocusignSandbox()
    return SignaturesSubject(
        vendor=Docusign(credentials=sandbox.token, account_id=sandbox.account_id),
        sandbox=sandbox,
        refusals=(
            (
                docusign_error("AUTHORIZATION_INVALID_TOKEN", 401),
                AuthenticationFailed,
                "AUTHORIZATION_INVALID_TOKEN",
            ),
            (
                docusign_error("USER_LACKS_PERMISSIONS"),
                AuthenticationFailed,
                "USER_LACKS_PERMISSIONS",
            ),
            (
                docusign_error("HOURLY_APIINVOCATION_LIMIT_EXCEEDED"),
                RateLimitExceeded,
                "HOURLY_APIINVOCATION_LIMIT_EXCEEDED",
            ),
            (
                docusign_error("Hourly_Envelope_Polling_Limit_Exceeded", 429),
                RateLimitExceeded,
                "HOURLY_ENVELOPE_POLLING_LIMIT_EXCEEDED",
            ),
            (
                docusign_error("ANCHOR_TAG_PROCESSING_FAILURE"),
                InvalidRequest,
                "ANCHOR_TAG_PROCESSING_FAILURE",
            ),
            (docusign_error("INVALID_REQUEST_BODY"), InvalidRequest, "INVALID_REQUEST_BODY"),
            (docusign_error("A_NEW_WORD"), VendorRejected, "A_NEW_WORD"),
        ),
        pause=(
            docusign_error("HOURLY_APIINVOCATION_LIMIT_EXCEEDED", 429, Retry_After="30"),
            30.0,
        ),
        unknown_word=lambda id_: docusign_envelope(id_, "a-new-word"),
        option=("brandId", "a-brand"),
        events=(
            ("envelope-sent", False, "sent"),
            ("recipient-delivered", True, "viewed"),
            ("recipient-completed", True, "signed"),
            ("envelope-completed", False, "completed"),
            ("envelope-declined", False, "declined"),
            ("recipient-declined", True, "declined"),
            ("envelope-voided", False, "voided"),
            ("envelope-resent", False, "reminded"),
            ("recipient-autoresponded", True, "failed"),
        ),
        webhook_secret=sandbox.connect_key,
        secrets=(sandbox.token,),
        return_url=RETURN_URL,
    )


def dropbox_sign_error(name: str, status: int, **headers: str) -> Response:
    """Return an error response of Dropbox Sign."""
    error = {"error_msg": "This did not work.", "error_name": name}
    return reply({"error": error}, status, **headers)


def dropbox_sign_request(id_: str, status: str, **fields: Any) -> Response:
    """Return Dropbox Sign's response with a request that has one signature."""
    signature = {
        "signature_id": "5",
        "signer_email_address": "ada@example.com",
        "signer_name": "Ada",
        "status_code": status,
    }
    flags = {"is_complete": False, "is_declined": False, "has_error": False}
    defaults = {"signature_request_id": id_, **flags, "signatures": [signature]}
    return reply({"signature_request": {**defaults, **fields}})


def dropbox_sign() -> SignaturesSubject:
    """Return a Dropbox Sign test subject with a new sandbox."""
    sandbox = DropboxSignSandbox()
    vendor = DropboxSign(credentials=sandbox.key, client_id=sandbox.client_id, test_mode=True)
    return SignaturesSubject(
        vendor=vendor,
        sandbox=sandbox,
        refusals=(
            (dropbox_sign_error("unauthorized", 401), AuthenticationFailed, "unauthorized"),
            (dropbox_sign_error("forbidden", 403), AuthenticationFailed, "forbidden"),
            (dropbox_sign_error("payment_required", 402), VendorRejected, "payment_required"),
            (dropbox_sign_error("bad_request", 400), InvalidRequest, "bad_request"),
            (dropbox_sign_error("conflict", 409), VendorRejected, "conflict"),
            (dropbox_sign_error("exceeded_rate", 429), RateLimitExceeded, "exceeded_rate"),
            (dropbox_sign_error("a_new_word", 404), VendorRejected, "a_new_word"),
        ),
        pause=(dropbox_sign_error("exceeded_rate", 429, Retry_After="30"), 30.0),
        unknown_word=lambda id_: dropbox_sign_request(id_, "a_new_word"),
        option=("signing_redirect_url", "https://erp.example/done"),
        events=(
            ("signature_request_sent", False, "sent"),
            ("signature_request_viewed", True, "viewed"),
            ("signature_request_signed", True, "signed"),
            ("signature_request_all_signed", False, "completed"),
            ("signature_request_declined", True, "declined"),
            ("signature_request_canceled", False, "voided"),
            ("signature_request_expired", False, "expired"),
            ("signature_request_remind", True, "reminded"),
            ("signature_request_email_bounce", True, "failed"),
            ("signature_request_invalid", False, "failed"),
            ("file_error", False, "failed"),
            ("signature_request_downloadable", False, "unknown"),
        ),
        webhook_secret=sandbox.key,
        secrets=(sandbox.key,),
        settle=sandbox.finish_voids,
    )


def acrobat_sign_error(code: str, status: int, **headers: str) -> Response:
    """Return an error response of Acrobat Sign."""
    return reply({"code": code, "message": "This did not work."}, status, **headers)


def acrobat_sign_agreement(
    id_: str, status: str, signer: str, *events: dict[str, Any], **fields: Any
) -> tuple[Response, Response, Response]:
    """Return Acrobat Sign's three responses that describe an agreement with one signer."""
    member = {"id": "5", "email": "ada@example.com", "status": "ACTIVE"}
    group = {"name": "Ada", "status": signer, "memberInfos": [member]}
    return (
        reply({"id": id_, "status": status, **fields}),
        reply({"participantSets": [group]}),
        reply({"events": list(events)}),
    )


def acrobat_sign() -> SignaturesSubject:
    """Return an Acrobat Sign test subject with a new sandbox."""
    sandbox = AcrobatSignSandbox()
    vendor = AcrobatSign(
        credentials=sandbox.token, base_url="https://api.na1.adobesign.com/api/rest/v6"
    )
    return SignaturesSubject(
        vendor=vendor,
        sandbox=sandbox,
        refusals=(
            (
                acrobat_sign_error("INVALID_ACCESS_TOKEN", 401),
                AuthenticationFailed,
                "INVALID_ACCESS_TOKEN",
            ),
            (
                acrobat_sign_error("PERMISSION_DENIED", 403),
                AuthenticationFailed,
                "PERMISSION_DENIED",
            ),
            (acrobat_sign_error("INVALID_EMAIL", 400), InvalidRequest, "INVALID_EMAIL"),
            (
                acrobat_sign_error("SEND_LIMIT_EXCEEDED", 403),
                VendorRejected,
                "SEND_LIMIT_EXCEEDED",
            ),
            (
                acrobat_sign_error("THROTTLING_TOO_MANY_REQUESTS", 429),
                RateLimitExceeded,
                "THROTTLING_TOO_MANY_REQUESTS",
            ),
            (acrobat_sign_error("A_NEW_WORD", 404), VendorRejected, "A_NEW_WORD"),
        ),
        pause=(
            acrobat_sign_error("THROTTLING_TOO_MANY_REQUESTS", 429, Retry_After="30"),
            30.0,
        ),
        unknown_word=lambda id_: acrobat_sign_agreement(id_, "A_NEW_WORD", "A_NEW_WORD"),
        option=("postSignOption", {"redirectUrl": RETURN_URL}),
        events=(
            ("AGREEMENT_ACTION_REQUESTED", True, "sent"),
            ("AGREEMENT_DOCUMENTS_VIEWED", True, "viewed"),
            ("AGREEMENT_ACTION_COMPLETED", True, "signed"),
            ("AGREEMENT_WORKFLOW_COMPLETED", False, "completed"),
            ("AGREEMENT_REJECTED", True, "declined"),
            ("AGREEMENT_RECALLED", False, "voided"),
            ("AGREEMENT_EXPIRED", False, "expired"),
            ("AGREEMENT_REMINDER_SENT", True, "reminded"),
            ("AGREEMENT_EMAIL_BOUNCED", True, "failed"),
            ("AGREEMENT_AUTO_CANCELLED_CONVERSION_PROBLEM", False, "failed"),
            ("AGREEMENT_EMAIL_VIEWED", True, "unknown"),
        ),
        webhook_secret=sandbox.webhook_token,
        secrets=(sandbox.token,),
        preparations=1,
    )


SUBJECTS: Final[tuple[Callable[[], SignaturesSubject], ...]] = (
    acrobat_sign,
    docusign,
    dropbox_sign,
)
