"""Attacks on webhook verification: each is refused, or has no effect."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import utils

from moorage import (
    ConfigurationError,
    InvalidData,
    Secret,
    VendorFailed,
    WebhookRejected,
    WebhookScheme,
    WebhookVerifier,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.webhook_secrets import StaticWebhookSecrets
from moorage.domain.webhooks.presets import preset
from moorage.testing import VirtualClock
from tests.webhooks import keys
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import (
    ARN,
    CERT_PAYPAL,
    CERT_SNS,
    FORM,
    HEX,
    SECRET,
    SentWebhook,
    adyen_item,
    as_json,
    b64,
    mac,
    paypal,
    sns,
    stamp,
)
from tests.webhooks.world import NOW, Links, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

GITHUB, STRIPE, PLAID, SENDGRID = (
    BY_NAME[name] for name in ("github", "stripe", "plaid", "sendgrid")
)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""


# --- secrets that are none ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, secret",
    [
        ("github", "\x00"),
        ("github", b"\x00" * 32),
        ("github", "\u00a0"),
        ("github", "\u2003\u2003"),
        ("github", "\x0b\x0c\x1c\x85"),
        ("standard-webhooks", "whsec_"),
        ("standard-webhooks", "whsec_ "),
        ("standard-webhooks", "whsec_===="),
        ("standard-webhooks", "whsec_" + b64(b"\x00" * 24)),
        ("standard-webhooks", "whsec_whsec_"),
        ("adyen", "00" * 32),
        ("adyen", "0x00"),
        ("adyen", "zz"),
        ("easypost", "\u3000"),
        ("braintree", "\t"),
        ("basic-auth", ":"),
        ("basic-auth", "user:"),
        ("basic-auth", ":password"),
        ("basic-auth", "user"),
        ("telegram", " token"),
        ("client-certificate", "00:" * 31),
        ("discord", "00" * 31),
        ("plaid", "{}"),
    ],
)
def test_empty_secrets_are_refused(name: str, secret: Any) -> None:
    """An empty or guessable secret is refused when a verifier is made."""
    parameters = dict(BY_NAME[name].parameters)
    for value in (secret, [BY_NAME[name].secret, secret]):
        with pytest.raises(ConfigurationError):
            WebhookVerifier(name, value, parameters=parameters)
    stored_secrets = StaticWebhookSecrets({None: "unused", "acme": [BY_NAME[name].secret]})
    assert stored_secrets.kept("acme")


def test_empty_secret_of_a_provider_is_refused() -> None:
    """An empty secret from a provider verifies nothing."""

    class EmptyTable:
        """A table whose cells are empty."""

        def get(self, *_: object) -> tuple[Secret, ...]:
            """The cell's content."""
            return (Secret(cell),)

    for cell in ("", " ", "\x00"):
        receiver = Receiver("github", EmptyTable(), replay_guard=False)
        signature = mac(cell.strip(" \x00"), b"{}").hex()
        with pytest.raises(ConfigurationError):
            receiver.verify(
                SentWebhook(headers={"X-Hub-Signature-256": f"sha256={signature}"}, body=b"{}")
            )


# --- headers --------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["\r\n ", "\n", "\r", "\x00", "\x0b", "\u00a0", "\u2028"])
def test_folded_headers(space: str) -> None:
    """A line break or an unusual space in a signature makes it invalid."""
    sent_request = GITHUB.send(NOW, 1)
    genuine_signature = sent_request.headers["X-Hub-Signature-256"]
    receiver = Receiver.of(GITHUB)
    for text in (
        genuine_signature + space,
        space + genuine_signature,
        genuine_signature.replace("=", f"={space}"),
    ):
        spoiled_request = attrs.evolve(sent_request, headers={"X-Hub-Signature-256": text})
        assert receiver.reason_of_refusal(spoiled_request) in {"signature", "downgraded"}


def test_white_space_between_marks_changes_nothing() -> None:
    """Space around the parts of a signature's text is not signed, and makes no new webhook."""
    receiver = Receiver.of(STRIPE, replay_guard=True)
    sent_request = STRIPE.send(NOW, 1)
    receiver.done(receiver.verify(sent_request))
    text = sent_request.headers["Stripe-Signature"].replace(",", "\r\n , ")

    assert "replayed" == receiver.reason_of_refusal(
        attrs.evolve(sent_request, headers={"Stripe-Signature": text})
    )


