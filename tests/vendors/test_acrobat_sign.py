"""Acrobat Sign's requests and responses, in the form that Adobe documents."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from moorage.adapters.entries.memory import MemoryInbox
from moorage.contracts.routes import Account
from moorage.contracts.signatures import (
    EnvelopeStatus,
    SignatureDocument,
    SignatureRequest,
    Signer,
    SignerStatus,
)
from moorage.domain.entries.queue import EntryQuery
from moorage.domain.http.requests import Headers, Request, Response
from moorage.domain.secrets.secret import Secret
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.hub.inbox import WebhookInbox
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, SandboxRequest, reply
from moorage.testing.sandboxes.signatures.acrobat_sign import AcrobatSignSandbox
from moorage.testing.sandboxes.signatures.base import PDF, RETURN_URL
from moorage.vendors.signatures._acrobat_sign_requests import agreement_body
from moorage.vendors.signatures.acrobat_sign import AcrobatSign
from tests.vendors.signatures_subjects import acrobat_sign_agreement, acrobat_sign_error

ADA: dict[str, Any] = {"name": "Ada Lovelace", "email": "ada@example.com"}
GRACE: dict[str, Any] = {"name": "Grace Hopper", "email": "grace@example.com"}
LEASE = SignatureDocument(name="Lease ä.pdf", content=PDF + bytes(range(256)))
BASE_URL = "https://api.na1.adobesign.com/api/rest/v6"


def request(*signers: Signer, **fields: Any) -> SignatureRequest:
    """Return a signature request, by default with Ada as its signer."""
    defaults: dict[str, Any] = {
        "subject": "Lease",
        "documents": [LEASE],
        "signers": signers or [Signer(**ADA)],
    }
    return SignatureRequest(**defaults | fields)


def hub_and_sandbox(**options: Any) -> tuple[Hub, AcrobatSignSandbox]:
    """Return a hub with an account at a new sandbox, and the sandbox."""
    sandbox = AcrobatSignSandbox()
    fields = {"credentials": sandbox.token, "base_url": BASE_URL, **options}
    account = Account("main", AcrobatSign(**fields), settings={"retry": None, "circuit": None})
    return Hub([account], http=SandboxHttpClient(sandbox)), sandbox


def event(type_: str, email: str = "ada@example.com", **fields: Any) -> dict[str, Any]:
    """Return an event in the history of an agreement."""
    return {"type": type_, "date": "2031-05-06T07:08:09Z", "participantEmail": email, **fields}


def test_agreements_are_sent_in_adobes_format() -> None:
    """An agreement is sent with its files, signers numbered in order, and Adobe's time format."""
    signers = [
        Signer(**ADA, order=2, phone="+4915112345678"),
        Signer(**GRACE, order=5),
    ]
    agreement = request(
        *signers,
        message="Please sign.",
        language="de",
        expires_on=date(2031, 5, 6),
        remind_every=3,
    )

    assert agreement_body(agreement, ["f1"], "mark") == {
        "name": "Lease",
        "message": "Please sign.",
        "state": "IN_PROCESS",
        "signatureType": "ESIGN",
        "fileInfos": [{"transientDocumentId": "f1"}],
        "participantSetsInfo": [
            {
                "role": "SIGNER",
                "name": "Ada Lovelace",
                "order": 1,
                "memberInfos": [
                    {
                        "email": "ada@example.com",
                        "securityOption": {
                            "authenticationMethod": "PHONE",
                            "phoneInfo": {"countryCode": "49", "phone": "15112345678"},
                        },
                    }
                ],
            },
            {
                "role": "SIGNER",
                "name": "Grace Hopper",
                "order": 2,
                "memberInfos": [{"email": "grace@example.com"}],
            },
        ],
        "externalId": {"id": "mark"},
        "locale": "de_DE",
        "expirationTime": "2031-05-06T00:00:00Z",
        "reminderFrequency": "EVERY_THIRD_DAY_UNTIL_SIGNED",
    }


