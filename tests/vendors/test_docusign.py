"""DocuSign's requests and responses, in the form of its documentation."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.signatures import (
    EnvelopeStatus,
    SignatureDocument,
    SignatureEventType,
    SignaturePlace,
    SignatureRequest,
    Signer,
    SignerStatus,
)
from moorage.domain.http.requests import Headers, Request, Response
from moorage.domain.service.safety import Mode
from moorage.domain.values.json_text import encode_json
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialRefreshFailed,
    IdempotencyConflict,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, SandboxRequest, reply
from moorage.testing.sandboxes.signatures.base import PDF, RETURN_URL, ROLE, TEMPLATE
from moorage.testing.sandboxes.signatures.docusign import DocusignSandbox
from moorage.vendors.signatures._docusign_answers import (
    EVENTS,
    REFUSALS,
    read_found,
    read_receipt,
)
from moorage.vendors.signatures._docusign_requests import envelope_body
from moorage.vendors.signatures.docusign import Docusign

TODAY = datetime.now(UTC).date()
ADA: dict[str, Any] = {"name": "Ada Lovelace", "email": "ada@example.com"}
LEASE = SignatureDocument(name="Lease.PDF", content=PDF)


def request(signer: dict[str, Any] | None = None, **fields: Any) -> SignatureRequest:
    """Return a request that asks Ada to sign a lease."""
    signers = [Signer(**ADA, **(signer or {}))]
    defaults: dict[str, Any] = {"subject": "Lease", "documents": [LEASE], "signers": signers}
    return SignatureRequest(**defaults | fields)


def hub_and_sandbox(**options: Any) -> tuple[Hub, DocusignSandbox]:
    """Return a hub with an account at a new sandbox."""
    sandbox = DocusignSandbox()
    fields = {"credentials": sandbox.token, "account_id": sandbox.account_id, **options}
    account = Account("main", Docusign(**fields), settings={"retry": None, "circuit": None})
    return Hub([account], http=SandboxHttpClient(sandbox)), sandbox


def test_documents_are_sent_in_docusigns_format() -> None:
    """An envelope is sent with its documents, signers and tabs; all numbers are strings."""
    places = [SignaturePlace(anchor="/sn1/", x=10, y=-5), SignaturePlace(page=2, x=100, y=640)]
    signer = {"order": 2, "phone": "+4915112345678", "embedded": True, "signature_places": places}
    body = envelope_body(
        request(
            signer,
            message="Please sign.",
            language="pt-BR",
            expires_on=TODAY + timedelta(days=30),
            remind_every=3,
        ),
        "mark",
        TODAY,
    )

    assert body == {
        "status": "sent",
        "emailSubject": "Lease",
        "emailBlurb": "Please sign.",
        "transactionId": "mark",
        "notification": {
            "useAccountDefaults": "false",
            "expirations": {"expireEnabled": "true", "expireAfter": "30"},
            "reminders": {
                "reminderEnabled": "true",
                "reminderDelay": "3",
                "reminderFrequency": "3",
            },
        },
        "documents": [
            {
                "documentId": "1",
                "name": "Lease.PDF",
                "fileExtension": "pdf",
                "documentBase64": "JVBERi0xLjcKU2lnbiBoZXJlOiAvc24xLwolJUVPRgo=",
            }
        ],
        "recipients": {
            "signers": [
                {
                    "recipientId": "1",
                    "routingOrder": "2",
                    "name": "Ada Lovelace",
                    "email": "ada@example.com",
                    "clientUserId": "ada@example.com",
                    "emailNotification": {
                        "supportedLanguage": "pt_BR",
                        "emailSubject": "Lease",
                        "emailBody": "Please sign.",
                    },
                    "requireIdLookup": "true",
                    "idCheckConfigurationName": "SMS Auth $",
                    "smsAuthentication": {"senderProvidedNumbers": ["+4915112345678"]},
                    "tabs": {
                        "signHereTabs": [
                            {
                                "anchorString": "/sn1/",
                                "anchorUnits": "pixels",
                                "anchorXOffset": "10",
                                "anchorYOffset": "-5",
                                "anchorIgnoreIfNotPresent": "false",
                            },
                            {
                                "documentId": "1",
                                "pageNumber": "2",
                                "xPosition": "100",
                                "yPosition": "640",
                            },
                        ]
                    },
                }
            ]
        },
    }


def test_a_template_is_sent_with_its_roles() -> None:
    """An envelope made from a template has roles instead of recipients, and no documents."""
    body = envelope_body(request({"role": ROLE}, template=TEMPLATE, documents=()), None, TODAY)

    assert body == {
        "status": "sent",
        "emailSubject": "Lease",
        "templateId": TEMPLATE,
        "templateRoles": [{"name": "Ada Lovelace", "email": "ada@example.com", "roleName": ROLE}],
    }


@pytest.mark.parametrize("language, word", [("en-US", "en"), ("zh", "zh_CN"), ("de", "de")])
def test_languages_have_docusigns_names(language: str, word: str) -> None:
    """A language is sent under its DocuSign name."""
    body = envelope_body(request(language=language), None, TODAY)

    assert word == body["recipients"]["signers"][0]["emailNotification"]["supportedLanguage"]


def test_a_role_has_no_phone_check() -> None:
    """A phone number for a template's role is refused, because DocuSign has no field for it."""
    hub, sandbox = hub_and_sandbox()
    signer = {"role": ROLE, "phone": "+4915112345678"}
    with hub, pytest.raises(InvalidData) as refused:
        hub.signatures().send(request(signer, template=TEMPLATE, documents=()))

    assert refused.value.field == "signers.phone"
    assert sandbox.requests == []