@pytest.mark.parametrize("name", ["github", "stripe", "slack", "standard-webhooks", "sendgrid"])
def test_similar_header_names_are_ignored(name: str) -> None:
    """Header names with other letters, underscores or spaces are different headers."""
    sender = BY_NAME[name]
    sent_request = sender.send(NOW, 1)
    receiver = Receiver.of(sender)
    ways: tuple[Callable[[str], str], ...] = (
        lambda text: text.replace("-", "_"),
        lambda text: text + " ",
        lambda text: text.replace("S", "\u017f").replace("s", "\u017f"),
        lambda text: text.replace("K", "\u212a").replace("i", "\u0130"),
    )
    for spoil in ways:
        renamed_headers = {spoil(header): value for header, value in sent_request.headers.items()}
        if not {*renamed_headers} & {*sent_request.headers}:
            assert "missing" == receiver.reason_of_refusal(
                attrs.evolve(sent_request, headers=renamed_headers)
            )


# --- signatures in other writings --------------------------------------------------------------


def writings(genuine: str) -> list[str]:
    """Texts that a lax reader takes for the same signature."""
    decoded_bytes = bytes.fromhex(genuine)
    return [
        genuine.upper(),
        genuine[:-2] + genuine[-2:].swapcase() + "0",
        "0x" + genuine,
        " ".join((genuine[:32], genuine[32:])),
        b64(decoded_bytes),
        genuine + "00",
        genuine[:32],
        "".join(chr(ord(letter) + 0xFEE0) for letter in genuine),
    ]


@pytest.mark.parametrize("number", range(8))
def test_hex_in_other_writings(number: int) -> None:
    """A signature is compared as it is written."""
    sent_request = GITHUB.send(NOW, 1)
    genuine_hex = sent_request.headers["X-Hub-Signature-256"].removeprefix("sha256=")
    text = "sha256=" + writings(genuine_hex)[number]
    if text.removeprefix("sha256=") != genuine_hex:
        spoiled_request = attrs.evolve(sent_request, headers={"X-Hub-Signature-256": text})
        assert "signature" == Receiver.of(GITHUB).reason_of_refusal(spoiled_request)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + "=",
        lambda text: text.rstrip("="),
        lambda text: text + "\n",
        lambda text: text[:4] + "\n" + text[4:],
        lambda text: text[:4] + "!" + text[4:],
        lambda text: text.replace("+", "-").replace("/", "_") + " ",
        lambda text: text + "AAAA",
        lambda text: text.rstrip("=")[:-1] + chr(ord(text.rstrip("=")[-1]) ^ 1) + "=",
    ],
)
@pytest.mark.parametrize("name", ["shopify", "sendgrid"])
def test_base64_with_garbage(name: str, spoil: Any) -> None:
    """Base64 that a lax reader takes for the same bytes is another signature."""
    sender = BY_NAME[name]
    header = {"shopify": "X-Shopify-Hmac-Sha256"}.get(
        name, "X-Twilio-Email-Event-Webhook-Signature"
    )
    sent_request = sender.send(NOW, 1)
    text = spoil(sent_request.headers[header])
    if text.strip(" ") != sent_request.headers[header]:
        value = attrs.evolve(sent_request, headers=sent_request.headers | {header: text})
        assert "signature" == Receiver.of(sender).reason_of_refusal(value)


def test_the_other_signature_of_a_curve_is_a_replay() -> None:
    """The second valid form of a signature on a curve counts as the same delivery."""
    receiver = Receiver.of(SENDGRID, replay_guard=True)
    sent_request = SENDGRID.send(NOW, 1)
    receiver.done(receiver.verify(sent_request))
    header = "X-Twilio-Email-Event-Webhook-Signature"
    first, second = utils.decode_dss_signature(base64.b64decode(sent_request.headers[header]))
    twin_signature = b64(utils.encode_dss_signature(first, ORDER - second))
    assert twin_signature != sent_request.headers[header]

    value = attrs.evolve(sent_request, headers=sent_request.headers | {header: twin_signature})
    assert "replayed" == receiver.reason_of_refusal(value)


