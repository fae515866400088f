"""Example webhooks that vendors published, or that vendors' own libraries sign."""

# ruff: noqa: E501 - a signature has no place where a line could end

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest

from moorage.domain.webhooks.presets import preset
from tests.webhooks.signing import FORM, HEX
from tests.webhooks.verifiers import NOW, Receiver

SLACK = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
    "%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
TWILIO = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}
PLIVO = {
    "MessageUUID": "u-1",
    "Status": "delivered",
    "From": "15005550006",
    "To": "4915112345678",
    "Units": "1",
}
SINCH = json.dumps(
    {
        "app_id": "",
        "accepted_time": "2021-10-18T17:49:13.813615Z",
        "project_id": "e2df3a34-a71b-4448-9db5-a8d2baad28e4",
        "contact_create_notification": {
            "contact": {
                "id": "01FJA8B466Y0R2GNXD78MD9SM1",
                "channel_identities": [{"channel": "SMS", "identity": "48123456789", "app_id": ""}],
                "display_name": "New Test Contact",
                "email": "new.contact@email.com",
                "external_id": "",
                "metadata": "",
                "language": "EN_US",
            }
        },
        "message_metadata": "",
    },
    separators=(",", ":"),
)
SENDGRID = (
    json.dumps(
        [
            {
                "email": "hello@world.com",
                "event": "dropped",
                "reason": "Bounced Address",
                "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
                "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
                "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
                "timestamp": 1600112492,
            }
        ],
        sort_keys=True,
        separators=(",", ":"),
    )
    + "\r\n"
)
PLAID = json.dumps(
    {
        "error": None,
        "item_id": "yxQbxDjnD8hr69pKbQpbcKeVn3GL9QuyA7NV3",
        "new_transactions": 390,
        "webhook_code": "HISTORICAL_UPDATE",
        "webhook_type": "TRANSACTIONS",
    },
    indent=2,
)
PLAID_TOKEN = (
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IjZjNTUxNmUxLTkyZGMtNDc5ZS1hOGZmLTVhNTE5OTJlMDAwMSIsInR5cCI6IkpXVCJ9"
    ".eyJpYXQiOjE1OTA4ODcwMDEsInJlcXVlc3RfYm9keV9zaGEyNTYiOiJiNjNhMDdiNTQ3YjAwZjk5MjU0N2Y2YmJjOGQ5YWNj"
    "NjFhOGNjZWUxMzhiYzgyZjQ0YTZiYWEwOTY4M2E1ZDBmIn0.OOKvIihgqCj7Qrb2bmz7T3t7uK-0JyjiEqL2s1kWeJBM4MMmj"
    "aHKK8GmU_z91QolBWMzvPgs718EElY-rE3cwQ"
)
PLAID_KEY = json.dumps(
    {
        "alg": "ES256",
        "crv": "P-256",
        "kid": "6c5516e1-92dc-479e-a8ff-5a51992e0001",
        "kty": "EC",
        "use": "sig",
        "x": "35lvC8uz2QrWpQJ3TUH8t9o9DURMp7ydU518RKDl20k",
        "y": "I8BuXB2bvxelzJAd7OKhd-ZwjCst05Fx47Mb_0ugros",
    }
)
ADYEN = {
    "additionalData": {"hmacSignature": "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
    "amount": {"value": 1130, "currency": "EUR"},
    "pspReference": "7914073381342284",
    "eventCode": "AUTHORISATION",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "paymentMethod": "visa",
    "success": "true",
}
BRAINTREE = base64.encodebytes(
    b'\n            <notification>\n                <timestamp type="datetime">2026-11-20T15:37:05Z'
    b"</timestamp>\n                <kind>subscription_went_past_due</kind>\n                \n"
    b"                <subject>\n            <subscription>\n                <id>my_id</id>\n"
    b'                <transactions type="array"></transactions>\n'
    b'                <add_ons type="array"></add_ons>\n'
    b'                <discounts type="array"></discounts>\n            </subscription>\n'
    b"        </subject>\n            </notification>\n        "
).decode()


@attrs.frozen(kw_only=True)
class PublishedWebhook:
    """A webhook published by a vendor, and the source of it."""

    found: str
    scheme: str
    secret: Any
    headers: dict[str, str]
    body: str
    type: str = ""
    at: int = 1_700_000_000
    url: str = "https://example.com/webhook"
    parameters: dict[str, str] = attrs.field(factory=dict[str, str])
    raw: bool = False


PUBLISHED = [
    PublishedWebhook(
        found="GitHub's documentation on validating deliveries",
        scheme="github",
        secret="It's a Secret to Everybody",
        headers={
            "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        },
        body="Hello, World!",
        raw=True,
    ),
    PublishedWebhook(
        found="Slack's documentation on verifying requests",
        scheme="slack",
        secret="8f742231b10e8888abcd99yyyzzz85a5",
        headers={
            "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            "X-Slack-Request-Timestamp": "1531420618",
            "Content-Type": FORM,
        },
        body=SLACK,
        at=1531420618,
    ),
    PublishedWebhook(
        found="the specification of Standard Webhooks",
        scheme="standard-webhooks",
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers={
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        body='{"test": 2432232314}',
        at=1614265330,
    ),
    PublishedWebhook(
        found="Svix's documentation on verifying by hand",
        scheme="svix",
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers={
            "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "svix-timestamp": "1614265330",
            "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v2,other",
        },
        body='{"test": 2432232314}',
        at=1614265330,
    ),
    PublishedWebhook(
        found="the tests of Twilio's library for Python",
        scheme="twilio",
        secret="12345",
        headers={"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "Content-Type": FORM},
        body=urlencode(TWILIO),
        url="https://mycompany.com/myapp.php?foo=1&bar=2",
    ),
    PublishedWebhook(
        found="Plivo's library for Python",
        scheme="plivo",
        secret="my_auth_token",
        headers={
            "X-Plivo-Signature-V3": "aUdiYt5PZ88+pod0MOU+IIgQ+QMLDuRlhwvlA5Mr44k=",
            "X-Plivo-Signature-V3-Nonce": "12345",
            "Content-Type": FORM,
        },
        body=urlencode(PLIVO),
        url="https://shop.example/texts",
        type="message.delivered",
    ),
    PublishedWebhook(
        found="Plivo's library for Python, of a URL with parameters, signed by the main account",
        scheme="plivo",
        secret="my_auth_token",
        headers={
            "X-Plivo-Signature-Ma-V3": "other,mjSb4+bHRjrBrc8Ap9eSogpASOLduTd///X/dEGQteU=",
            "X-Plivo-Signature-V3-Nonce": "12345",
            "Content-Type": FORM,
        },
        body=urlencode(PLIVO),
        url="https://shop.example/texts?shop=1&a=x%20y",
        type="message.delivered",
    ),
    PublishedWebhook(
        found="the tests of Sinch's library for .NET, of another of its products",
        scheme="sinch",
        secret="foo_secret1234",
        headers={
            "x-sinch-webhook-signature": "6bpJoRmFoXVjfJIVglMoJzYXxnoxRujzR4k2GOXewOE=",
            "x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV067",
            "x-sinch-webhook-signature-timestamp": "1634579353",
        },
        body=SINCH,
        at=1634579353,
    ),
    PublishedWebhook(
        found="Twilio's library for Python, of a webhook in JSON",
        scheme="twilio",
        secret="1c892n40nd03kdnc0112slzkl3091j20",
        headers={
            "X-Twilio-Signature": "y/0FJS0ILrMKJnIKNsn69S+BiHA=",
            "Content-Type": "application/json",
        },
        body='{"property": 1, "boolean": true}',
        url="https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256="
        "3fe4d3222ecafefd88a91e37bc7cd43b47ebc35c21051a196ac72b58bb4d39ad",
    ),
    PublishedWebhook(
        found="Twilio's library for Python, with a shared key",
        scheme="twilio-shared-key",
        secret="12345",
        headers={
            "X-Twilio-Signature": "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s=",
            "Content-Type": FORM,
        },
        body=urlencode(TWILIO),
        url="https://mycompany.com/myapp.php?foo=1&bar=2",
    ),
    PublishedWebhook(
        found="the tests of SendGrid's library for Python",
        scheme="sendgrid",
        secret="MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw"
        "+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
        headers={
            "X-Twilio-Email-Event-Webhook-Signature": "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
            "X-Twilio-Email-Event-Webhook-Timestamp": "1600112502",
        },
        body=SENDGRID,
        at=1600112502,
        type="email.rejected",
    ),
    PublishedWebhook(
        found="Vonage's library for Python",
        scheme="vonage",
        secret="secret",
        headers={},
        body='{"a":"1","b":"2","timestamp":"1461605396",'
        '"sig":"a321e824b9b816be7c3f28859a31749a098713d39f613c80d455bbaffae1cd24"}',
        at=1461605396,
    ),
    PublishedWebhook(
        found="Square's documentation on validating notifications",
        scheme="square",
        secret="asdf1234",
        headers={"x-square-hmacsha256-signature": "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og="},
        body='{"hello":"world"}',
    ),
    PublishedWebhook(
        found="the tests of Adyen's library for Ruby",
        scheme="adyen",
        secret=HEX,
        headers={},
        body=json.dumps({"notificationItems": [{"NotificationRequestItem": ADYEN}]}),
        type="payment.authorized",
    ),
    PublishedWebhook(
        found="a question about Plaid's sandbox, with token, key and body",
        scheme="plaid",
        secret=PLAID_KEY,
        headers={"Plaid-Verification": PLAID_TOKEN},
        body=PLAID,
        at=1590887001,
        type="TRANSACTIONS.HISTORICAL_UPDATE",
    ),
    PublishedWebhook(
        found="Stripe's library for Python",
        scheme="stripe",
        secret="whsec_test_secret",
        headers={
            "Stripe-Signature": "t=1700000000,"
            "v1=82d30704012e24f5db1d8ed20d324a4427c588e664bba69b8374641eddf3dc34"
        },
        body='{"id":"evt_1","object":"event","type":"charge.refunded","created":1700000000,'
        '"data":{"object":{"id":"ch_1"}}}',
        type="payment.refunded",
    ),
    PublishedWebhook(
        found="the sample notifications of Braintree's library for Python",
        scheme="braintree",
        secret="integration_private_key",
        parameters={"public_key": "integration_public_key"},
        headers={"Content-Type": FORM},
        body=urlencode(
            {
                "bt_signature": "integration_public_key|2bb32bdc285d74620066a225021db36ee07b1139",
                "bt_payload": BRAINTREE,
            }
        ),
        type="subscription_went_past_due",
    ),
    PublishedWebhook(
        found="the tests of Authnet-JSON, with Authorize.Net's sample notification",
        scheme="authorize-net",
        secret="52CB4A002C634B84E397DC8A218E1A160BA7CAB7CBE4C05B35E9CBB05E14FE4A2385812E980CCF97"
        "D177F17863CE214D1BE6CE8E1E894487AACF3609C1A5FE17",
        headers={
            "X-Anet-Signature": "sha512=A1E0CC0F8A7B6274E0951CAC5EB63579F70FC6B7B15384B146DCE02B98DE"
            "E3954A5A8E331661B51DE953E141E88994DFA7D267FFB8428BE0660511B6EFB94960"
        },
        body='{"notificationId":"182cbbff-cab2-4080-931d-80e5d818f23a",'
        '"eventType":"net.authorize.payment.authcapture.created",'
        '"eventDate":"2017-08-18T20:40:52.7722007Z",'
        '"webhookId":"849eb87e-078a-4169-a34b-c0bded5019a8",'
        '"payload":{"responseCode":0,"authCode":"Z3PV5H","avsResponse":"Y","authAmount":0.0,'
        '"entityName":"transaction","id":"40005915599"}}',
        type="payment.captured",
    ),
    PublishedWebhook(
        found="HubSpot's library for Python",
        scheme="hubspot",
        secret="yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
        headers={
            "X-HubSpot-Signature-v3": "rQEKkaNUiu+1qGF//O/pw4BCzstSqO1PyUnGICmf+7o=",
            "X-HubSpot-Request-Timestamp": "1700000000000",
        },
        body='{"example_field":"example_value"}',
        url="https://www.example.com/webhook_uri",
    ),
    PublishedWebhook(
        found="EasyPost's library for Python",
        scheme="easypost",
        secret="sécret",
        headers={
            "X-Hmac-Signature": "hmac-sha256-hex="
            "34971e73ceae42b0da7a4de9ab12f79b2ded7a61230c44c54c3865868d741410"
        },
        body='{"id":"evt_1","description":"tracker.updated","result":{"id":"trk_1"}}',
        type="shipment.tracked",
    ),
    PublishedWebhook(
        found="GoCardless' library for Python",
        scheme="gocardless",
        secret="ED7D658C-D8EB-4941-948B-3973214F2D49",
        headers={
            "Webhook-Signature": "2693754819d3e32d7e8fcb13c729631f316c6de8dc1cf634d6527f1c07276e7e"
        },
        body='{"events":[{"id":"EV00BD05S5VM2T","created_at":"2018-07-05T09:13:51.404Z","resource_'
        'type":"subscriptions","action":"created","links":{"subscription":"SB0003JJQ2MR06"},"'
        'details":{"origin":"api","cause":"subscription_created","description":"Subscription '
        'created via the API."},"metadata":{}},{"id":"EV00BD05TB8K63","created_at":"2018-07-0'
        '5T09:13:56.893Z","resource_type":"mandates","action":"created","links":{"mandate":"M'
        'D000AMA19XGEC"},"details":{"origin":"api","cause":"mandate_created","description":"M'
        'andate created via the API."},"metadata":{}}]}',
        type="subscriptions.created",
    ),
    PublishedWebhook(
        found="Razorpay's library for Python",
        scheme="razorpay",
        secret="123456",
        headers={
            "X-Razorpay-Signature": "7992298ea7e6dc59dec3fea46d999854e348dfa1e53a0a36f636016c9b15aba8"
        },
        body='{"entity":"event","account_id":"acc_BFQ7uQEaa7j2z7","event":"payment.captured",'
        '"contains":["payment"],"payload":{},"created_at":1700000000}',
        type="payment.captured",
    ),
]


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.found)
def test_published_examples_are_accepted(case: PublishedWebhook) -> None:
    """Webhooks published by vendors and their libraries are accepted."""
    scheme = preset(case.scheme)
    if case.raw:
        scheme = attrs.evolve(scheme, body="raw")
    receiver = Receiver(scheme, case.secret, parameters=case.parameters, replay_guard=False)
    receiver.clock.step_utc(datetime.fromtimestamp(case.at, UTC) - NOW)
    options: dict[str, Any] = {"headers": case.headers, "body": case.body.encode(), "url": case.url}

    events = receiver.verify(options)

    assert case.type == events[0].type
    assert receiver.reason_of_refusal(options | {"body": case.body.replace("e", "E", 1).encode()})