@pytest.mark.parametrize("days", [0, -1])
def test_a_past_day_is_refused(days: int) -> None:
    """A request that expires today or earlier is refused before it is sent."""
    hub, sandbox = hub_and_sandbox()
    with hub, pytest.raises(InvalidData) as refused:
        hub.signatures().send(request(expires_on=TODAY + timedelta(days=days)))

    assert refused.value.field == "expires_on"
    assert sandbox.requests == []


def test_a_repeat_on_the_next_day_is_the_same_envelope() -> None:
    """A request repeated on a later day is the same request, though it expires in fewer days."""
    clock = VirtualClock()
    sandbox = DocusignSandbox()
    vendor = Docusign(credentials=sandbox.token, account_id=sandbox.account_id)
    account = Account("main", vendor, settings={"idempotency_ttl": timedelta(days=9)})
    with Hub([account], http=SandboxHttpClient(sandbox), clock=clock) as hub:
        day = clock.utc().date() + timedelta(days=30)
        first = hub.signatures().send(request(expires_on=day), idempotency_key="k")
        clock.advance(timedelta(days=1))
        second = hub.signatures().send(request(expires_on=day), idempotency_key="k")
        with pytest.raises(IdempotencyConflict):
            hub.signatures().send(request(), idempotency_key="k")

    assert first == second
    assert len(sandbox.envelopes) == 1


def test_the_look_up_is_by_the_transaction_id() -> None:
    """After a lost response, moorage asks DocuSign for the envelope with this transaction id."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        sandbox.fail(Lost())
        hub.signatures().send(request(), idempotency_key="order-1042")
    creation, search = sandbox.requests

    mark = json.loads(creation.body)["transactionId"]
    assert search.query == (("transaction_ids", mark),)
    assert len(mark) == 32
    assert "1042" not in mark


def test_envelope_of_another_transaction_is_not_returned() -> None:
    """If a search returns only an envelope of another transaction, the outcome is unknown."""
    hub, sandbox = hub_and_sandbox()
    other = {"envelopeId": "1", "transactionId": "other", "status": "sent"}
    sandbox.fail(Lost(), reply({"envelopes": [other]}))
    with hub, pytest.raises(OutcomeUnknown):
        hub.signatures().send(request(), idempotency_key="k")


def _ref(id_: str, /, **_: str | None) -> Ref:
    return Ref("docusign", "main", id_)


@pytest.mark.parametrize("name", ["envelopes", "envelopeTransactionStatuses"])
def test_the_found_envelope_has_its_state(name: str) -> None:
    """After a lost response, the envelope's id and state are found in both forms of the list."""
    entry = {"envelopeId": "1", "transactionId": "m", "status": "sent"}
    answer = {name: [{"transactionId": "m"}, entry]}
    receipt = read_found(_ref, "m", reply(answer))

    assert receipt is not None
    assert (receipt.ref.id, receipt.status) == ("1", EnvelopeStatus.SENT)