# --- times ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "-1", "+1", "1_0", "1e9", "1.0", "0x10", " ", "NaN", "inf", "9" * 40, "9" * 41, "9" * 5_000,
        "99999999999999", "\u0661\u0662", "\u00b2\u00b3", "\uff11\uff12", "1,2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["stripe", "slack", "discord", "hubspot", "standard-webhooks"])
def test_invalid_timestamps_are_refused(name: str, text: str) -> None:
    """A timestamp that is not a whole number near the current time is refused."""
    sender = BY_NAME[name]
    sent_request = sender.send(NOW, 1)
    sent_timestamp = {
        "hubspot": str(int(NOW.timestamp() * 1000)),
    }.get(name, stamp(NOW))
    headers = {
        header: value.replace(sent_timestamp, text, 1) if header != "webhook-signature" else value
        for header, value in sent_request.headers.items()
    }
    assert headers != sent_request.headers
    assert Receiver.of(sender).reason_of_refusal(attrs.evolve(sent_request, headers=headers)) in {
        "malformed",
        "stale",
        "future",
        "missing",
    }


@pytest.mark.parametrize(
    "text, reason",
    [
        ("0001-01-01T00:00:00+14:00", "malformed"),
        ("9999-12-31T23:59:59-14:00", "malformed"),
        ("1970-01-01T00:00:00Z", "stale"),
        ("9999-12-31T00:00:00Z", "future"),
        ("2031-13-01T00:00:00Z", "malformed"),
        ("2031-05-06T07:08:09Z\n", "malformed"),
        ("now", "malformed"),
        ("-2031-05-06T07:08:09Z", "malformed"),
    ],
)
def test_dates_that_overflow(text: str, reason: str) -> None:
    """A date beyond all calendars is refused, and nothing overflows."""
    sent_request = paypal(NOW, 1)
    headers = sent_request.headers | {"PAYPAL-TRANSMISSION-TIME": text}
    assert reason == Receiver.of(BY_NAME["paypal"]).reason_of_refusal(
        attrs.evolve(sent_request, headers=headers)
    )


@pytest.mark.parametrize(
    "value", ["true", "null", "[]", "1e400", "-1", "1" * 39, "1" * 4_000, "1.5", '"1"', "{}", "NaN"]
)
def test_numbers_in_a_body_that_are_no_time(value: str) -> None:
    """A time inside a signed body is a plain number near now, of JSON's many."""
    body = f'{{"type":"a","action":"b","webhookTimestamp":{value}}}'.encode()
    sent_request = SentWebhook(headers={"Linear-Signature": mac(SECRET, body).hex()}, body=body)
    assert Receiver.of(BY_NAME["linear"]).reason_of_refusal(sent_request) in {
        "malformed",
        "missing",
        "stale",
    }


def test_huge_numbers_in_an_event() -> None:
    """An invalid creation time is None, and the event is still returned."""
    for value in ("1e400", "-1e400", "9" * 4_000, "true", '"\\ud800"', "[]", "-62135596801"):
        body = f'{{"id":"evt","type":"a","created":{value}}}'.encode()
        signature = mac(SECRET, stamp(NOW).encode() + b"." + body).hex()
        text = f"t={stamp(NOW)},v1={signature}"
        for is_guarded in (True, False):
            receiver = Receiver.of(STRIPE, replay_guard=is_guarded)
            (event,) = receiver.verify(SentWebhook(headers={"Stripe-Signature": text}, body=body))
            assert event.time is None


# --- tokens -----------------------------------------------------------------------------------


