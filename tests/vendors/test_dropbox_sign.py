"""Dropbox Sign's requests and responses, in the form of its documentation."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.contracts.signatures import (
    EnvelopeStatus,
    SignatureDocument,
    SignaturePlace,
    SignatureRequest,
    Signer,
    SignerStatus,
)
from moorage.domain.http.requests import Headers, Response
from moorage.domain.service.safety import Mode
from moorage.errors import (
    AuthenticationFailed,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, SandboxRequest, reply
from moorage.testing.sandboxes.signatures.base import PDF, RETURN_URL, ROLE, TEMPLATE
from moorage.testing.sandboxes.signatures.dropbox_sign import DropboxSignSandbox
from moorage.vendors.signatures._dropbox_sign_requests import (
    form_fields,
    request_fields,
    request_path,
)
from moorage.vendors.signatures.dropbox_sign import DropboxSign
from tests.vendors.signatures_subjects import dropbox_sign_error, dropbox_sign_request

ADA: dict[str, Any] = {"name": "Ada Lovelace", "email": "ada@example.com"}
GRACE: dict[str, Any] = {"name": "Grace Hopper", "email": "grace@example.com"}
LEASE = SignatureDocument(name="lease.pdf", content=PDF)


def request(*signers: Signer, **fields: Any) -> SignatureRequest:
    """Return a signature request, by default with Ada as the signer."""
    defaults: dict[str, Any] = {
        "subject": "Lease",
        "documents": [LEASE],
        "signers": signers or [Signer(**ADA)],
    }
    return SignatureRequest(**defaults | fields)


def hub_and_sandbox(**options: Any) -> tuple[Hub, DropboxSignSandbox]:
    """Return a hub with an account at a new sandbox."""
    sandbox = DropboxSignSandbox()
    fields: dict[str, Any] = {"credentials": sandbox.key, "client_id": sandbox.client_id}
    account = Account(
        "main", DropboxSign(**fields | options), settings={"retry": None, "circuit": None}
    )
    return Hub([account], http=SandboxHttpClient(sandbox)), sandbox


def test_documents_are_sent_in_dropbox_signs_format() -> None:
    """A request has its signers numbered from zero, the signature locations, and the last day."""
    places = [SignaturePlace(page=2, x=100, y=640)]
    signers = [
        Signer(**ADA, order=1, phone="+4915112345678", signature_places=places),
        Signer(**GRACE, order=2),
    ]
    fields = request_fields(
        request(*signers, message="Please sign.", expires_on=date(2031, 5, 6)),
        "mark",
        {"client_id": None, "test_mode": True},
    )

    assert fields == {
        "test_mode": True,
        "title": "Lease",
        "subject": "Lease",
        "message": "Please sign.",
        "signers": [
            {
                "name": "Ada Lovelace",
                "email_address": "ada@example.com",
                "order": 0,
                "sms_phone_number": "+4915112345678",
                "sms_phone_number_type": "authentication",
            },
            {"name": "Grace Hopper", "email_address": "grace@example.com", "order": 1},
        ],
        "allow_decline": True,
        "metadata": {"moorage_key": "mark"},
        "expires_at": 1_935_792_000,
        "form_fields_per_document": [
            {
                "document_index": 0,
                "api_id": "signature_0_0",
                "type": "signature",
                "signer": "0",
                "required": True,
                "page": 2,
                "x": 100,
                "y": 640,
                "width": 160,
                "height": 40,
            }
        ],
    }
    form = dict(form_fields(fields))
    assert form["signers"].startswith('[{"name":"Ada Lovelace"')
    assert (form["test_mode"], form["expires_at"]) == ("1", "1935792000")


@pytest.mark.parametrize(
    "embedded, template, path",
    [
        (False, None, "/signature_request/send"),
        (True, None, "/signature_request/create_embedded"),
        (False, TEMPLATE, "/signature_request/send_with_template"),
        (True, TEMPLATE, "/signature_request/create_embedded_with_template"),
    ],
)
def test_each_way_of_requesting_signatures_has_its_own_path(
    embedded: bool, template: str | None, path: str
) -> None:
    """Requests by email, to embedded signers and from templates each have their own URL path."""
    role = None if template is None else ROLE
    signer = Signer(**ADA, embedded=embedded, role=role)
    documents = [LEASE] if template is None else []
    body = request(signer, template=template, documents=documents)
    hub, sandbox = hub_and_sandbox()
    with hub:
        hub.signatures().send(body)

    assert request_path(body) == path
    assert sandbox.requests[-1].path == f"/v3{path}"
    assert sandbox.emails == ([] if embedded else [ADA["email"]])


def test_files_arrive_unchanged() -> None:
    """Documents arrive under their names, byte for byte."""
    content = PDF + bytes(range(256)) + b"\r\n--\r\n"
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = (
            hub.signatures()
            .send(request(documents=[LEASE, SignatureDocument(name="Plan ä.pdf", content=content)]))
            .ref
        )

    files = sandbox.envelopes[ref.id].fields["files"]
    assert [content for _, content in files] == [PDF, content]
    assert files[0][0] == "lease.pdf"


def test_some_embedded_signers_are_refused() -> None:
    """A request with both embedded and other signers is refused before it is sent."""
    hub, sandbox = hub_and_sandbox()
    with hub, pytest.raises(InvalidData) as refused:
        hub.signatures().send(request(Signer(**ADA, embedded=True), Signer(**GRACE)))

    assert refused.value.field == "signers.embedded"
    assert sandbox.requests == []


def test_embedded_signers_need_an_app() -> None:
    """Without the id of an app, an embedded signer is refused before anything is sent."""
    hub, sandbox = hub_and_sandbox(client_id=None)
    with hub, pytest.raises(InvalidData) as refused:
        hub.signatures().send(request(Signer(**ADA, embedded=True)))

    assert refused.value.field == "signers.embedded"
    assert sandbox.requests == []


def test_the_look_up_is_by_metadata() -> None:
    """After a lost response, the signature request is searched by a mark in its metadata."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        sandbox.fail(Lost())
        ref = hub.signatures().send(request(), idempotency_key="order-1042").ref
    mark = sandbox.envelopes[ref.id].mark

    assert sandbox.requests[-1].path == "/v3/signature_request/list"
    assert sandbox.requests[-1].query == (("query", f"metadata:{mark}"),)