TWO_DIGITS = """
    20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65
    66 81 82 84 86 90 91 92 93 94 95 98
"""
"""The country codes of two digits in ITU's recommendation E.164."""


@pytest.mark.parametrize(
    "number, code, rest",
    [
        *((f"+{code}2071234567", code, "2071234567") for code in TWO_DIGITS.split()),
        ("+12025550123", "1", "2025550123"),
        ("+79161234567", "7", "9161234567"),
        ("+442071234567", "44", "2071234567"),
        ("+353851234567", "353", "851234567"),
    ],
)
def test_phone_numbers_are_divided(number: str, code: str, rest: str) -> None:
    """Adobe gets a phone number as its country code and the rest of the number."""
    body = agreement_body(request(Signer(**ADA, phone=number)), [], None)
    security = body["participantSetsInfo"][0]["memberInfos"][0]["securityOption"]

    assert security["phoneInfo"] == {"countryCode": code, "phone": rest}
    assert "externalId" not in body


LOCALES = """
    ca_ES cs_CZ da_DK de_DE es_ES eu_ES fi_FI fr_FR hr_HR hu_HU is_IS it_IT ja_JP ko_KR ms_MY nb_NO
    nl_NL nn_NO no_NO pl_PL pt_PT ro_RO ru_RU sk_SK sl_SI sv_SE th_TH tr_TR uk_UA vi_VN zh_CN
"""
"""Adobe's locales, in its developer guide, whose first part is the language without a country."""


@pytest.mark.parametrize(
    "language, locale",
    [
        *((locale.partition("_")[0], locale) for locale in LOCALES.split()),
        ("en", "en_US"),
        ("id", "in_ID"),
        ("id-ID", "in_ID"),
        ("pt-BR", "pt_BR"),
        ("zh-TW", "zh_TW"),
    ],
)
def test_adobe_gets_language_as_its_own_locale(language: str, locale: str) -> None:
    """A language is sent to Adobe as a locale, such as en_US."""
    assert agreement_body(request(language=language), [], None)["locale"] == locale


@pytest.mark.parametrize(
    "made, field",
    [
        (request(remind_every=4), "remind_every"),
        (request(language="xh"), "language"),
        (request(Signer(**ADA, embedded=True), Signer(**GRACE)), "signers.embedded"),
        (request(expires_on=date(2020, 1, 1)), "expires_on"),
    ],
)
def test_fields_that_adobe_does_not_support_are_refused(made: SignatureRequest, field: str) -> None:
    """A request that Adobe could not carry out is refused before any document is uploaded."""
    hub, sandbox = hub_and_sandbox()
    with hub, pytest.raises(InvalidData) as refused:
        hub.signatures().send(made)

    assert refused.value.field == field
    assert sandbox.requests == []


def test_files_are_uploaded_first() -> None:
    """Each document is uploaded byte for byte; the agreement refers to the document's id."""
    other = SignatureDocument(name="plan.pdf", content=PDF)
    hub, sandbox = hub_and_sandbox(api_user="email:me@erp.example")
    with hub:
        ref = hub.signatures().send(request(documents=[LEASE, other])).ref

    assert [item.path for item in sandbox.requests] == [
        "/api/rest/v6/transientDocuments",
        "/api/rest/v6/transientDocuments",
        "/api/rest/v6/agreements",
    ]
    infos = sandbox.envelopes[ref.id].fields["fileInfos"]
    assert [sandbox.files[item["transientDocumentId"]] for item in infos] == [
        ("Lease ä.pdf", LEASE.content),
        ("plan.pdf", PDF),
    ]
    users = {item.headers.get("x-api-user") for item in sandbox.requests}
    assert users == {"email:me@erp.example"}