def test_a_receipt_has_its_time() -> None:
    """The receipt of a new envelope has its state, and the time when it got this state."""
    answer = {"envelopeId": "1", "status": "sent", "statusDateTime": "2031-05-06T07:08:09.0000000Z"}
    receipt = read_receipt(_ref, reply(answer))

    assert receipt.status is EnvelopeStatus.SENT
    assert receipt.at == datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "word, status",
    [
        ("created", EnvelopeStatus.CREATED),
        ("sent", EnvelopeStatus.SENT),
        ("delivered", EnvelopeStatus.VIEWED),
        ("signed", EnvelopeStatus.PROCESSING),
        ("processing", EnvelopeStatus.PROCESSING),
        ("Completed", EnvelopeStatus.COMPLETED),
        ("declined", EnvelopeStatus.DECLINED),
        ("voided", EnvelopeStatus.VOIDED),
        ("timedout", EnvelopeStatus.EXPIRED),
        ("correct", EnvelopeStatus.UNKNOWN),
        (None, EnvelopeStatus.UNKNOWN),
    ],
)
def test_states_of_envelopes(word: str | None, status: EnvelopeStatus) -> None:
    """Each of DocuSign's statuses is translated, and an undocumented one becomes unknown."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        sandbox.fail(reply({"envelopeId": "1", "status": word}))
        envelope = hub.signatures().get("docusign:main:1")

    assert envelope.status is status
    assert envelope.vendor_status == word


def test_an_envelope_is_read_in_full() -> None:
    """The times, the reasons and the signers of an envelope are read from DocuSign's response."""
    hub, sandbox = hub_and_sandbox()
    signer = {
        **ADA,
        "status": "declined",
        "deliveredDateTime": "2031-05-06T07:08:09.1230000Z",
        "declinedReason": "The price.",
    }
    answer = {
        "envelopeId": "1",
        "status": "declined",
        "createdDateTime": "2031-05-06T07:00:00.0000000Z",
        "expireDateTime": "2031-06-06T07:00:00.0000000Z",
        "recipients": {"signers": [signer, {"status": "autoresponded"}]},
    }
    with hub:
        sandbox.fail(reply(answer))
        envelope = hub.signatures().get("docusign:main:1")

    assert envelope.created_at == datetime(2031, 5, 6, 7, tzinfo=UTC)
    assert envelope.expires_at == datetime(2031, 6, 6, 7, tzinfo=UTC)
    assert envelope.reason == "The price."
    assert envelope.signers[0].viewed_at == datetime(2031, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)
    assert envelope.signers[1].status is SignerStatus.FAILED
    path = f"/restapi/v2.1/accounts/{sandbox.account_id}/envelopes/1"
    assert sandbox.requests[-1].path == path
    assert sandbox.requests[-1].query == (("include", "recipients"),)


@pytest.mark.parametrize(
    "code, status, kind",
    [
        ("ACCOUNT_LACKS_PERMISSIONS", 400, AuthenticationFailed),
        ("AUTHORIZATION_INVALID_TOKEN", 400, AuthenticationFailed),
        ("PARTNER_AUTHENTICATION_FAILED", 400, AuthenticationFailed),
        ("USER_AUTHENTICATION_FAILED", 400, AuthenticationFailed),
        ("USER_LACKS_PERMISSIONS", 400, AuthenticationFailed),
        ("BURST_APIINVOCATION_LIMIT_EXCEEDED", 400, RateLimitExceeded),
        ("HOURLY_APIINVOCATION_LIMIT_EXCEEDED", 400, RateLimitExceeded),
        ("Hourly_APIInvocation_Envelope_Limit_Exceeded", 400, RateLimitExceeded),
        ("Burst_APIInvocation_Envelope_Limit_Exceeded", 400, RateLimitExceeded),
        ("Hourly_Envelope_Polling_Limit_Exceeded", 400, RateLimitExceeded),
        ("Burst_Envelope_Polling_Limit_Exceeded", 400, RateLimitExceeded),
        ("ANCHOR_TAG_PROCESSING_FAILURE", 400, InvalidRequest),
        ("INVALID_EMAIL_ADDRESS_FOR_RECIPIENT", 400, InvalidRequest),
        ("INVALID_REQUEST_BODY", 400, InvalidRequest),
        ("INVALID_REQUEST_PARAMETER", 400, InvalidRequest),
        ("UNABLE_TO_CONVERT_DOCUMENT", 400, InvalidRequest),
        ("ENVELOPE_LOCKED", 400, VendorRejected),
        ("OTHER", 413, InvalidRequest),
        ("OTHER", 415, InvalidRequest),
        ("OTHER", 401, AuthenticationFailed),
        ("OTHER", 403, AuthenticationFailed),
    ],
)
def test_refusal_has_an_error_class(code: str, status: int, kind: type[Exception]) -> None:
    """The known codes of DocuSign decide the class of an error, else the status does."""
    answer = reply({"errorCode": code, "message": "No."}, status)

    assert type(REFUSALS(Request.get("/envelopes"), answer)) is kind