def forged(header: dict[str, Any], sign: Any) -> str:
    """Return a token with genuine claims and any header."""
    sent_request = PLAID.send(NOW, 1)
    digest = hashlib.sha256(sent_request.body).hexdigest()
    claims = {"iat": int(NOW.timestamp()), "request_body_sha256": digest}
    text = ".".join(keys.url64(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{keys.url64(sign(text.encode()))}"


@pytest.mark.parametrize(
    "more",
    [
        {"jwk": json.loads(keys.jwk(keys.curve(), "evil"))},
        {"jku": "https://evil.example/keys.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MII="]},
        {"kid": "../../../dev/null"},
        {"kid": {"$ne": None}},
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"alg": ["ES256"]},
        {"b64": False, "crit": ["b64"]},
        {"crit": []},
    ],
    ids=str,
)
def test_a_token_that_brings_its_own_key(more: dict[str, Any]) -> None:
    """Keys, addresses, names and algorithms that the sender chooses are not used."""
    numbers = keys.curve().public_key().public_numbers()
    public = keys.jwk(keys.curve()).encode()
    ways = (
        lambda _: b"",
        lambda text: mac(public, text),
        lambda text: mac(numbers.x.to_bytes(32, "big"), text),
        lambda _: b"\x00" * 64,
        lambda _: ORDER.to_bytes(32, "big") * 2,
        lambda _: b"\x01" * 64,
    )
    links = Links()
    receiver = Receiver.of(PLAID, links=links)
    for sign in ways:
        token = forged({"alg": "ES256", "kid": "key-1"} | more, sign)
        sent_request = attrs.evolve(PLAID.send(NOW, 1), headers={"Plaid-Verification": token})
        assert receiver.reason_of_refusal(sent_request) in {"signature", "downgraded", "malformed"}
    assert [] == links.asked


# --- addresses of certificates ------------------------------------------------------------------

HOST = "sns.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url: url.replace(HOST, HOST + "."),
        lambda url: url.replace(HOST, HOST + ":443"),
        lambda url: url.replace(HOST, HOST + ":"),
        lambda url: url.replace(HOST, HOST.upper()),
        lambda url: url.replace(HOST, f"evil.example#@{HOST}"),
        lambda url: url.replace(HOST, f"evil.example\\@{HOST}"),
        lambda url: url.replace(HOST, f"{HOST}\\.evil.example"),
        lambda url: url.replace(HOST, f"{HOST}%00.evil.example"),
        lambda url: url.replace(HOST, f"{HOST}%2eevil.example"),
        lambda url: url.replace(HOST, f"{HOST}@evil.example"),
        lambda url: url.replace(HOST, f"user:password@{HOST}"),
        lambda url: url.replace("sns", "\u0455ns"),
        lambda url: url.replace(".amazonaws", "\u3002amazonaws"),
        lambda url: url.replace(".com", ".com\u200b"),
        lambda url: url.replace(".com", ".co\uff4d"),
        lambda url: url.replace("eu-west-1", "\u0435u-west-1"),
        lambda url: url.replace("eu-west-1", "eu-west-\u0661"),
        lambda url: url.replace("https", "HTTPS"),
        lambda url: " " + url,
        lambda url: url + "\t",
        lambda url: url + "#.pem",
        lambda url: url.replace(".pem", ".pem/../../x.pem"),
        lambda url: url.replace("/Simple", "//Simple"),
        lambda url: url.replace("https://", "https:/"),
        lambda url: url.replace("https://", "//"),
    ],
)
def test_similar_certificate_urls_are_refused(spoil: Any) -> None:
    """A certificate URL that is not exactly the vendor's is refused without a request."""
    links = Links()
    value = sns("2", SigningCertURL=spoil(CERT_SNS))(NOW, 1)

    assert "certificate" == Receiver.of(BY_NAME["aws-sns"], links=links).reason_of_refusal(value)
    assert [] == links.asked


def test_certificate_url_must_be_https() -> None:
    """A custom pattern that allows other schemes still fetches only HTTPS URLs."""
    scheme = attrs.evolve(preset("paypal"), certificate_url=r"https://a\.example/.*|.*")
    links = Links()
    receiver = Receiver(scheme, parameters={"webhook_id": "WEBHOOK"}, links=links)
    for address in ("http://169.254.169.254/latest", "file:///etc/passwd", ""):
        headers = paypal(NOW, 1).headers | {"PAYPAL-CERT-URL": address}
        value = attrs.evolve(paypal(NOW, 1), headers=headers)
        assert receiver.reason_of_refusal(value) in {"certificate", "missing"}
    assert [] == links.asked