@pytest.mark.parametrize("fault", [Lost(), Response(503), Response(200, body=b"{}")])
def test_a_failed_upload_may_be_repeated(fault: Any) -> None:
    """If an upload fails, no agreement is sent; a repeat with the same key sends it once."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(fault)
    with hub:
        with pytest.raises((ConnectionFailed, VendorFailed)):
            hub.signatures().send(request(), idempotency_key="k")
        assert sandbox.envelopes == {}
        receipts = [hub.signatures().send(request(), idempotency_key="k") for _ in range(2)]

    assert receipts[0] == receipts[1]
    assert [*sandbox.envelopes] == [receipts[0].ref.id]


@pytest.mark.parametrize(
    "code, status, kind",
    [
        ("API_TERMS_NOT_ACCEPTED", 403, AuthenticationFailed),
        ("CONSENT_ACCEPTANCE_REQUIRED", 403, AuthenticationFailed),
        ("INVALID_API_ACCESS_POINT", 400, AuthenticationFailed),
        ("PERMISSION_DENIED", 404, AuthenticationFailed),
        ("LARGE_FILE_SIZE", 403, InvalidRequest),
        ("TRANSIENT_RESOURCE_PROCESSING_FAILED", 403, InvalidRequest),
        ("AGREEMENT_NOT_AVAILABLE", 404, VendorFailed),
        ("AGREEMENT_NOT_EXPOSED", 404, VendorFailed),
        ("AGREEMENT_NOT_VISIBLE", 404, VendorFailed),
        ("DOCUMENT_NOT_AVAILABLE", 404, VendorFailed),
        ("NO_PERMISSION_TO_SIGN", 400, VendorRejected),
        ("OTHER", 400, InvalidRequest),
        ("OTHER", 413, InvalidRequest),
        ("OTHER", 415, InvalidRequest),
        ("OTHER", 404, VendorRejected),
    ],
)
def test_code_of_an_error_decides(code: str, status: int, kind: type[ConnectorError]) -> None:
    """Adobe's code decides which error a response becomes, and the status if it has no meaning."""
    refusal: Any = AcrobatSign.refusals
    error = refusal(Request.get("/agreements/1"), acrobat_sign_error(code, status))

    assert (kind, code) == (type(error), error.vendor_code)


def test_a_refused_upload_sends_nothing() -> None:
    """If Adobe refuses a document, an error is raised, and no agreement is sent."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(acrobat_sign_error("LARGE_FILE_SIZE", 403))
    with hub, pytest.raises(InvalidRequest) as refused:
        hub.signatures().send(request(), idempotency_key="k")

    assert refused.value.vendor_code == "LARGE_FILE_SIZE"
    assert sandbox.envelopes == {}


def test_a_repeat_sends_the_uploaded_file() -> None:
    """A repeat after an unknown outcome uploads no document and sends no second agreement."""
    hub, sandbox = hub_and_sandbox()
    sandbox.is_search_late = True
    sandbox.fail(None, Lost())
    with hub:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                hub.signatures().send(request(), idempotency_key="k")

    assert (len(sandbox.files), len(sandbox.envelopes)) == (1, 1)


def test_the_look_up_is_by_external_id() -> None:
    """After a lost response, the agreement is searched by its external id and then compared."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(None, Lost())
    with hub:
        ref = hub.signatures().send(request(), idempotency_key="order-1042").ref
    listing, agreement = sandbox.requests[-2:]

    assert dict(listing.query) == {
        "externalId": sandbox.envelopes[ref.id].mark,
        "showHiddenAgreements": "true",
    }
    assert agreement.path == f"/api/rest/v6/agreements/{ref.id}"


def test_agreement_with_another_external_id_is_not_returned() -> None:
    """If only agreements with other external ids are found, the outcome stays unknown."""
    hub, sandbox = hub_and_sandbox()
    listed = reply({"userAgreementList": [{"id": "1"}, {}]})
    other = reply({"id": "1", "status": "SIGNED", "externalId": {"id": "another"}})
    sandbox.fail(None, Lost(), listed, other)
    with hub, pytest.raises(OutcomeUnknown):
        hub.signatures().send(request(), idempotency_key="k")


