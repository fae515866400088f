"""Messages from templates by WhatsApp and RCS: requests, responses and settings of SMS vendors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

import moorage
from moorage import InvalidData, InvalidRequest, VendorRejected
from moorage.contracts.sms import SmsStatus
from moorage.contracts.sms_templates import TemplateMessage
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient

if TYPE_CHECKING:
    from pathlib import Path

TO, SID = "+4915112345678", "HX" + "0" * 32
HOOK = "https://erp.example/hooks/texts"
MESSAGES = "/2010-04-01/Accounts/AC" + "0" * 32 + "/Messages.json"


def opened(vendor: str, folder: Path, **options: Any) -> tuple[moorage.Hub, Any]:
    """Return a hub with an account at the vendor's sandbox, and the sandbox."""
    fixture = fixture_of(vendor, folder)
    assert fixture.sandbox is not None
    account = {**fixture.options, **options}
    account = {name: value for name, value in account.items() if value is not None}
    hub = moorage.open({"vendors": {vendor: account}}, http=SandboxHttpClient(fixture.sandbox))
    return hub, fixture.sandbox


def template(**fields: Any) -> TemplateMessage:
    """Return a message from a template with the given fields changed."""
    default_fields: dict[str, Any] = {
        "to": TO,
        "channel": "whatsapp",
        "template": SID,
        "variables": ["Ada", "Q-17"],
    }
    return TemplateMessage(**{**default_fields, **fields})


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {"To": f"whatsapp:{TO}", "From": "whatsapp:+15005550009"}),
        ({"channel": "rcs"}, {"To": f"rcs:{TO}", "From": "rcs:acme_agent"}),
        ({"sender": "whatsapp:+15005550006"}, {"From": "whatsapp:+15005550006"}),
        ({"sender": "+15005550006"}, {"From": "whatsapp:+15005550006"}),
        ({"sender_pool": "MG1"}, {"To": f"whatsapp:{TO}", "MessagingServiceSid": "MG1"}),
        ({"channel": "rcs", "sender_pool": "MG1"}, {"To": TO, "MessagingServiceSid": "MG1"}),
        ({"callback_url": HOOK}, {"StatusCallback": HOOK}),
        ({"extra": {"twilio": {"RiskCheck": "disable"}}}, {"RiskCheck": "disable"}),
    ],
    ids=repr,
)
def test_twilio_gets_addresses_with_their_channel(
    fields: dict[str, Any], expected: dict[str, str], tmp_path: Path
) -> None:
    """Twilio gets both addresses with the channel.

    For RCS, a pool of senders gets plain addresses.
    """
    hub, sandbox = opened("twilio", tmp_path)
    with hub:
        hub.sms().send_template(template(**fields))

    [request] = sandbox.requests
    form = dict(parse_qsl(request.body.decode()))
    assert MESSAGES == request.path
    assert expected == {name: form.get(name) for name in expected}
    assert ("From" in form) != ("MessagingServiceSid" in form)
    assert SID == form["ContentSid"]
    assert {"1": "Ada", "2": "Q-17"} == json.loads(form["ContentVariables"])
    assert "Body" not in form


def test_twilio_repeat_with_variables_in_another_order_is_the_same(tmp_path: Path) -> None:
    """A repeat whose named values are in another order counts as the same message."""
    hub, sandbox = opened("twilio", tmp_path)
    with hub:
        receipts = [
            hub.sms().send_template(template(variables=variables), idempotency_key="Q-17/ready")
            for variables in ({"order": "Q-17", "name": "Ada"}, {"name": "Ada", "order": "Q-17"})
        ]

    assert receipts[0].ref == receipts[1].ref
    assert [False, True] == [receipt.replayed for receipt in receipts]
    assert 1 == len(sandbox.requests)