def test_an_address_that_is_no_text_is_no_address() -> None:
    """A certificate's address that is read from a body of any bytes is refused like any other."""
    scheme = attrs.evolve(preset("paypal"), certificate="{body}")
    links = Links()
    receiver = Receiver(scheme, parameters={"webhook_id": "WEBHOOK"}, links=links)

    assert "certificate" == receiver.reason_of_refusal(attrs.evolve(paypal(NOW, 1), body=b"\xff"))
    assert [] == links.asked


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304, 204])
def test_a_certificate_that_is_elsewhere_is_not_looked_for(status: int) -> None:
    """A redirect to a certificate is not followed."""
    links = Links(status=status)
    with pytest.raises(VendorFailed):
        Receiver.of(BY_NAME["paypal"], links=links).verify(paypal(NOW, 1))
    assert [CERT_PAYPAL] == links.asked


# --- one signed text, read in two ways ------------------------------------------------------------


@pytest.mark.parametrize("hidden", ["Type", "TopicArn", "Timestamp", "MessageId"])
def test_lines_of_one_value_do_not_stand_for_others(hidden: str) -> None:
    """Amazon signs for all its customers: only the topic's own messages are accepted.

    A stranger's own topic signs a message whose lines, taken apart elsewhere, are our webhook.
    """
    sns_timestamp = NOW.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    original_fields = {
        "MessageId": "m-1",
        "Timestamp": sns_timestamp,
        "TopicArn": ARN,
        "Type": "Notification",
    }
    lines = "".join(f"{name}\n{value}\n" for name, value in original_fields.items()).rstrip("\n")
    foreign_topic = "arn:aws:sns:eu-west-1:666:evil"
    signed_request = sns("2", Message=f"pay\n{lines}", TopicArn=foreign_topic)(NOW, 2)
    fields = json.loads(signed_request.body)
    names = ("MessageId", "Timestamp", "TopicArn", "Type")
    trailing_lines = "".join(f"{name}\n{fields[name]}\n" for name in names).rstrip("\n")
    forged_fields = fields | original_fields | {"Message": "pay"}
    forged_fields[hidden] = f"{forged_fields[hidden]}\n{trailing_lines}"

    forgery = attrs.evolve(signed_request, body=as_json(forged_fields))
    assert Receiver.of(BY_NAME["aws-sns"]).reason_of_refusal(forgery) in {
        "malformed",
        "foreign",
        "missing",
    }
    assert "foreign" == Receiver.of(BY_NAME["aws-sns"]).reason_of_refusal(signed_request)
    several_request = sns("2", Message="one\ntwo\n")(NOW, 3)
    assert Receiver.of(BY_NAME["aws-sns"]).verify(several_request)


def test_fields_that_are_taken_apart_elsewhere_are_a_replay() -> None:
    """Adyen joins fields with colons; other splits of the same text are the same event."""
    receiver = Receiver.of(BY_NAME["adyen"], replay_guard=True)
    reference = str(adyen_item(1)["pspReference"])
    content = f"{reference}::TestMerchant:INV-7:INV-8:1130:EUR:AUTHORISATION:true"
    signature_data = {"hmacSignature": b64(mac(bytes.fromhex(HEX), content))}
    genuine_item = adyen_item(1, merchantReference="INV-7:INV-8", additionalData=signature_data)
    split = genuine_item | {
        "pspReference": f"{reference}:",
        "originalReference": genuine_item["merchantAccountCode"],
        "merchantAccountCode": "INV-7",
        "merchantReference": "INV-8",
    }
    first, second = (
        SentWebhook(
            headers={}, body=as_json({"notificationItems": [{"NotificationRequestItem": item}]})
        )
        for item in (genuine_item, split)
    )
    (event,) = receiver.verify(first)
    assert event.id.startswith(reference)
    receiver.done(event)
    assert "replayed" == receiver.reason_of_refusal(second)
    assert Receiver.of(BY_NAME["adyen"]).verify(second)[0].weak