@pytest.mark.parametrize(
    "word, events, status",
    [
        ("DOCUMENTS_NOT_YET_PROCESSED", (), EnvelopeStatus.PROCESSING),
        ("AUTHORING", (), EnvelopeStatus.CREATED),
        ("OUT_FOR_APPROVAL", (), EnvelopeStatus.SENT),
        ("OUT_FOR_SIGNATURE", (event("DOCUMENTS_VIEWED"),), EnvelopeStatus.VIEWED),
        ("OUT_FOR_SIGNATURE", (event("EMAIL_VIEWED"),), EnvelopeStatus.SENT),
        ("SIGNED", (), EnvelopeStatus.COMPLETED),
        ("APPROVED", (), EnvelopeStatus.COMPLETED),
        ("EXPIRED", (), EnvelopeStatus.EXPIRED),
        ("CANCELLED", (event("RECALLED"),), EnvelopeStatus.VOIDED),
        ("CANCELLED", (event("REJECTED"),), EnvelopeStatus.DECLINED),
        ("CANCELLED", (event("AUTO_CANCELLED_CONVERSION_PROBLEM"),), EnvelopeStatus.FAILED),
        ("CANCELLED", (event("CREATED"),), EnvelopeStatus.UNKNOWN),
        ("ARCHIVED", (), EnvelopeStatus.UNKNOWN),
    ],
)
def test_states_of_agreements(
    word: str, events: tuple[dict[str, Any], ...], status: EnvelopeStatus
) -> None:
    """Each Adobe status becomes a status of the contract; the history has the reason."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(*acrobat_sign_agreement("1", word, "WAITING_FOR_MY_SIGNATURE", *events))
    with hub:
        envelope = hub.signatures().get("acrobat_sign:main:1")

    assert (envelope.status, envelope.vendor_status) == (status, word)


@pytest.mark.parametrize(
    "word, events, status",
    [
        ("WAITING_FOR_MY_SIGNATURE", (), SignerStatus.SENT),
        ("WAITING_FOR_MY_SIGNATURE", (event("DOCUMENTS_VIEWED"),), SignerStatus.VIEWED),
        (
            "WAITING_FOR_MY_SIGNATURE",
            (event("DOCUMENTS_VIEWED", "grace@example.com"),),
            SignerStatus.SENT,
        ),
        ("NOT_YET_VISIBLE", (), SignerStatus.WAITING),
        ("WAITING_FOR_OTHERS", (), SignerStatus.WAITING),
        (
            "WAITING_FOR_OTHERS",
            (event("ACTION_COMPLETED", "ADA@example.com"),),
            SignerStatus.SIGNED,
        ),
        ("COMPLETED", (), SignerStatus.SIGNED),
        ("EXPIRED", (), SignerStatus.EXPIRED),
        ("CANCELLED", (event("REJECTED"),), SignerStatus.DECLINED),
        ("CANCELLED", (), SignerStatus.UNKNOWN),
    ],
)
def test_states_of_signers(
    word: str, events: tuple[dict[str, Any], ...], status: SignerStatus
) -> None:
    """A signer's Adobe status and the signer's events together decide the contract status."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(*acrobat_sign_agreement("1", "OUT_FOR_SIGNATURE", word, *events))
    with hub:
        envelope = hub.signatures().get("acrobat_sign:main:1")

    signer = envelope.signers[0]
    assert (signer.status, signer.vendor_status, signer.name) == (status, word, "Ada")


def test_times_and_reasons_are_read() -> None:
    """The time of an agreement, of its last signature and the reason for its end are read."""
    hub, sandbox = hub_and_sandbox()
    answers = acrobat_sign_agreement(
        "1",
        "SIGNED",
        "COMPLETED",
        event("ACTION_COMPLETED"),
        createdDate="2031-05-01T00:00:00Z",
        expirationTime="2031-06-01T00:00:00Z",
    )
    recalled = event("RECALLED", comment="Too late.")
    sandbox.fail(*answers, *acrobat_sign_agreement("1", "CANCELLED", "CANCELLED", recalled))
    with hub:
        signed = hub.signatures().get("acrobat_sign:main:1")
        voided = hub.signatures().get("acrobat_sign:main:1")

    assert signed.created_at == datetime(2031, 5, 1, tzinfo=UTC)
    assert signed.completed_at == datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert signed.expires_at == datetime(2031, 6, 1, tzinfo=UTC)
    assert (voided.completed_at, voided.reason) == (None, "Too late.")