@pytest.mark.parametrize(
    "word, kind",
    [
        ("envelope-sent", SignatureEventType.SENT),
        ("recipient-sent", SignatureEventType.SENT),
        ("envelope-delivered", SignatureEventType.VIEWED),
        ("recipient-delivered", SignatureEventType.VIEWED),
        ("envelope-declined", SignatureEventType.DECLINED),
        ("recipient-declined", SignatureEventType.DECLINED),
        ("recipient-completed", SignatureEventType.SIGNED),
        ("envelope-completed", SignatureEventType.COMPLETED),
        ("envelope-voided", SignatureEventType.VOIDED),
        ("envelope-resent", SignatureEventType.REMINDED),
        ("recipient-autoresponded", SignatureEventType.FAILED),
    ],
)
def test_event_of_connect_has_a_type(word: str, kind: SignatureEventType) -> None:
    """Each event that DocuSign Connect sends for an envelope or a recipient has its type."""
    assert EVENTS[word] is kind


def test_refusal_to_void_is_error() -> None:
    """A failed void raises an error, unless the envelope is already void."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        sandbox.fail(reply({"errorCode": "ENVELOPE_LOCKED", "message": "Locked."}, 400))
        with pytest.raises(VendorRejected):
            hub.signatures().void(ref)
        assert sandbox.requests[-1].method == "PUT"
        refusal = {"errorCode": "ENVELOPE_CANNOT_VOID_INVALID_STATE", "message": "Void."}
        sandbox.fail(reply(refusal, 400), reply({"envelopeId": ref.id, "status": "completed"}))
        with pytest.raises(VendorRejected):
            hub.signatures().void(ref)
        sandbox.fail(reply(refusal, 400), reply({"envelopeId": ref.id, "status": "voided"}))
        assert EnvelopeStatus.VOIDED is hub.signatures().void(ref).status
        refused_envelope = {"envelopeId": ref.id, "errorDetails": {"errorCode": "A"}}
        for answer in (refused_envelope, {"envelopeId": "2"}):
            sandbox.fail(reply(answer))
            with pytest.raises(VendorFailed):
                hub.signatures().void(ref)
        receipt = hub.signatures().void(ref)

        envelope = hub.signatures().get(ref)

    assert receipt.status is EnvelopeStatus.VOIDED
    assert envelope.reason == "The sender has voided this envelope."
    voided = {"status": "voided", "voidedReason": "The sender has voided this envelope."}
    assert sandbox.requests[-2].json() == voided


def test_a_link_names_the_embedded_signer() -> None:
    """A signing link is requested with the signer's name, address and client user id."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request({"embedded": True})).ref
        hub.signatures().signing_link(ref, ADA["email"], RETURN_URL)
        with pytest.raises(InvalidData) as refused:
            hub.signatures().signing_link(ref, ADA["email"])
        plain_ref = hub.signatures().send(request()).ref
        with pytest.raises(InvalidData, match="signs by email"):
            hub.signatures().signing_link(plain_ref, ADA["email"], RETURN_URL)
        hub.signatures().signing_link(ref, ADA["email"], RETURN_URL)

    assert refused.value.field == "return_url"
    assert sandbox.requests[-1].json() == {
        "returnUrl": RETURN_URL,
        "authenticationMethod": "none",
        "email": "ada@example.com",
        "userName": "Ada Lovelace",
        "clientUserId": "ada@example.com",
    }


