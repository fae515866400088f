"""Web Push: encryption, signatures, and the push services that may be called."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from hmac import digest
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moorage import (
    ConfigurationError,
    DryRun,
    InvalidData,
    Response,
    Safety,
    Secret,
    VendorFailed,
)
from moorage.contracts.push import BrowserSubscription, PushMessage, decode_base64url
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Request
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.push.web_push import WebPushSandbox, site_key
from moorage.vendors.push._web_push_crypto import _LIFETIME, Sender, encrypted_record
from moorage.vendors.push.web_push import WebPush, classify

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest

CONTACT = "mailto:push@erp.example"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"


def subscription(endpoint: str = "https://push.example/s/1", point: str = POINT) -> Any:
    """Return the browser subscription of RFC 8291's example."""
    return BrowserSubscription(endpoint=endpoint, p256dh=point, auth=AUTH)


def sent_notifications(key: str | None, *fields: dict[str, Any]) -> list[SandboxRequest]:
    """Send a notification with the given fields; return the requests."""
    sandbox = WebPushSandbox()
    recipient = sandbox.recipient()
    vendor = WebPush(private_key=sandbox.private_key, contact=CONTACT)
    with Hub([Account("push", vendor)], http=SandboxHttpClient(sandbox)) as hub:
        for options in fields:
            message = PushMessage(**dict[str, Any](to=recipient, title="T") | options)
            hub.push().send(message, idempotency_key=key)
    return sandbox.requests