@pytest.mark.parametrize(
    "fields, status",
    [
        ({"is_complete": True}, EnvelopeStatus.COMPLETED),
        ({"is_declined": True}, EnvelopeStatus.DECLINED),
        ({"is_complete": True, "has_error": True}, EnvelopeStatus.FAILED),
        ({"is_complete": None}, EnvelopeStatus.UNKNOWN),
        ({"signatures": []}, EnvelopeStatus.UNKNOWN),
        ({}, EnvelopeStatus.SENT),
    ],
)
def test_states_of_requests(fields: dict[str, Any], status: EnvelopeStatus) -> None:
    """The flags of a request decide its state; without flags the state is unknown."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        sandbox.fail(dropbox_sign_request("1", "awaiting_signature", **fields))
        envelope = hub.signatures().get("dropbox_sign:main:1")

    assert envelope.status is status


@pytest.mark.parametrize(
    "word, signer, status",
    [
        ("awaiting_signature", SignerStatus.SENT, EnvelopeStatus.SENT),
        ("signed", SignerStatus.SIGNED, EnvelopeStatus.PROCESSING),
        ("expired", SignerStatus.EXPIRED, EnvelopeStatus.EXPIRED),
        ("on_hold", SignerStatus.UNKNOWN, EnvelopeStatus.UNKNOWN),
    ],
)
def test_states_of_signatures(word: str, signer: SignerStatus, status: EnvelopeStatus) -> None:
    """Each status of a signature is translated, and any other status is unknown."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        sandbox.fail(dropbox_sign_request("1", word, expires_at=1_935_792_000))
        envelope = hub.signatures().get("dropbox_sign:main:1")

    assert (envelope.signers[0].status, envelope.status) == (signer, status)
    assert envelope.signers[0].vendor_status == word
    assert envelope.expires_at == datetime(2031, 5, 6, tzinfo=UTC)


