"""Cancelling and looking up sent messages at email vendors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConnectionFailed, VendorFailed, VendorRejected
from moorage.contracts.email_outcomes import EmailStatus
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from tests.vendors.email_hubs import mail

if TYPE_CHECKING:
    from pathlib import Path

CANCELED = {
    "brevo": ("DELETE", "/v3/smtp/email/%3CID%3E"),
    "mailersend": ("DELETE", "/v1/message-schedules/ID"),
    "resend": ("POST", "/emails/ID/cancel"),
    "sparkpost": ("DELETE", "/api/v1/transmissions/ID"),
}


def hub_of(vendor: str, folder: Path) -> tuple[Any, Any]:
    """Return a vendor's sandbox, and a hub with an account there."""
    fixture = fixture_of(vendor, folder)
    assert fixture.sandbox is not None
    http = SandboxHttpClient(fixture.sandbox)
    return fixture.sandbox, moorage.open({"vendors": {vendor: fixture.options}}, http=http)


def send_scheduled(hub: Any) -> Any:
    """Send a message that is scheduled for later, and return its reference."""
    send_time = datetime.now(UTC) + timedelta(hours=1)
    return hub.email().send_transactional(mail(send_at=send_time)).ref


@pytest.mark.parametrize("vendor", CANCELED)
def test_cancellation_request_contains_the_message_id(vendor: str, tmp_path: Path) -> None:
    """A cancellation request has the message's id, in the vendor's form."""
    sandbox, hub = hub_of(vendor, tmp_path)
    hub.email().cancel(ref := send_scheduled(hub))
    request = sandbox.requests[-1]
    path = request.path.replace(ref.id.replace("@", "%40"), "ID")

    assert CANCELED[vendor] == (request.method, path)


@pytest.mark.parametrize("vendor", ["brevo", "mailersend", "sparkpost"])
def test_lost_cancellation_is_not_repeated(vendor: str, tmp_path: Path) -> None:
    """A cancellation whose response is lost is not repeated, as the vendor refuses a second one."""
    sandbox, hub = hub_of(vendor, tmp_path)
    ref = send_scheduled(hub)
    sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        hub.email().cancel(ref)
    with pytest.raises(VendorRejected):
        hub.email().cancel(ref)


def test_lost_cancellation_at_resend_is_looked_up(tmp_path: Path) -> None:
    """If Resend's response to a cancellation is lost, the message's last event confirms it."""
    sandbox, hub = hub_of("resend", tmp_path)
    ref = send_scheduled(hub)
    sandbox.fail(Lost())

    assert EmailStatus.CANCELED is hub.email().cancel(ref).status


@pytest.mark.parametrize(
    "event, status",
    [
        ("bounced", EmailStatus.BOUNCED),
        ("delivery_delayed", EmailStatus.DEFERRED),
        ("queued", EmailStatus.QUEUED),
        ("odd", EmailStatus.UNKNOWN),
    ],
)
def test_last_event_at_resend_sets_the_status(
    event: str, status: EmailStatus, tmp_path: Path
) -> None:
    """At Resend the last event of a message sets the status of the message and its recipients."""
    sandbox, hub = hub_of("resend", tmp_path)
    sandbox.fail(reply({"id": "m-1", "to": ["Ada <ada@example.com>"], "last_event": event}))
    receipt = hub.email().get("resend:resend:m-1")

    assert (status, event) == (receipt.status, receipt.vendor_status)
    assert [("ada@example.com", status)] == [
        (item.email, item.status) for item in receipt.recipients
    ]


def event(recipient: str, kind: str, second: int) -> dict[str, str]:
    """Return an event of a message at Postmark."""
    time = f"2014-02-14T11:13:{second:02d}-05:00"
    return {"Recipient": recipient, "Type": kind, "ReceivedAt": time}


@pytest.mark.parametrize(
    "status, events, whole, people",
    [
        ("Queued", [], EmailStatus.QUEUED, [EmailStatus.QUEUED] * 2),
        (
            "Sent",
            [event("ada@example.com", "Opened", 9), event("Ada@example.com", "Delivered", 1)],
            EmailStatus.SENT,
            [EmailStatus.OPENED, EmailStatus.SENT],
        ),
        (
            "Sent",
            [event("ada@example.com", "Bounced", 1), event("bob@example.com", "Bounced", 1)],
            EmailStatus.BOUNCED,
            [EmailStatus.BOUNCED] * 2,
        ),
        (
            "Sent",
            [event("ada@example.com", "LinkClicked", 2), event("bob@example.com", "Transient", 1)],
            EmailStatus.SENT,
            [EmailStatus.CLICKED, EmailStatus.DEFERRED],
        ),
        (
            "Odd",
            [event("ada@example.com", "Odd", 1), event("eve@example.com", "Delivered", 1)],
            EmailStatus.UNKNOWN,
            [EmailStatus.UNKNOWN] * 2,
        ),
    ],
    ids=["no event", "one each", "same", "later", "odd"],
)
def test_latest_event_at_postmark_sets_the_status_of_a_recipient(
    status: str,
    events: list[dict[str, str]],
    whole: EmailStatus,
    people: list[EmailStatus],
    tmp_path: Path,
) -> None:
    """A Postmark recipient has the status of its latest event; the message's combines them all."""
    sandbox, hub = hub_of("postmark", tmp_path)
    recipients = ["ada@example.com", "bob@example.com"]
    message = {"MessageID": "m-1", "Status": status, "Recipients": recipients}
    sandbox.fail(reply(message | {"MessageEvents": events}))
    receipt = hub.email().get("postmark:postmark:m-1")

    assert (whole, status) == (receipt.status, receipt.vendor_status)
    assert people == [outcome.status for outcome in receipt.recipients]
    assert recipients == [outcome.email for outcome in receipt.recipients]


@pytest.mark.parametrize(
    "vendor, answer", [("resend", {"id": "other"}), ("postmark", {"MessageID": "other"})]
)
def test_response_about_another_message_is_an_error(
    vendor: str, answer: Any, tmp_path: Path
) -> None:
    """A response about another message is an error of the vendor."""
    sandbox, hub = hub_of(vendor, tmp_path)
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed):
        hub.email().get(f"{vendor}:{vendor}:m-1")


@pytest.mark.parametrize("vendor", ["resend", "postmark"])
def test_unknown_message_is_refused(vendor: str, tmp_path: Path) -> None:
    """A message that does not exist at the vendor is refused."""
    _, hub = hub_of(vendor, tmp_path)
    with pytest.raises(VendorRejected):
        hub.email().get(f"{vendor}:{vendor}:m-1")