def test_twilio_fills_in_the_template(tmp_path: Path) -> None:
    """Twilio fills in the content template, whose text is in the response."""
    hub, _ = opened("twilio", tmp_path)
    with hub:
        receipt = hub.sms().send_template(template())
        plain_receipt = hub.sms().send_template(template(variables=()))
        looked_up = hub.sms().get(receipt.ref)

    assert "Dear Ada, your order Q-17 is ready." == receipt.raw["body"]
    assert "Dear {{1}}, your order {{2}} is ready." == plain_receipt.raw["body"]
    assert receipt.ref == looked_up.ref


@pytest.mark.parametrize(
    "fields, kind, code",
    [
        ({"template": "HX" + "f" * 32}, InvalidRequest, "21655"),
        ({"extra": {"twilio": {"ContentVariables": "no JSON"}}}, InvalidRequest, "21656"),
        ({"extra": {"twilio": {"From": "+15005550006"}}}, InvalidRequest, "21910"),
        ({"to": "+15005550004"}, VendorRejected, "21610"),
    ],
    ids=repr,
)
def test_twilio_refuses_wrong_templates(
    fields: dict[str, Any], kind: type[VendorRejected], code: str, tmp_path: Path
) -> None:
    """An unknown template, wrong variables and mixed channels are refused with Twilio's code."""
    hub, _ = opened("twilio", tmp_path)
    with hub, pytest.raises(kind) as excinfo:
        hub.sms().send_template(template(**fields))

    assert code == excinfo.value.vendor_code


def test_twilio_template_must_be_named_by_its_sid(tmp_path: Path) -> None:
    """A template's name is refused before a request, because Twilio accepts only SIDs."""
    hub, sandbox = opened("twilio", tmp_path)
    with hub, pytest.raises(InvalidData, match="not the SID of a content template"):
        hub.sms().send_template(template(template="order_ready"))

    assert [] == sandbox.requests


def infobip_message(folder: Path, **fields: Any) -> Any:
    """Return the message in the request that sends a template with Infobip."""
    hub, sandbox = opened("infobip", folder)
    with hub:
        hub.sms().send_template(
            template(template="order_ready", **fields), idempotency_key="Q-17/ready"
        )
    [request] = sandbox.requests
    assert "/messages-api/1/messages" == request.path
    [message] = request.json()["messages"]
    return message


def test_infobip_gets_channel_and_template(tmp_path: Path) -> None:
    """Infobip gets channel, sender and template, and an id that stays the same in a repeat."""
    message = infobip_message(tmp_path, channel="rcs", language="de")
    second_message = infobip_message(tmp_path, channel="rcs", language="de")
    id_ = message["destinations"][0]["messageId"]

    assert message == {
        "channel": "RCS",
        "sender": "AcmeAgent",
        "destinations": [{"messageId": id_, "to": TO[1:]}],
        "template": {"templateName": "order_ready", "language": "de"},
        "content": {"body": {"type": "TEXT", "1": "Ada", "2": "Q-17"}},
    }
    assert message == second_message


def test_infobip_sends_an_sms_if_the_template_message_fails(tmp_path: Path) -> None:
    """The fallback SMS has a separate text and sender, and the same id as the template message."""
    message = infobip_message(tmp_path, sms_fallback="Order Q-17 is ready.", variables=())

    channels = [{"channel": name, "to": TO[1:]} for name in ("WHATSAPP", "SMS")]
    [destination], [step] = message["destinations"], message["failover"]
    assert channels == destination["byChannel"]
    assert {"byChannel", "messageId"} == destination.keys()
    assert "content" not in message
    assert step == {
        "channel": "SMS",
        "sender": "15005550006",
        "content": {"body": {"type": "TEXT", "text": "Order Q-17 is ready."}},
    }


def test_infobip_reports_to_the_url_of_the_message(tmp_path: Path) -> None:
    """Reports of delivery and of reading go to the URL of the message, with its reference."""
    message = infobip_message(
        tmp_path,
        callback_url=HOOK,
        reference="Q-17",
        extra={"infobip": {"options": {"campaignReferenceId": "fall"}}},
    )

    assert message["webhooks"] == {
        "delivery": {"url": HOOK, "intermediateReport": True},
        "seen": {"url": HOOK},
        "contentType": "application/json",
        "callbackData": "Q-17",
    }
    assert {"campaignReferenceId": "fall"} == message["options"]