def test_files_are_asked_for_as_pdf() -> None:
    """Documents are downloaded without the certificate, and the certificate separately."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        hub.signatures().download(ref)
        certificate = hub.signatures().certificate(ref)
    download, last = sandbox.requests[-2:]

    assert download.path.endswith("/documents/combined")
    assert download.query == (("certificate", "false"),)
    assert last.path.endswith("/documents/certificate")
    assert last.headers.get("accept") == "application/pdf"
    assert b"Certificate" in certificate.content


def test_a_webhook_without_an_envelope_is_no_event() -> None:
    """A webhook without an envelope becomes no event."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        notice = sandbox.report(ref.id, "envelope-sent", url="https://erp.example/hooks")
        verifier = hub.webhooks("main", secrets=sandbox.connect_key)
        event = verifier.verify(**notice.arguments())[0]
        other = attrs.evolve(event, payload={"event": "account-changed", "data": {}})
        nameless = attrs.evolve(event, payload={"data": {"envelopeId": ref.id}})

        assert len(hub.events("main", event)) == 1
        assert hub.events("main", other) == ()
        assert hub.events("main", nameless) == ()


def application() -> tuple[dict[str, Any], DocusignSandbox]:
    """Return the account options of an application with a private key, and a matching sandbox."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    sandbox = DocusignSandbox(public_key=public)
    options = {
        "account_id": sandbox.account_id,
        "integration_key": sandbox.integration_key,
        "user_id": sandbox.user_id,
        "private_key": private,
    }
    return options, sandbox


def test_an_application_gets_tokens_by_a_jwt() -> None:
    """An application with a private key requests its own tokens; its user must have consented."""
    options, sandbox = application()
    with Hub([Account("main", Docusign(**options))], http=SandboxHttpClient(sandbox)) as hub:
        receipt = hub.signatures().send(request())
    stranger = Docusign(**{**options, "user_id": "somebody-else"})
    with (
        Hub([Account("main", stranger)], http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(CredentialRefreshFailed),
    ):
        hub.signatures().send(request())

    assert receipt.status is EnvelopeStatus.SENT
    assert sandbox.requests[0].path == "/oauth/token"
    assert options["private_key"] not in repr(Docusign(**options))
    live = Docusign(**options, base_url="https://eu.docusign.net")
    server = live.clients()[""].server
    assert "https://account.docusign.com/oauth/token" in repr(server)
    assert live.mode() is Mode.LIVE
    own_server = Docusign(**options, login_url="https://login.example/").clients()[""].server
    assert "https://login.example/oauth/token" in repr(own_server)
    assert Docusign(**options).mode() is Mode.TEST


@pytest.mark.parametrize(
    "options",
    [
        {"integration_key": "1"},
        {"integration_key": "1", "user_id": "2"},
        {"user_id": "2", "private_key": "3"},
        {"integration_key": "1", "user_id": "2", "private_key": "3", "credentials": "4"},
    ],
)
def test_incomplete_application_options_are_refused(options: dict[str, str]) -> None:
    """Incomplete application options, or options beside a token, raise ConfigurationError."""
    with pytest.raises(ConfigurationError) as refused:
        Docusign(account_id="1", **options)

    assert refused.value.path == "integration_key"


@pytest.mark.parametrize(
    "change, kind",
    [
        ({"anchor": "/nowhere/"}, InvalidRequest),
        ({"token": "wrong"}, AuthenticationFailed),
    ],
)
def test_the_sandbox_is_strict(change: dict[str, str], kind: type[Exception]) -> None:
    """The sandbox refuses a request with a missing anchor or a wrong token."""
    hub, sandbox = hub_and_sandbox()
    sandbox.token = change.get("token", sandbox.token)
    place = SignaturePlace(anchor=change.get("anchor", "/sn1/"))
    with hub, pytest.raises(kind):
        hub.signatures().send(request({"signature_places": [place]}))

    assert sandbox.envelopes == {}


ENVELOPES = "/restapi/v2.1/accounts/{account}/envelopes"
SIGNER = {"name": "Ada", "email": "ada@example.com", "recipientId": "1"}
BODY: dict[str, Any] = {
    "status": "sent",
    "documents": [{"documentId": "1", "name": "a", "documentBase64": "YQ=="}],
    "recipients": {"signers": [SIGNER]},
}
TEMPLATED = {"status": "sent", "templateId": TEMPLATE}


@pytest.mark.parametrize(
    "method, path, body, code",
    [
        ("GET", "/restapi/v2.1/accounts/another/envelopes/1", None, "ACCOUNT_DOES_NOT_EXIST"),
        ("GET", "/restapi/v2.1/nothing", None, "RESOURCE_NOT_FOUND"),
        ("GET", ENVELOPES, None, "INVALID_REQUEST_PARAMETER"),
        ("POST", ENVELOPES, {**BODY, "emailSubject": "a" * 101}, "INVALID_REQUEST_BODY"),
        ("POST", ENVELOPES, {**BODY, "subject": "a"}, "INVALID_REQUEST_BODY"),
        ("POST", ENVELOPES, {"status": "sent"}, "INVALID_REQUEST_BODY"),
        ("POST", ENVELOPES, {**TEMPLATED, "templateId": "a"}, "TEMPLATE_ID_INVALID"),
        (
            "POST",
            ENVELOPES,
            {**TEMPLATED, "templateRoles": [{"name": "a", "email": "b", "roleName": "c"}]},
            "INVALID_REQUEST_BODY",
        ),
        ("GET", f"{ENVELOPES}/nothing", None, "ENVELOPE_DOES_NOT_EXIST"),
        ("PUT", f"{ENVELOPES}/{{id}}", {"status": "voided"}, "INVALID_REQUEST_BODY"),
        ("PUT", f"{ENVELOPES}/{{void}}?resend_envelope=true", {}, "EDIT_LOCK_INVALID_STATE"),
        ("GET", f"{ENVELOPES}/{{id}}/documents/7", None, "DOCUMENT_DOES_NOT_EXIST"),
        (
            "POST",
            f"{ENVELOPES}/{{id}}/views/recipient",
            {"returnUrl": "a", "authenticationMethod": "none", "clientUserId": "b"},
            "UNKNOWN_ENVELOPE_RECIPIENT",
        ),
    ],
)
def test_the_sandbox_refuses_as_docusign_does(method: str, path: str, body: Any, code: str) -> None:
    """The sandbox refuses wrong requests with DocuSign's codes."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        void = hub.signatures().send(request()).ref
        hub.signatures().void(void)
    names = {"account": sandbox.account_id, "id": ref.id, "void": void.id}
    route, _, query = path.format(**names).partition("?")
    headers = {"Authorization": f"Bearer {sandbox.token}", "Content-Type": "application/json"}
    sent_request = SandboxRequest(
        method, "", route, tuple(parse_qsl(query)), Headers(headers), encode_json(body or {})
    )
    answer = sandbox.answer(sent_request)

    assert answer.status >= 400
    assert answer.json()["errorCode"].startswith(code)


def test_the_sandbox_appends_the_certificate() -> None:
    """The sandbox appends the certificate to a download that does not exclude it."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
    path = f"/restapi/v2.1/accounts/{sandbox.account_id}/envelopes/{ref.id}/documents/combined"
    headers = Headers({"Authorization": f"Bearer {sandbox.token}"})
    answer = sandbox.answer(SandboxRequest("GET", "", path, (), headers, b""))

    assert answer.body.endswith(b"Certificate")


@pytest.mark.parametrize("assertion", ["", "a.b", "YWJj.YWJj.YWJj"])
def test_the_sandbox_refuses_an_unsigned_assertion(assertion: str) -> None:
    """An assertion that was signed by another key gets no token."""
    _, sandbox = application()
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    body = urlencode({"grant_type": grant, "assertion": assertion}).encode()
    answer = sandbox.answer(SandboxRequest("POST", "", "/oauth/token", (), Headers(), body))

    assert (answer.status, answer.json()) == (400, {"error": "invalid_grant"})


def test_success_without_json_is_a_failure() -> None:
    """A response with a success status but without JSON is a failure of DocuSign."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(Response(200, body=b"<html></html>"))
    with hub, pytest.raises(VendorFailed):
        hub.signatures().get("docusign:main:1")
