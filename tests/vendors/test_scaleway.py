"""Scaleway: fields of a message, ids of recipients, states, refusals and blocklists."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidRequest,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.email import Attachment
from moorage.contracts.email_outcomes import EmailStatus, RejectReason
from moorage.contracts.email_unsubscribe import Unsubscribe
from moorage.testing.sandboxes.base import Lost, reply
from moorage.testing.sandboxes.email.scaleway import ScalewaySandbox
from moorage.vendors.email.scaleway import Scaleway, mail_body
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.scaleway import scaleway_hub

PATH = "/transactional-email/v1alpha1/regions/fr-par"
ADA = "ada@example.com"


def body_of(message: Any, **options: Any) -> dict[str, Any]:
    """Return a message as Scaleway gets it."""
    return mail_body(Scaleway(project_id="p-1", **options), message)


def test_fields_of_a_message() -> None:
    """Each field of an email has its place in the message for Scaleway."""
    body = body_of(
        mail(
            to=["Ada <ada@example.com>", "bob@example.com"],
            cc="zoe@example.com",
            bcc="dan@example.com",
            reply_to=["B <b@example.com>", "c@example.com"],
            html="<p>",
            headers={"X-Kunde": "ü"},
            unsubscribe=Unsubscribe(url="https://shop.example/u"),
            attachments=[Attachment(filename="a.csv", content=b"a", content_type="text/csv")],
            extra={"scaleway": {"send_before": "2026-03-01T12:00:00Z"}, "sendgrid": {"x": 1}},
        )
    )

    assert {
        "project_id": "p-1",
        "from": {"email": "shop@example.com", "name": "Shop"},
        "to": [{"email": "ada@example.com", "name": "Ada"}, {"email": "bob@example.com"}],
        "cc": [{"email": "zoe@example.com"}],
        "bcc": [{"email": "dan@example.com"}],
        "subject": "Hi",
        "text": "Hello.",
        "html": "<p>",
        "attachments": [{"name": "a.csv", "type": "text/csv", "content": "YQ=="}],
        "additional_headers": [
            {"key": "Reply-To", "value": "B <b@example.com>, c@example.com"},
            {"key": "X-Kunde", "value": "=?utf-8?b?w7w=?="},
            {"key": "List-Unsubscribe", "value": "<https://shop.example/u>"},
            {"key": "List-Unsubscribe-Post", "value": "List-Unsubscribe=One-Click"},
        ],
        "send_before": "2026-03-01T12:00:00Z",
    } == body


@pytest.mark.parametrize(
    "changes, text, html",
    [
        ({}, "Hello.", ""),
        ({"text": None, "html": "<p>"}, "", "<p>"),
        ({"text": None, "attachments": [Attachment(filename="a.txt", content=b"a")]}, " ", ""),
    ],
)
def test_both_texts_are_sent(changes: dict[str, Any], text: str, html: str) -> None:
    """Both texts are sent, as Scaleway requires; an email with only a file has a space as text."""
    body = body_of(mail(**changes))

    assert (text, html) == (body["text"], body["html"])


@pytest.mark.parametrize(
    "filename, content_type, sent_type",
    [
        ("a.PDF", "application/octet-stream", "application/pdf"),
        ("a.odd", "application/octet-stream", "application/octet-stream"),
        ("a.pdf", "text/plain", "text/plain"),
    ],
)
def test_type_of_a_file(filename: str, content_type: str, sent_type: str) -> None:
    """A file without a type has the usual type of its name's ending, which Scaleway accepts."""
    file = Attachment(filename=filename, content=b"a", content_type=content_type)
    [sent_file] = body_of(mail(attachments=[file]))["attachments"]

    assert sent_type == sent_file["type"]


def test_message_needs_a_sender() -> None:
    """The account's sender is used if the message has none; without either, it is refused."""
    body = body_of(mail(from_=None), sender="shop@acme.example")
    assert {"email": "shop@acme.example"} == body["from"]
    with pytest.raises(ConfigurationError):
        body_of(mail(from_=None))


@pytest.mark.parametrize("region", ["", "fr", "fr-par/../..", "FR-PAR"])
def test_region_is_a_name(region: str) -> None:
    """An invalid region is refused before it becomes part of a URL path."""
    with pytest.raises(ConfigurationError, match="region"):
        Scaleway(project_id="p-1", region=region)


def test_region_is_in_the_path() -> None:
    """The paths of all requests contain the account's region."""
    sandbox, mail_hub = scaleway_hub(region="nl-ams")
    with pytest.raises(VendorRejected):
        mail_hub.email().send_transactional(mail())
    [request] = sandbox.requests

    assert "/transactional-email/v1alpha1/regions/nl-ams/emails" == request.path