def test_encryption_matches_rfc_8291() -> None:
    """Encrypting RFC 8291's example gives exactly the bytes in the RFC."""
    number = int.from_bytes(decode_base64url("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    sender = Sender(
        ec.derive_private_key(number, ec.SECP256R1()), decode_base64url("DGv6ra1nlYgDCS1FRnbzlw")
    )
    expected = (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmY"
        "WAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexS"
        "gSxsj_Qulcy4a-fN"
    )

    body = encrypted_record(b"When I grow up, I want to be a watermelon", subscription(), sender)

    assert decode_base64url(expected) == body


@pytest.mark.parametrize("status, is_accepted", [(200, False), (201, True), (202, True)])
def test_created_and_accepted_are_successes(*, status: int, is_accepted: bool) -> None:
    """By RFC 8030, a push service answers 201, or 202 if it reports the delivery later."""
    sandbox = WebPushSandbox()
    recipient = sandbox.recipient()
    sandbox.fail(Response(status))
    account = Account(
        "push", WebPush(private_key=sandbox.private_key, contact=CONTACT), settings={"retry": None}
    )
    with Hub([account], http=SandboxHttpClient(sandbox)) as hub:
        if is_accepted:
            receipt = hub.push().send(PushMessage(to=recipient, title="T"))
            assert {"status": status} == receipt.raw
        else:
            with pytest.raises(VendorFailed):
                hub.push().send(PushMessage(to=recipient, title="T"))


def test_requests_have_the_headers_of_rfc_8030() -> None:
    """A request has headers for lifetime, urgency, and the topic of messages that it replaces."""
    request = sent_notifications(None, {"collapse_key": "order 1042", "priority": "normal"})[0]

    names = ("ttl", "urgency", "content-encoding", "content-type")
    assert ("2419200", "normal", "aes128gcm", "application/octet-stream") == tuple(
        request.headers.get(name) for name in names
    )
    assert 32 == len(request.headers.get("topic") or "")


def test_a_key_belongs_to_its_tenant() -> None:
    """If two tenants use the same idempotency key, their encryption keys differ."""
    sandbox = WebPushSandbox()
    recipient = sandbox.recipient()
    vendor = WebPush(private_key=sandbox.private_key, contact=CONTACT)
    with Hub([Account("push", vendor)], http=SandboxHttpClient(sandbox)) as hub:
        message = PushMessage(to=recipient, title="T")
        receipts = [
            hub.push(tenant=tenant).send(message, idempotency_key="k") for tenant in (None, "acme")
        ]
    first, second = sandbox.requests

    assert [{"status": 201}] * 2 == [receipt.raw for receipt in receipts]
    assert first.body[:86] != second.body[:86]


def test_another_content_under_a_key_has_other_encryption_keys() -> None:
    """If a key is used again for other content, neither the salt nor the key pair is used again."""
    requests = [sent_notifications("k", {"body": body})[0] for body in ("1", "1", "2")]
    beginnings = [request.body[:86] for request in requests]

    assert beginnings[0] == beginnings[1] != beginnings[2]


def test_every_endpoint_of_a_push_service_is_known() -> None:
    """An account may call all known push services, with URL paths of one to five parts."""
    sandbox = WebPushSandbox()
    origins = ("https://push.example", "https://other.example/")
    vendor = WebPush(private_key=sandbox.private_key, contact=CONTACT, push_services=origins)
    service = vendor.services()[""]

    assert ["/{part0}", "/{part0}/{part1}/{part2}/{part3}/{part4}"] == [
        service.endpoints[index].path for index in (0, -1)
    ]
    assert ["push.example", "other.example"] == [region.name for region in service.regions]
    assert ["https://push.example", "https://other.example"] == [
        region.base_url for region in service.regions
    ]
    assert timedelta(hours=12) == _LIFETIME


def test_every_notification_has_its_own_keys() -> None:
    """Two notifications, even with equal content, share neither salt nor key pair."""
    requests = sent_notifications(None, {}, {})

    assert requests[0].body[:86] != requests[1].body[:86]


def test_dry_run_shows_no_subscription() -> None:
    """A dry run names the push service, but does not show the browser's URL."""
    sandbox, events = WebPushSandbox(), list[Any]()
    recipient = sandbox.recipient()
    vendor = WebPush(private_key=sandbox.private_key, contact=CONTACT)
    with (
        Hub(
            [Account("push", vendor)],
            http=SandboxHttpClient(sandbox),
            observers=[events.append],
            safety=Safety(dry_run=True),
        ) as hub,
        pytest.raises(DryRun) as excinfo,
    ):
        hub.push().send(PushMessage(to=recipient, title="T"))

    origin, _, path = recipient.endpoint.removeprefix("https://").partition("/")
    assert f"POST https://{origin}/…" == excinfo.value.request
    assert all(path not in f"{shown!r}{shown!s}" for shown in (*events, excinfo.value))


def test_only_known_push_services_are_called() -> None:
    """A subscription at an unknown push service is refused before sending."""
    sandbox = WebPushSandbox()
    vendor = WebPush(private_key=sandbox.private_key, contact=CONTACT)
    with Hub([Account("push", vendor)], http=SandboxHttpClient(sandbox)) as hub:
        for endpoint in (
            "https://169.254.169.254/latest",
            "https://updates.push.services.mozilla.com.evil.example/s",
            "https://updates.push.services.mozilla.com:8443/s",
        ):
            with pytest.raises(InvalidData, match="not a known push service"):
                hub.push().send(PushMessage(to=subscription(endpoint), title="T"))

    assert [] == sandbox.requests


@pytest.mark.parametrize("status", [200, 202, 203])
def test_page_of_a_proxy_is_no_acceptance(status: int) -> None:
    """An HTML page in place of the push service's response is a failure."""
    sandbox = WebPushSandbox()
    sandbox.fail(Response(status, {"Content-Type": "text/html"}, b"<html></html>"))
    vendor = WebPush(private_key=sandbox.private_key, contact=CONTACT)
    account = Account("push", vendor, settings={"retry": None})
    message = PushMessage(to=sandbox.recipient(), title="T")
    with Hub([account], http=SandboxHttpClient(sandbox)) as hub, pytest.raises(VendorFailed):
        hub.push().send(message)


def test_keys_of_a_tenant_are_derived_from_all_parts() -> None:
    """A derived key pair depends on each of the parts that it is derived from."""
    secret = Secret("k")
    pairs = {
        Sender.derived(secret, *parts).salt
        for parts in (
            (b"a", b"b", b"c"),
            (b"a", b"b", b"d"),
            (b"a", b"e", b"c"),
            (b"f", b"b", b"c"),
        )
    }

    assert 4 == len(pairs)


def test_timeout_of_a_push_service_is_no_refusal() -> None:
    """A timeout or an outage is not a rejection, whatever its text."""
    for answer in (Response(408), Response(408, body=b"Timed out."), Response(500)):
        assert None is classify(Request.post("/"), answer)


def test_invalid_public_key_is_refused() -> None:
    """If a browser's public key is not on the curve, the error names its field."""
    point = urlsafe_b64encode(b"\x04" + bytes(64)).rstrip(b"=").decode()
    sandbox = WebPushSandbox()
    recipient = subscription("https://updates.push.services.mozilla.com/wpush/v2/a", point)
    vendor = WebPush(private_key=sandbox.private_key, contact=CONTACT)
    with (
        Hub([Account("push", vendor)], http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(InvalidData) as excinfo,
    ):
        hub.push().send(PushMessage(to=recipient, title="T"))

    assert "to.p256dh" == excinfo.value.field


def test_large_notification_is_refused() -> None:
    """A notification that does not fit in one encrypted record is refused before sending."""
    with pytest.raises(InvalidData, match="accepts at most 3993"):
        sent_notifications(None, {"body": "x" * 4_000})
    assert 4_096 >= len(sent_notifications(None, {"body": "x" * 3_960})[0].body)


def test_keys_of_tools_are_accepted() -> None:
    """A private key may be 32 bytes in URL-safe Base64; any other form is refused."""
    number = site_key().private_numbers().private_value
    text = urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()

    assert isinstance(WebPush(private_key=text, contact=CONTACT).private_key, Secret)
    for key, contact in (("no key", CONTACT), (text, "push@erp.example")):
        with pytest.raises(ConfigurationError):
            WebPush(private_key=key, contact=contact)


@pytest.mark.parametrize(
    "contact, is_accepted",
    [
        ("mailto:push@erp.example", True),
        ("https://erp.example/team", True),
        ("push@erp.example", False),
        ("mailto:push", False),
        ("http://erp.example/team", False),
        ("https://", False),
        ("https://erp.example/our team", False),
    ],
)
def test_contact_is_a_mailto_or_https_address(contact: str, is_accepted: bool) -> None:
    """A push service reaches the site at a mailto: or an https:// address, and at no other."""
    key = WebPushSandbox().private_key
    if is_accepted:
        assert contact == WebPush(private_key=key, contact=contact).contact
    else:
        with pytest.raises(ConfigurationError) as excinfo:
            WebPush(private_key=key, contact=contact)
        assert "contact" == excinfo.value.path


def test_subscription_is_read_from_a_browsers_json() -> None:
    """A subscription is read from the browser's JSON; a damaged subscription is refused."""
    keys = {"p256dh": POINT, "auth": AUTH}
    fields = {"endpoint": "https://push.example/s/1", "expirationTime": None, "keys": keys}

    assert subscription() == BrowserSubscription.from_json(json.dumps(fields))
    assert subscription() == BrowserSubscription.from_json(fields)
    for damaged in ("{", "[]", "{}", {**fields, "keys": None}, {**fields, "endpoint": None}):
        with pytest.raises(InvalidData):
            BrowserSubscription.from_json(damaged)
    for endpoint in ("http://push.example/s", "https://a@push.example/s", "https://[/s"):
        with pytest.raises(InvalidData):
            subscription(endpoint)


def test_another_library_decrypts_what_is_sent() -> None:
    """Another library, by an author of the standard, decrypts a notification."""
    http_ece = pytest.importorskip("http_ece", reason="install http_ece")
    browser = ec.generate_private_key(ec.SECP256R1())
    point = browser.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    recipient = subscription(point=urlsafe_b64encode(point).rstrip(b"=").decode())
    content = "Ware eingetroffen: 3 × Größe M".encode()
    sender = Sender(ec.generate_private_key(ec.SECP256R1()), b"0123456789abcdef")

    body = encrypted_record(content, recipient, sender)

    assert content == http_ece.decrypt(
        body, private_key=browser, auth_secret=decode_base64url(AUTH), version="aes128gcm"
    )


def test_key_pair_of_a_notification_is_below_the_order_of_its_curve() -> None:
    """A notification's key pair and salt are derived by HKDF, and reduced by the order of P-256."""
    order = 115792089210356248762697446949407573529996955224135760342422259061068512044369
    parts = b"".join(sha256(part).digest() for part in (b"a", b"b"))
    seed = digest(b"secret", parts, "sha256")
    content = HKDF(SHA256(), 64, salt=b"", info=b"moorage web push").derive(seed)

    sender = Sender.derived(Secret("secret"), b"a", b"b")

    assert content[:16] == sender.salt
    number = int.from_bytes(content[16:], "big") % (order - 1) + 1
    assert number == sender.key.private_numbers().private_value