def test_challenge_response_is_no_signature() -> None:
    """The signed answer to Braintree's challenge cannot be used as a webhook's signature."""
    braintree = BY_NAME["braintree"]
    receiver = Receiver.of(braintree)
    for challenge in ("deadbeefdeadbeefdeadbeefdeadbeef", "0" * 20, "e" * 24, "a0c0" * 6):
        request = SentWebhook(
            headers={},
            body=b"",
            method="GET",
            url=f"https://shop.example/?bt_challenge={challenge}",
        )
        (event,) = receiver.verify(request)
        assert event.reply is not None
        form = {"bt_signature": event.reply.body.decode(), "bt_payload": challenge}
        forgery = SentWebhook(headers={"Content-Type": FORM}, body=urlencode(form).encode())
        assert "malformed" == receiver.reason_of_refusal(forgery)


@pytest.mark.parametrize("place", [0, 1, 5, 19])
def test_no_item_of_a_batch_is_beyond_looking(place: int) -> None:
    """A forged item anywhere in a batch makes it invalid, and nothing is stored."""
    receiver = Receiver.of(BY_NAME["adyen"], replay_guard=True)
    items = [adyen_item(number) for number in range(20)]
    changed_items = [*items]
    changed_items[place] = adyen_item(place) | {"success": "false"}
    wrapped_items = [{"NotificationRequestItem": item} for item in changed_items]
    forgery = SentWebhook(headers={}, body=as_json({"notificationItems": wrapped_items}))

    assert "signature" == receiver.reason_of_refusal(forgery)
    wrapped_items = [{"NotificationRequestItem": item} for item in items]
    genuine_request = SentWebhook(headers={}, body=as_json({"notificationItems": wrapped_items}))
    assert 20 == len(receiver.verify(genuine_request))


def test_members_that_are_there_twice() -> None:
    """For a duplicate member, the verified value is returned."""
    good_bytes, evil = as_json(adyen_item(1)), as_json(adyen_item(1) | {"success": "false"})
    for first, second, reason in ((evil, good_bytes, None), (good_bytes, evil, "signature")):
        body = (
            b'{"notificationItems":[{"NotificationRequestItem":%s,"NotificationRequestItem":%s}]}'
            % (first, second)
        )
        receiver = Receiver.of(BY_NAME["adyen"])
        sent_request = SentWebhook(headers={}, body=body)
        if reason is None:
            assert "true" == receiver.verify(sent_request)[0].payload["success"]
        else:
            assert reason == receiver.reason_of_refusal(sent_request)


# --- the guard against replays --------------------------------------------------------------------


def guards(*places: tuple[str, str | None]) -> list[tuple[Receiver, str | None]]:
    """Verifiers of one store and secret, for these endpoints and tenants."""
    clock = VirtualClock(NOW)
    store = MemoryStorage(clock=clock)
    secrets = StaticWebhookSecrets(dict.fromkeys((tenant for _, tenant in places), SECRET))
    return [
        (Receiver("github", secrets, name=name, storage=store, replay_guard=True), tenant)
        for name, tenant in places
    ]


def test_endpoints_remember_separately() -> None:
    """Endpoints and tenants remember deliveries separately, however they are named."""
    sent_request = GITHUB.send(NOW, 1)
    places = guards(
        ("shop", None),
        ("shop", "None"),
        ("shop", ""),
        ("shop", "acme"),
        ("shop", "acme "),
        ("shop", "@acme"),
        ("shop:acme", None),
        ("acme:shop", None),
        ("shop", "acme:shop"),
        ("Shop", "acme"),
        ("shop}", None),
        ("{shop}", None),
    )
    for receiver, tenant in places:
        receiver.done(receiver.verify(sent_request, tenant=tenant))
    for receiver, tenant in places:
        assert "replayed" == receiver.reason_of_refusal(sent_request, tenant=tenant)


def test_verifiers_of_one_name_and_store_remember_together() -> None:
    """A delivery that one worker handled is known to other workers' verifiers."""
    (first, _), (second, _) = guards(("shop", None), ("shop", None))
    sent_request = GITHUB.send(NOW, 1)
    events = first.verify(sent_request)

    assert "replayed" == second.reason_of_refusal(sent_request)
    second.release(events)
    assert second.verify(sent_request)


