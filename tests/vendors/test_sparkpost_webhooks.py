"""SparkPost: webhooks and their events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import Ref, WebhookRejected
from moorage.contracts.email_outcomes import EmailStatus, RejectReason
from moorage.domain.webhooks.events import WebhookEvent
from tests.vendors.subjects.sparkpost import sparkpost_hub

URL = "https://erp.example/hooks"

KINDS: list[tuple[str, dict[str, str], EmailStatus, str | None, bool | None]] = [
    ("injection", {}, EmailStatus.QUEUED, None, None),
    ("delivery", {}, EmailStatus.DELIVERED, None, None),
    ("delay", {"bounce_class": "21"}, EmailStatus.DEFERRED, "21", False),
    ("delay", {"bounce_class": "10"}, EmailStatus.DEFERRED, "10", False),
    ("policy_rejection", {"bounce_class": "25"}, EmailStatus.REJECTED, "25", True),
    ("generation_rejection", {"error_code": "554"}, EmailStatus.REJECTED, "554", None),
    ("generation_failure", {"error_code": "554"}, EmailStatus.FAILED, "554", None),
    ("spam_complaint", {"fbtype": "abuse"}, EmailStatus.COMPLAINED, "abuse", None),
    ("open", {}, EmailStatus.OPENED, None, None),
    ("initial_open", {}, EmailStatus.OPENED, None, None),
    ("amp_open", {}, EmailStatus.OPENED, None, None),
    ("amp_initial_open", {}, EmailStatus.OPENED, None, None),
    ("click", {}, EmailStatus.CLICKED, None, None),
    ("amp_click", {}, EmailStatus.CLICKED, None, None),
    ("list_unsubscribe", {}, EmailStatus.UNSUBSCRIBED, None, None),
    ("link_unsubscribe", {}, EmailStatus.UNSUBSCRIBED, None, None),
    ("teleport", {"bounce_class": "90"}, EmailStatus.UNKNOWN, "90", None),
]

CLASSES: list[tuple[str, EmailStatus, bool | None, RejectReason | None]] = [
    ("1", EmailStatus.BOUNCED, None, RejectReason.OTHER),
    ("10", EmailStatus.BOUNCED, True, RejectReason.INVALID),
    ("20", EmailStatus.BOUNCED, False, RejectReason.BOUNCED),
    ("21", EmailStatus.BOUNCED, False, RejectReason.BOUNCED),
    ("22", EmailStatus.BOUNCED, False, RejectReason.BOUNCED),
    ("23", EmailStatus.BOUNCED, False, RejectReason.BOUNCED),
    ("24", EmailStatus.BOUNCED, False, RejectReason.TIMED_OUT),
    ("25", EmailStatus.REJECTED, True, RejectReason.BLOCKED),
    ("30", EmailStatus.BOUNCED, True, RejectReason.INVALID),
    ("40", EmailStatus.BOUNCED, False, RejectReason.BOUNCED),
    ("50", EmailStatus.BOUNCED, False, RejectReason.BLOCKED),
    ("51", EmailStatus.BOUNCED, False, RejectReason.SPAM),
    ("52", EmailStatus.BOUNCED, False, RejectReason.SPAM),
    ("53", EmailStatus.BOUNCED, False, RejectReason.BLOCKED),
    ("54", EmailStatus.BOUNCED, False, RejectReason.BLOCKED),
    ("60", EmailStatus.UNKNOWN, None, None),
    ("70", EmailStatus.BOUNCED, False, RejectReason.BOUNCED),
    ("80", EmailStatus.SUBSCRIBED, None, None),
    ("90", EmailStatus.UNSUBSCRIBED, None, RejectReason.UNSUBSCRIBED),
    ("100", EmailStatus.UNKNOWN, None, None),
    ("999", EmailStatus.BOUNCED, None, RejectReason.OTHER),
]


def events_of(group: str, **fields: Any) -> Any:
    """Return the email events that are read from one item of a webhook batch."""
    item = {"msys": {group: fields}}
    webhook = WebhookEvent(vendor="sparkpost", id="e1", type="x", vendor_type="x", payload=item)
    return sparkpost_hub()[1].events("mail", webhook)


@pytest.mark.parametrize("kind, fields, status, code, permanent", KINDS)
def test_kind_of_an_event_becomes_a_status(
    *,
    kind: str,
    fields: dict[str, str],
    status: EmailStatus,
    code: str | None,
    permanent: bool | None,
) -> None:
    """Each kind of SparkPost event becomes a status."""
    [event] = events_of("track_event", type=kind, transmission_id="7", **fields)

    assert (status, kind, code, permanent) == (
        event.status,
        event.vendor_status,
        event.code,
        event.permanent,
    )


@pytest.mark.parametrize("kind", ["bounce", "out_of_band"])
@pytest.mark.parametrize("bounce, status, permanent, cause", CLASSES)
def test_classes_of_bounces(
    *,
    kind: str,
    bounce: str,
    status: EmailStatus,
    permanent: bool | None,
    cause: RejectReason | None,
) -> None:
    """The bounce class decides if an event counts as a bounce, if it is permanent, and why."""
    [event] = events_of(
        "message_event", type=kind, transmission_id="7", bounce_class=bounce, error_code="550"
    )

    assert (status, bounce, permanent) == (event.status, event.code, event.permanent)
    assert event.cause is cause


@pytest.mark.parametrize(
    "kind, cause",
    [
        ("spam_complaint", RejectReason.SPAM),
        ("list_unsubscribe", RejectReason.UNSUBSCRIBED),
        ("link_unsubscribe", RejectReason.UNSUBSCRIBED),
        ("policy_rejection", RejectReason.BLOCKED),
        ("generation_rejection", RejectReason.BLOCKED),
        ("generation_failure", RejectReason.OTHER),
        ("delivery", None),
    ],
)
def test_kind_of_an_event_has_a_cause(kind: str, cause: RejectReason | None) -> None:
    """A complaint, an unsubscription and a rejection by SparkPost each have their cause."""
    [event] = events_of("message_event", type=kind, transmission_id="7")

    assert event.cause is cause


@pytest.mark.parametrize(
    "payload",
    [
        {"msys": {}},
        {"msys": {"relay_message": {"rcpt_to": "shop@example.com", "protocol": "smtp"}}},
        {"msys": {"message_event": {"type": "delivery"}}},
        {"msys": {"message_event": {"transmission_id": "7"}}},
        {"msys": {"message_event": "x"}},
        {"msys": "x"},
        [],
        None,
    ],
)
def test_other_items_give_no_events(payload: object) -> None:
    """Webhook items for tests, for received mail, or without a transmission give no events."""
    webhook = WebhookEvent(vendor="sparkpost", id="e1", type="x", vendor_type="x", payload=payload)

    assert () == sparkpost_hub()[1].events("mail", webhook)


BATCH: list[dict[str, Any]] = [
    {
        "message_event": {
            "type": "bounce",
            "event_id": "92356927693813856",
            "transmission_id": "65832150921904138",
            "message_id": "000443ee14578172be22",
            "bounce_class": "10",
            "error_code": "550",
            "campaign_id": "invoice",
            "rcpt_meta": {"invoice": "7", "user_id": 43, "odd": None},
            "rcpt_to": "ada@example.com",
            "raw_rcpt_to": "Ada@example.com",
            "reason": "550 5.1.1 ...@... no such user",
            "raw_reason": "550 5.1.1 <ada@example.com> no such user",
            "timestamp": "1454442600",
        }
    },
    {
        "track_event": {
            "type": "click",
            "event_id": "92356927693813857",
            "transmission_id": "65832150921904138",
            "campaign_id": "",
            "rcpt_to": "ada@example.com",
            "target_link_url": "https://example.com/",
            "timestamp": "1454442601",
        }
    },
    {
        "gen_event": {
            "type": "generation_failure",
            "event_id": "92356927693813858",
            "transmission_id": "65832150921904138",
            "rcpt_to": "ada@example.com",
            "raw_reason": "554 5.3.3 [internal] Error while rendering",
            "timestamp": "1454442602",
        }
    },
    {
        "unsubscribe_event": {
            "type": "list_unsubscribe",
            "event_id": "92356927693813859",
            "transmission_id": "65832150921904138",
            "rcpt_to": "ada@example.com",
            "timestamp": "1454442603",
        }
    },
]


def test_batch_has_a_password() -> None:
    """A webhook batch needs the right password, and each of its items gives an event."""
    sandbox, mail_hub = sparkpost_hub()
    notice = sandbox.event_notice(URL, *BATCH)
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    webhooks = verifier.verify(**notice.arguments())
    bounce, click, failure, leave = [
        event for webhook in webhooks for event in mail_hub.events("mail", webhook)
    ]

    assert [
        ("email.bounced", "92356927693813856"),
        ("email.clicked", "92356927693813857"),
        ("email.failed", "92356927693813858"),
        ("email.unsubscribed", "92356927693813859"),
    ] == [(webhook.type, webhook.id) for webhook in webhooks]
    time = datetime(2016, 2, 2, 19, 50, tzinfo=UTC)
    assert [time.replace(second=number) for number in range(4)] == [
        webhook.time for webhook in webhooks
    ]
    assert Ref("sparkpost", "mail", "65832150921904138") == bounce.ref
    assert ("92356927693813856", time, "Ada@example.com") == (bounce.id, bounce.at, bounce.email)
    assert ("10", "550 5.1.1 ...@... no such user") == (bounce.code, bounce.reason)
    assert (("invoice",), {"invoice": "7", "user_id": "43"}) == (bounce.tags, bounce.metadata)
    assert BATCH[0]["message_event"] == bounce.raw
    assert ("https://example.com/", "ada@example.com", ()) == (click.url, click.email, click.tags)
    assert "554 5.3.3 [internal] Error while rendering" == failure.reason
    assert EmailStatus.UNSUBSCRIBED == leave.status
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="hook:wrong").verify(**notice.arguments())


def test_batch_may_have_a_token() -> None:
    """An account whose webhooks use OAuth 2.0 accepts the bearer token, and no password."""
    sandbox, mail_hub = sparkpost_hub(webhook_auth="oauth2")
    verifier = mail_hub.webhooks("mail", secrets=sandbox.token)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, BATCH[0], oauth2=True).arguments())

    assert "email.bounced" == webhook.type
    for rejected in (
        sandbox.event_notice(URL, BATCH[1]),
        sandbox.event_notice(URL, BATCH[1], oauth2=True),
    ):
        other = mail_hub.webhooks("mail", secrets="another-token-of-sparkpost")
        with pytest.raises(WebhookRejected):
            other.verify(**rejected.arguments())


def test_time_may_be_written_as_text() -> None:
    """The time of an event may be written in ISO 8601."""
    [event] = events_of(
        "gen_event",
        type="generation_failure",
        transmission_id="7",
        timestamp="2018-10-11T23:24:45.000+00:00",
    )

    assert datetime(2018, 10, 11, 23, 24, 45, tzinfo=UTC) == event.at
    sandbox, mail_hub = sparkpost_hub()
    record = {
        "type": "generation_failure",
        "event_id": "1",
        "timestamp": "2018-10-11T23:24:45.000Z",
    }
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, {"gen_event": record}).arguments())
    assert ("email.failed", "1") == (webhook.type, webhook.id)


def test_vendors_test_of_a_webhook_is_valid() -> None:
    """SparkPost's test of a new webhook is verified, although it is about no email."""
    sandbox, mail_hub = sparkpost_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, {}).arguments())

    assert () == mail_hub.events("mail", webhook)


def test_repeated_batch_is_a_replay() -> None:
    """If SparkPost repeats a webhook batch, the copy is recognised by its events' ids."""
    sandbox, mail_hub = sparkpost_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    verifier.verify(**sandbox.event_notice(URL, BATCH[0]).arguments())
    with pytest.raises(WebhookRejected, match="being handled"):
        verifier.verify(**sandbox.event_notice(URL, BATCH[0]).arguments())