def test_replaced_signers_are_left_out() -> None:
    """A signer who was replaced by another signer is left out of the agreement."""
    hub, sandbox = hub_and_sandbox()
    agreement, _, events = acrobat_sign_agreement("1", "OUT_FOR_SIGNATURE", "")
    members = [{"email": "old@example.com", "status": "REPLACED"}, {"email": "new@example.com"}]
    group = {"status": "WAITING_FOR_MY_SIGNATURE", "memberInfos": members}
    sandbox.fail(agreement, reply({"participantSets": [group]}), events)
    with hub:
        envelope = hub.signatures().get("acrobat_sign:main:1")

    assert [signer.email for signer in envelope.signers] == ["new@example.com"]


def test_an_answer_without_its_list_is_no_success() -> None:
    """A response without a list of signers does not count as an agreement without signers."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(acrobat_sign_agreement("1", "SIGNED", "")[0], reply({}))
    with hub, pytest.raises(VendorFailed):
        hub.signatures().get("acrobat_sign:main:1")


def test_an_expired_agreement_is_expired() -> None:
    """An agreement past its last day is expired, and no signer is reminded of it."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        day = datetime.now(UTC).date() + timedelta(days=2)
        ref = hub.signatures().send(request(expires_on=day)).ref
        sandbox.expire(ref.id)
        envelope = hub.signatures().get(ref)
        receipt = hub.signatures().remind(ref)

    assert (envelope.status, receipt.status) == (EnvelopeStatus.EXPIRED,) * 2
    assert envelope.signers[0].status is SignerStatus.EXPIRED
    assert sandbox.requests[-1].method == "GET"


def test_reminders_name_the_members() -> None:
    """A reminder contains the ids of the signers whose turn it is."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request(Signer(**ADA), Signer(**GRACE))).ref
        receipt = hub.signatures().remind(ref, idempotency_key="k")
    ids = [person.id for person in sandbox.envelopes[ref.id].persons]

    assert sandbox.requests[-1].json() == {"recipientParticipantIds": ids, "status": "ACTIVE"}
    assert (receipt.status, receipt.raw) == (EnvelopeStatus.SENT, {"id": receipt.raw["id"]})


def test_cancellations_have_the_version() -> None:
    """A cancellation contains the agreement version that was read, and signers are notified."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        hub.signatures().void(ref, "Too late.")
    sent = sandbox.requests[-1]

    assert (sent.method, sent.path) == ("PUT", f"/api/rest/v6/agreements/{ref.id}/state")
    assert sent.headers.get("if-match") == '"OUT_FOR_SIGNATURE-0"'
    assert sent.json() == {
        "state": "CANCELLED",
        "agreementCancellationInfo": {"notifyOthers": True, "comment": "Too late."},
    }


def test_page_of_a_proxy_is_no_cancellation() -> None:
    """A response that is not JSON, such as a proxy's page, does not count as a cancellation."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        sandbox.fail(None, Response(200, {"Content-Type": "text/html"}, b"<html></html>"))
        with pytest.raises(VendorFailed):
            hub.signatures().void(ref)


def test_a_declined_agreement_is_not_voided() -> None:
    """Voiding an agreement that a signer has declined raises Adobe's error."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        sandbox.decline(ref.id, ADA["email"], "No.")
        with pytest.raises(VendorRejected) as refused:
            hub.signatures().void(ref)

    assert refused.value.vendor_code == "OPERATION_NOT_ALLOWED"