def test_reference_has_the_id_of_each_recipient() -> None:
    """The reference of a message has an id for each recipient, and each is looked up."""
    sandbox, mail_hub = scaleway_hub()
    receipt = mail_hub.email().send_transactional(mail(cc="bob@example.com", bcc="eve@example.com"))
    ids = list(sandbox.emails)
    assert (ids[0], ",".join(ids[1:])) == (receipt.ref.id, receipt.ref.other("others"))

    sandbox.states = {
        "bob@example.com": {
            "status": "failed",
            "flags": ["hard_bounce"],
            "last_tries": [
                {"rank": 1, "code": 450, "message": "Later."},
                {"rank": 2, "code": 550, "message": "No such user eve@example.com"},
            ],
        },
        "eve@example.com": {"status": "sent", "status_details": "success"},
    }
    looked_up = mail_hub.email().get(str(receipt.ref))

    assert [f"{PATH}/emails/{id_}" for id_ in ids] == [item.path for item in sandbox.requests[1:]]
    assert (EmailStatus.QUEUED, "new") == (looked_up.status, looked_up.vendor_status)
    assert [
        (ADA, EmailStatus.QUEUED, None),
        ("bob@example.com", EmailStatus.BOUNCED, "550"),
        ("eve@example.com", EmailStatus.DELIVERED, None),
    ] == [(item.email, item.status, item.code) for item in looked_up.recipients]
    reason = looked_up.recipients[1].reason
    assert reason is not None
    assert reason.startswith("No such user")
    assert "eve@" not in reason


@pytest.mark.parametrize(
    "state, status",
    [
        ({"status": "new"}, EmailStatus.QUEUED),
        ({"status": "sending", "flags": ["greylisted"]}, EmailStatus.QUEUED),
        ({"status": "sent"}, EmailStatus.DELIVERED),
        ({"status": "failed", "flags": ["mailbox_full"]}, EmailStatus.BOUNCED),
        ({"status": "failed", "flags": []}, EmailStatus.BOUNCED),
        ({"status": "failed", "flags": ["odd", "blocklisted"]}, EmailStatus.REJECTED),
        ({"status": "failed", "flags": ["send_before_expiration"]}, EmailStatus.FAILED),
        ({"status": "sent", "flags": ["blocklisted"]}, EmailStatus.DELIVERED),
        ({"status": "canceled"}, EmailStatus.CANCELED),
        ({"status": "teleported"}, EmailStatus.UNKNOWN),
    ],
)
def test_states_of_a_message(state: dict[str, Any], status: EmailStatus) -> None:
    """Each Scaleway state becomes a status; the flag of a failed message may give the cause."""
    sandbox, mail_hub = scaleway_hub()
    receipt = mail_hub.email().send_transactional(mail())
    sandbox.states[ADA] = state
    looked_up = mail_hub.email().get(receipt.ref)

    assert (status, state["status"]) == (looked_up.status, looked_up.vendor_status)
    assert [(ADA, status)] == [(item.email, item.status) for item in looked_up.recipients]


@pytest.mark.parametrize("flags", [["blocklisted"], ["send_before_expiration"], []])
def test_failed_recipient_has_the_reason(flags: list[str]) -> None:
    """Each kind of failure has Scaleway's details as its reason, and a success has none."""
    sandbox, mail_hub = scaleway_hub()
    receipt = mail_hub.email().send_transactional(mail())
    sandbox.states[ADA] = {"status": "failed", "flags": flags, "status_details": "It is blocked."}
    [outcome] = mail_hub.email().get(receipt.ref).recipients
    assert (None, "It is blocked.") == (outcome.code, outcome.reason)
    sandbox.states[ADA] = {"status": "sent", "status_details": "success"}
    [outcome] = mail_hub.email().get(receipt.ref).recipients
    assert (None, None) == (outcome.code, outcome.reason)


def test_message_with_different_final_states_was_sent() -> None:
    """A message whose recipients have different final states has been sent."""
    sandbox, mail_hub = scaleway_hub()
    receipt = mail_hub.email().send_transactional(mail(cc="bob@example.com"))
    sandbox.states = {ADA: {"status": "sent"}, "bob@example.com": {"status": "failed"}}

    assert EmailStatus.SENT is mail_hub.email().get(receipt.ref).status


def test_deprecated_name_of_the_recipient_is_read() -> None:
    """The recipient's address is also read from the deprecated field, if the other is missing."""
    sandbox, mail_hub = scaleway_hub()
    sandbox.fail(
        reply(
            {
                "emails": [
                    {"id": "e-1", "rcpt_to": "BOB@example.com", "status": "sending"},
                    {"id": "e-2", "rcpt_to": ADA, "status": "failed", "flags": ["blocklisted"]},
                ]
            }
        )
    )
    receipt = mail_hub.email().send_transactional(mail(cc="bob@example.com"))

    assert [(ADA, EmailStatus.REJECTED), ("bob@example.com", EmailStatus.QUEUED)] == [
        (item.email, item.status) for item in receipt.recipients
    ]
    sandbox.fail(reply({"id": "e-1", "rcpt_to": ADA, "status": "sent"}))
    [outcome] = mail_hub.email().get("scaleway:mail:e-1").recipients
    assert ADA == outcome.email