def test_viewed_and_expired_requests() -> None:
    """A request that a signer has opened is viewed; a request after its last day is expired."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        day = datetime.now(UTC).date() + timedelta(days=2)
        ref = hub.signatures().send(request(expires_on=day)).ref
        sandbox.view(ref.id, ADA["email"])
        viewed = hub.signatures().get(ref)
        sandbox.expire(ref.id)
        expired = hub.signatures().get(ref)

    assert viewed.status is EnvelopeStatus.VIEWED
    assert expired.status is EnvelopeStatus.EXPIRED


def test_nobody_is_reminded_of_request_that_nobody_has_to_sign_any_more() -> None:
    """If nobody has to sign a request any more, no reminder is sent."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        sandbox.sign(ref.id, ADA["email"])
        receipt = hub.signatures().remind(ref)

    assert receipt.status is EnvelopeStatus.COMPLETED
    assert sandbox.requests[-1].method == "GET"


def test_reminders_name_the_signer() -> None:
    """A reminder is sent to each signer whose turn it is."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request(Signer(**ADA), Signer(**GRACE))).ref
        hub.signatures().remind(ref, idempotency_key="k")
    reminders = [item.json() for item in sandbox.requests if "remind" in item.path]

    assert [body["name"] for body in reminders] == ["Ada Lovelace", "Grace Hopper"]
    assert reminders[0]["email_address"] == "ada@example.com"


def test_a_refused_cancellation_is_an_error() -> None:
    """Cancelling a request that cannot be cancelled raises Dropbox Sign's error."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(dropbox_sign_error("not_found", 404))
    with hub, pytest.raises(VendorRejected) as refused:
        hub.signatures().void("dropbox_sign:main:1")

    assert refused.value.vendor_code == "not_found"


def test_signing_link_for_a_frame_has_no_return_url() -> None:
    """A signing link has an expiry; a return URL is refused, because links open in frames only."""
    hub, _ = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request(Signer(**ADA, embedded=True))).ref
        link = hub.signatures().signing_link(ref, ADA["email"])
        with pytest.raises(InvalidData) as refused:
            hub.signatures().signing_link(ref, ADA["email"], RETURN_URL)

    assert link.expires_at == datetime(2099, 1, 1, tzinfo=UTC)
    assert refused.value.field == "return_url"


def signature(id_: str | None) -> Response:
    """Return a signature request in which Ada's signature has the given id."""
    item = {"signature_id": id_, "signer_email_address": ADA["email"]}
    return dropbox_sign_request("1", "awaiting_signature", signatures=[item])


def test_link_of_a_signature_with_an_odd_id() -> None:
    """A signature's id is percent-encoded as one path segment of the URL."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(signature("../a b"))
    with hub, pytest.raises(VendorRejected):
        hub.signatures().signing_link("dropbox_sign:main:1", ADA["email"])

    assert "/v3/embedded/sign_url/..%2Fa%20b" == sandbox.requests[-1].path


def test_link_of_a_signature_without_an_id() -> None:
    """If the response has no signature id, asking for a signing link raises an error."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(signature(None))
    with hub, pytest.raises(VendorFailed, match="signature_id"):
        hub.signatures().signing_link("dropbox_sign:main:1", ADA["email"])


def test_download_of_an_unprepared_file_may_be_retried() -> None:
    """If a file is still being prepared, the download fails and may be retried."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(dropbox_sign_error("conflict", 409))
    with hub, pytest.raises(VendorFailed) as failed:
        hub.signatures().download("dropbox_sign:main:1")

    assert failed.value.retryable


def test_a_past_day_is_refused() -> None:
    """A request that expires today is refused before it is sent."""
    hub, sandbox = hub_and_sandbox()
    with hub, pytest.raises(InvalidData):
        hub.signatures().send(request(expires_on=datetime.now(UTC).date()))

    assert sandbox.requests == []


def test_a_webhook_without_a_request_is_no_event() -> None:
    """A callback about other things, such as a test of the URL, becomes no event."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        ref = hub.signatures().send(request()).ref
        notice = sandbox.report(ref.id, "callback_test", url="https://erp.example/hooks")
        webhook = hub.webhooks("main", secrets=sandbox.key)
        event = webhook.verify(**notice.arguments())[0]
        other = attrs.evolve(event, payload={"event": {"event_type": "callback_test"}})

        assert hub.events("main", other) == ()