def test_a_cancellation_without_a_version_is_refused_by_adobe() -> None:
    """If Adobe's response has no version, `void` sends none, and Adobe refuses the request."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        sandbox.fail(reply({"id": ref.id, "status": "OUT_FOR_SIGNATURE"}))
        with pytest.raises(InvalidRequest) as refused:
            hub.signatures().void(ref)

    assert refused.value.vendor_code == "MISSING_IF_MATCH_HEADER"


def test_links_are_for_signers_in_turn() -> None:
    """A signing link with a return URL, or for a signer whose turn has not come, is refused."""
    hub, _ = hub_and_sandbox()
    signers = [Signer(**ADA, embedded=True, order=1), Signer(**GRACE, embedded=True, order=2)]
    with hub:
        ref = hub.signatures().send(request(*signers)).ref
        link = hub.signatures().signing_link(ref, ADA["email"])
        with pytest.raises(InvalidData) as with_address:
            hub.signatures().signing_link(ref, ADA["email"], RETURN_URL)
        with pytest.raises(InvalidData) as excinfo:
            hub.signatures().signing_link(ref, GRACE["email"])

    assert link.url.startswith("https://secure.na1.adobesign.com/")
    assert with_address.value.field == "return_url"
    assert excinfo.value.field == "email"


def test_link_to_an_unprepared_agreement_may_be_retried() -> None:
    """A link to an agreement that is still being prepared raises an error that may be retried."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request(Signer(**ADA, embedded=True))).ref
        sandbox.fail(None, None, None, acrobat_sign_error("AGREEMENT_NOT_EXPOSED", 404))
        with pytest.raises(VendorFailed) as failed:
            hub.signatures().signing_link(ref, ADA["email"])

    assert failed.value.retryable


def test_wrong_access_point_raises_authentication_failed() -> None:
    """An error code about another account's access point raises AuthenticationFailed."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(acrobat_sign_error("INVALID_API_ACCESS_POINT", 400))
    with hub, pytest.raises(AuthenticationFailed):
        hub.signatures().get("acrobat_sign:main:1")


def test_a_webhook_about_something_else_is_no_event() -> None:
    """A webhook about a web form gives no event."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        notice = sandbox.report(ref.id, "WIDGET_CREATED", url="https://erp.example/hooks")
        body = notice.body.replace(b'"agreement"', b'"widget"')
        verifier = hub.webhooks("main", secrets=sandbox.webhook_token)
        webhook = verifier.verify(headers=notice.headers, body=body, url=notice.url)[0]

        assert hub.events("main", webhook) == ()


def test_malformed_api_user_is_refused() -> None:
    """An `api_user` that does not have Adobe's form is refused when the vendor is created."""
    with pytest.raises(ConfigurationError):
        AcrobatSign(base_url=BASE_URL, api_user="me@erp.example")


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("GET", "/nothing", b"", 404),
        ("GET", "/agreements", b"", 200),
        ("GET", "/agreements/nothing", b"", 404),
        ("POST", "/transientDocuments", b"", 400),
        ("POST", "/agreements", b"{}", 400),
        ("PUT", "/agreements/{complete}/state", b'{"state":"CANCELLED"}', 400),
        ("POST", "/agreements/{complete}/reminders", b"{}", 400),
        (
            "POST",
            "/agreements/{complete}/reminders",
            b'{"recipientParticipantIds":[],"status":"ACTIVE"}',
            403,
        ),
        ("GET", "/agreements/{complete}/signingUrls", b"", 404),
    ],
)
def test_the_sandbox_answers_as_adobe_does(
    method: str, path: str, body: bytes, status: int
) -> None:
    """The sandbox refuses wrong requests, and lists nothing without an external id."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        id_ = hub.signatures().send(request()).ref.id
    sandbox.sign(id_, ADA["email"])
    fields = {"Authorization": f"Bearer {sandbox.token}", "Content-Type": "application/json"}
    full_path = f"/api/rest/v6{path.format(complete=id_)}"

    sent = SandboxRequest(method, "", full_path, (), Headers(fields), body)
    assert sandbox.answer(sent).status == status


def test_the_sandbox_is_strict() -> None:
    """The sandbox refuses unknown uploads and outdated versions of an agreement."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        sandbox.files.clear()
        sandbox.fail(reply({"transientDocumentId": "another"}))
        with pytest.raises(VendorRejected) as unknown_file:
            hub.signatures().send(request())
        old_reply = reply({"id": ref.id, "status": "OUT_FOR_SIGNATURE"}, ETag='"old"')
        sandbox.fail(old_reply)
        with pytest.raises(VendorRejected) as old_version:
            hub.signatures().void(ref)

    assert unknown_file.value.vendor_code == "INVALID_TRANSIENTDOCUMENT_ID"
    assert old_version.value.vendor_code == "RESOURCE_MODIFIED"