@pytest.mark.parametrize("name", ["github", "razorpay", "shopify", "gitlab", "linear", "twilio"])
@pytest.mark.parametrize("spoil", ["other", "", "\x00", "é", "x" * 9_000])
def test_replay_with_another_id_is_refused(name: str, spoil: str) -> None:
    """A repeated webhook with a changed or missing id is recognised."""
    sender = BY_NAME[name]
    receiver = Receiver.of(sender, replay_guard=True)
    sent_request = sender.send(NOW, 1)
    receiver.done(receiver.verify(sent_request))
    for headers in (
        sent_request.headers | dict.fromkeys(sender.free, spoil),
        {
            header: text
            for header, text in sent_request.headers.items()
            if header not in sender.free
        },
    ):
        assert "replayed" == receiver.reason_of_refusal(attrs.evolve(sent_request, headers=headers))


def test_borrowed_id_does_not_block_a_delivery() -> None:
    """A genuine webhook with another webhook's id does not block the other one."""
    receiver = Receiver.of(GITHUB, replay_guard=True)
    own_request, yours_request = GITHUB.send(NOW, 1), GITHUB.send(NOW, 2)
    borrowed_header = {"X-GitHub-Delivery": yours_request.headers["X-GitHub-Delivery"]}
    receiver.done(
        receiver.verify(attrs.evolve(own_request, headers=own_request.headers | borrowed_header))
    )

    assert receiver.verify(yours_request)


def test_deliveries_are_remembered_longer_than_they_are_valid() -> None:
    """By default a delivery is remembered for longer than its timestamp is valid."""
    for name in ("stripe", "slack", "aws-sns", "sendgrid", "mailgun", "standard-webhooks"):
        sender = BY_NAME[name]
        tolerance = preset(name).tolerance
        assert tolerance is not None
        receiver = Receiver.of(sender, replay_guard=True)
        sent_request = sender.send(NOW, 1)
        receiver.done(receiver.verify(sent_request))
        receiver.clock.advance(tolerance - 1)
        assert "replayed" == receiver.reason_of_refusal(sent_request)
        receiver.clock.advance(2)
        assert receiver.reason_of_refusal(sent_request) in {"stale", "replayed"}


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["{}", None, {"a": 1}, ["{}"], 7, object], ids=repr)
@pytest.mark.parametrize("name", ["github", "stripe", "adyen", "plaid", "telegram"])
def test_bodies_of_other_types(name: str, body: Any) -> None:
    """A body that is not bytes is the host's mistake in every scheme, genuine or not."""
    sent_request = BY_NAME[name].send(NOW, 1)
    with pytest.raises(InvalidData, match="not bytes"):
        Receiver.of(BY_NAME[name]).verify(sent_request.arguments() | {"body": body})


def test_custom_schemes_resist_the_same_attacks() -> None:
    """A scheme from a table resists the attacks on presets."""
    table = {
        "name": "warehouse",
        "signature": "{header:X-Sig}",
        "signs": "{mark:t}.{body}",
        "separator": ",",
        "prefix": "s=",
        "timestamp": "{mark:t}",
        "tolerance": 300,
    }
    receiver = Receiver(WebhookScheme.from_table(table), SECRET, replay_guard=True)
    signature = mac(SECRET, stamp(NOW).encode() + b".{}").hex()
    good_header = f"t={stamp(NOW)},s={signature}"
    for text, reason in (
        (f"s={signature}", "missing"),
        (f"t={stamp(NOW)}", "downgraded"),
        (f"t={stamp(NOW)},t=1,s={signature}", "duplicated"),
        (f"t={int(stamp(NOW)) + 1},s={signature}", "signature"),
        (f"t={stamp(NOW)},S={signature}", "downgraded"),
        (f"T={stamp(NOW)},s={signature}", "missing"),
        (f"t={stamp(NOW)};s={signature}", "downgraded"),
        ("", "missing"),
        ("," * 40, "malformed"),
    ):
        with pytest.raises(WebhookRejected) as excinfo:
            receiver.verify({"headers": {"X-Sig": text}, "body": b"{}"})
        assert reason == excinfo.value.reason, text
        assert " " in excinfo.value.message
    assert receiver.verify({"headers": {"X-Sig": good_header}, "body": b"{}"})