@pytest.mark.parametrize("test_mode, mode", [(True, Mode.TEST), (False, Mode.LIVE)])
def test_the_mode_is_an_option(test_mode: bool, mode: Mode) -> None:
    """The account's `test_mode` option decides whether requests are legally binding."""
    assert DropboxSign(credentials="k", test_mode=test_mode).mode() is mode


def test_the_sandbox_is_strict() -> None:
    """The sandbox refuses a role that its template lacks, and an unknown template."""
    hub, _ = hub_and_sandbox()
    for role, template in (("Nobody", TEMPLATE), (ROLE, "another")):
        with pytest.raises(InvalidRequest):
            hub.signatures().send(
                request(Signer(**ADA, role=role), template=template, documents=())
            )
    hub.close()


def test_request_with_another_mark_is_not_taken() -> None:
    """If a search returns only a request with another mark, the outcome is unknown."""
    hub, sandbox = hub_and_sandbox()
    other = {"signature_request_id": "1", "metadata": {"moorage_key": "other"}}
    sandbox.fail(Lost(), reply({"signature_requests": [other]}))
    with hub, pytest.raises(OutcomeUnknown):
        hub.signatures().send(request(), idempotency_key="k")


@pytest.mark.parametrize(
    "method, path, query, status",
    [
        ("GET", "/v3/nothing", (), 404),
        ("GET", "/v3/embedded/sign_url/nothing", (), 404),
        ("GET", "/v3/signature_request/files/{id}", (("file_type", "zip"),), 400),
        ("GET", "/v3/signature_request/list", (), 200),
        ("POST", "/v3/signature_request/cancel/{complete}", (), 400),
        ("POST", "/v3/signature_request/remind/{complete}", (), 400),
        ("POST", "/v3/signature_request/send", (), 400),
    ],
)
def test_the_sandbox_answers_as_dropbox_sign_does(
    method: str, path: str, query: tuple[tuple[str, str], ...], status: int
) -> None:
    """The sandbox refuses wrong requests, and returns an empty list if no query is given."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        names = {name: hub.signatures().send(request()).ref.id for name in ("id", "complete")}
    sandbox.sign(names["complete"], ADA["email"])
    login = b64encode(f"{sandbox.key}:".encode()).decode()
    headers = Headers({"Authorization": f"Basic {login}", "Content-Type": "application/json"})
    sent_request = SandboxRequest(method, "", path.format(**names), query, headers, b"{}")

    assert sandbox.answer(sent_request).status == status


def test_sandbox_refuses_a_signature_out_of_turn() -> None:
    """The sandbox refuses a signature out of turn, and a request without the API key."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        signers = (Signer(**ADA, order=1), Signer(**GRACE, order=2))
        ref = hub.signatures().send(request(*signers)).ref
        with pytest.raises(InvalidData):
            sandbox.sign(ref.id, GRACE["email"])
        sandbox.key = "another"
        with pytest.raises(AuthenticationFailed):
            hub.signatures().get(ref)


def test_signers_of_one_place_sign_in_any_order() -> None:
    """Signers get their emails only after all signers with lower order numbers have signed."""
    hub, sandbox = hub_and_sandbox()
    with hub:
        third = Signer(name="Mary", email="mary@example.com", order=2)
        signers = (Signer(**ADA, order=1), Signer(**GRACE, order=1), third)
        ref = hub.signatures().send(request(*signers)).ref
    sandbox.sign(ref.id, GRACE["email"])
    assert sandbox.emails == [ADA["email"], GRACE["email"]]
    sandbox.sign(ref.id, ADA["email"])

    assert sandbox.emails[2:] == ["mary@example.com"]


def test_an_answer_without_an_id_is_no_success() -> None:
    """A success status without the request's id is a failure."""
    hub, sandbox = hub_and_sandbox()
    sandbox.fail(reply({"signature_request": {}}))
    with hub, pytest.raises(VendorFailed):
        hub.signatures().send(request())