@pytest.mark.parametrize(
    "emails", [[], [{"id": "e-1"}], [{"id": "e-1"}, {}], [{"id": "e-1"}, {"id": ""}]]
)
def test_answer_without_an_id_for_each_recipient_is_malformed(emails: list[Any]) -> None:
    """A response that lacks the id of a recipient is malformed."""
    sandbox, mail_hub = scaleway_hub()
    sandbox.fail(reply({"emails": emails}))
    with pytest.raises(VendorFailed, match="id for each recipient"):
        mail_hub.email().send_transactional(mail(cc="bob@example.com"))


@pytest.mark.parametrize(
    "status, code, error",
    [
        (400, "invalid_arguments", InvalidRequest),
        (400, None, InvalidRequest),
        (401, "denied_authentication", AuthenticationFailed),
        (401, None, AuthenticationFailed),
        (403, "permissions_denied", AuthenticationFailed),
        (403, "quotas_exceeded", VendorRejected),
        (404, "not_found", VendorRejected),
        (409, "transient_state", VendorRejected),
    ],
)
def test_refusals(status: int, code: str | None, error: type[Exception]) -> None:
    """Scaleway's type of an error response decides the error's class, and is its code."""
    sandbox, mail_hub = scaleway_hub()
    words = {} if code is None else {"type": code}
    sandbox.fail(reply({"message": "It is not possible.", **words}, status))
    with pytest.raises(error, match="It is not possible") as excinfo:
        mail_hub.email().send_transactional(mail())

    assert error is type(excinfo.value)
    assert code == getattr(excinfo.value, "vendor_code", None)


@pytest.mark.parametrize("operation", ["suppressions", "add_suppression", "remove_suppression"])
def test_blocklist_needs_a_domain(operation: str) -> None:
    """Without the id of a domain there is no blocklist, and nothing is sent."""
    sandbox, mail_hub = scaleway_hub(domain_id=None)
    arguments = () if operation == "suppressions" else (ADA,)
    with pytest.raises(ConfigurationError, match="domain_id"):
        getattr(mail_hub.email(), operation)(*arguments)

    assert [] == sandbox.requests


def test_address_that_somebody_added_is_blocked() -> None:
    """An added address is blocked, whatever kind of bounce its entry names."""
    _, mail_hub = scaleway_hub()
    mail_hub.email().add_suppression(ADA)
    [entry] = mail_hub.email().suppressions().items

    assert (ADA, RejectReason.BLOCKED, "mailbox_not_found") == (
        entry.email,
        entry.reason,
        entry.vendor_reason,
    )


def test_removal_whose_answer_is_lost_has_succeeded() -> None:
    """An entry counts as removed if a repeated deletion does not find it any more."""
    sandbox, mail_hub = scaleway_hub()
    sandbox.suppressions[ADA] = "mailbox_full"
    entries = {"blocklists": [{"id": "b-1", "email": ADA}, {"id": "b-2", "email": "x@example.com"}]}
    sandbox.fail(reply(entries), Lost())
    mail_hub.email().remove_suppression("ADA@example.com")

    assert ["/blocklists/b-1"] * 2 == [
        item.path.removeprefix(PATH) for item in sandbox.requests if item.method == "DELETE"
    ]


def test_removal_that_is_refused_is_an_error() -> None:
    """Scaleway's refusal to remove an address, such as a sixth in a day, is raised."""
    sandbox, mail_hub = scaleway_hub()
    sandbox.suppressions[ADA] = "mailbox_full"
    entries = {"blocklists": [{"id": "b-1", "email": ADA}]}
    refusal = reply({"type": "quotas_exceeded", "message": "quota(s) exceeded"}, 403)
    sandbox.fail(reply(entries), refusal)
    with pytest.raises(VendorRejected, match="quota"):
        mail_hub.email().remove_suppression(ADA)


def test_sandbox_is_as_strict_as_scaleway() -> None:
    """The sandbox refuses the requests that Scaleway's documentation says are refused."""
    sandbox, mail_hub = scaleway_hub()
    file = Attachment(filename="a.exe", content=b"a")
    people = [f"a{number}@example.com" for number in range(11)]
    for message in (
        mail(attachments=[file]),
        mail(to=people),
        mail(attachments=[Attachment(filename=f"{n}.txt", content=b"") for n in range(11)]),
        mail(from_="shop@unverified.example"),
    ):
        with pytest.raises(VendorRejected):
            mail_hub.email().send_transactional(message)
    other = ScalewaySandbox(project_id="another")
    assert sandbox.project_id != other.project_id
    assert [] == sandbox.delivered