@pytest.mark.parametrize(
    "vendor, options, fields, words",
    [
        ("twilio", {"whatsapp_sender": None}, {}, "needs a sender for a message over whatsapp"),
        (
            "twilio",
            {"rcs_sender": None},
            {"channel": "rcs"},
            "needs a sender for a message over rcs",
        ),
        ("infobip", {"whatsapp_sender": None}, {}, "needs a sender for a message over whatsapp"),
        (
            "infobip",
            {"rcs_sender": None},
            {"channel": "rcs"},
            "needs a sender for a message over rcs",
        ),
        (
            "infobip",
            {"sender": None},
            {"sms_fallback": "Ready."},
            "replaces an undelivered message",
        ),
        ("infobip", {}, {"variables": {"type": "Ada"}}, "which Infobip reserves"),
    ],
)
def test_missing_senders_are_refused(
    vendor: str, options: dict[str, Any], fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """For a channel without a sender, or a variable that Infobip reserves, no request is sent."""
    hub, sandbox = opened(vendor, tmp_path, **options)
    with hub, pytest.raises(InvalidData, match=words):
        hub.sms().send_template(template(**fields))

    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "fields, kind, code",
    [
        ({"to": "+15005550001"}, InvalidRequest, "E400"),
        ({"to": "+15005550002"}, VendorRejected, "REJECTED_NOT_ENOUGH_CREDITS"),
        ({"to": "+15005550008"}, moorage.RateLimitExceeded, "E429"),
        (
            {"extra": {"infobip": {"destinations": [{"to": TO[1:]}]}}, "sms_fallback": "Ready."},
            InvalidRequest,
            "E400",
        ),
    ],
    ids=repr,
)
def test_infobip_refuses_wrong_templates(
    fields: dict[str, Any], kind: type[VendorRejected], code: str, tmp_path: Path
) -> None:
    """A wrong number, an empty account, and a fallback SMS without its number are refused."""
    hub, sandbox = opened("infobip", tmp_path)
    with hub, pytest.raises(kind) as excinfo:
        hub.sms().send_template(template(**fields))

    assert code == excinfo.value.vendor_code
    assert [] == sandbox.sent_templates


def test_infobip_reports_that_a_message_was_read(tmp_path: Path) -> None:
    """A report that the recipient has read the message has the time of the reading."""
    hub, sandbox = opened("infobip", tmp_path)
    with hub:
        receipt = hub.sms().send_template(template(callback_url=HOOK, reference="Q-17"))
        verifier = hub.webhooks("infobip", secrets=sandbox.webhook_password)
        notice = sandbox.report(receipt.ref.id, "SEEN")
        [webhook] = verifier.verify(**notice.arguments())
        [event] = hub.events("infobip", webhook)

    assert (receipt.ref, SmsStatus.READ, "SEEN") == (event.ref, event.status, event.vendor_status)
    assert event.at is not None
    assert 2031 == event.at.year
    assert event.sender is None


@pytest.mark.parametrize("channel", ["whatsapp", "rcs"])
def test_twilio_reply_can_be_answered(channel: str, tmp_path: Path) -> None:
    """The sender of a received message has no channel prefix, so a template can reply to it."""
    hub, sandbox = opened("twilio", tmp_path)
    with hub:
        verifier = hub.webhooks("twilio", secrets=sandbox.auth_token)
        notice = sandbox.receive(f"{channel}:{TO}", "Thanks")
        [webhook] = verifier.verify(**notice.arguments())
        [event] = hub.events("twilio", webhook)

    assert TO == event.sender
    assert TO == template(to=event.sender, channel=channel).to
    assert f"{channel}:{TO}" == event.raw["From"]