CLIENT_ID = b'{"xAdobeSignClientId": "UB7E5BXCXY"}'
"""The response that Adobe expects, with the client id of the sandbox's webhooks."""


def inbox_of(sandbox: AcrobatSignSandbox) -> WebhookInbox:
    """Return an inbox that takes the webhooks of the sandbox."""
    account = Account(
        "main",
        AcrobatSign(credentials=sandbox.token, base_url=BASE_URL),
        webhook_secrets=(Secret(sandbox.webhook_token),),
    )
    return WebhookInbox(Hub([account], http=SandboxHttpClient(sandbox)), MemoryInbox())


def test_check_of_the_url_is_answered_with_the_client_id() -> None:
    """Adobe's check of the webhook URL gets the client id in return; a forged check does not."""
    sandbox = AcrobatSignSandbox()
    inbox = inbox_of(sandbox)
    url = f"https://erp.example/hooks?token={sandbox.webhook_token}"
    check: dict[str, Any] = {"headers": {"X-AdobeSign-ClientId": "UB7E5BXCXY"}, "body": b""}

    answer = inbox.answer("main", method="GET", url=url, **check)
    assert (200, "application/json") == (answer.status, answer.content_type)
    assert json.loads(CLIENT_ID) == json.loads(answer.body)
    forged = inbox.answer("main", method="GET", url=f"{url}x", **check)
    assert (401, b"") == (forged.status, forged.body)
    assert not inbox.find(EntryQuery()).items


@pytest.mark.parametrize("client_id", [None, "a b", "<script>", "a\r\nSet-Cookie: b", "x" * 300])
def test_invalid_client_id_is_not_repeated(client_id: str | None) -> None:
    """A URL check with an invalid client id is refused; a webhook with one does not get it back."""
    sandbox = AcrobatSignSandbox()
    inbox = inbox_of(sandbox)
    url = f"https://erp.example/hooks?token={sandbox.webhook_token}"
    headers = {} if client_id is None else {"X-AdobeSign-ClientId": client_id}
    body = b'{"webhookNotificationId": "1", "event": "AGREEMENT_CREATED"}'

    check = inbox.answer("main", method="GET", url=url, headers=headers, body=b"")
    assert (400, b"") == (check.status, check.body)
    answer = inbox.answer("main", url=url, headers=headers, body=body)
    assert (200, b"") == (answer.status, answer.body)


def test_webhook_is_answered_with_the_client_id_each_time() -> None:
    """A webhook and its repeat get the same response, and only one is stored."""
    sandbox = AcrobatSignSandbox()
    hub = Hub(
        [Account("main", AcrobatSign(credentials=sandbox.token, base_url=BASE_URL))],
        http=SandboxHttpClient(sandbox),
    )
    ref = hub.signatures().send(request(), idempotency_key="1").ref
    inbox = inbox_of(sandbox)
    notice = sandbox.report(ref.id, "AGREEMENT_RECALLED", url="https://erp.example/hooks")

    for _ in range(2):
        answer = inbox.answer("main", **notice.arguments())
        assert (200, json.loads(CLIENT_ID)) == (answer.status, json.loads(answer.body))
    assert 1 == len(inbox.find(EntryQuery()).items)
    [event] = hub.webhooks("main", secrets=sandbox.webhook_token).verify(**notice.arguments())
    assert not event.is_handshake
    assert event.answer is not None
