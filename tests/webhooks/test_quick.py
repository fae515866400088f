"""The fast webhook verifier accepts exactly the same webhooks as the full verifier."""

# ruff: noqa: D102 - what a verifier is given, and its two ways

from __future__ import annotations

import asyncio
import copy
import hmac
import pickle
import random
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage import (
    CredentialNotFound,
    Secret,
    WebhookEvent,
    WebhookReceived,
    WebhookRejected,
    WebhookScheme,
    WebhookVerifier,
)
from moorage.adapters.webhook_secrets import StaticWebhookSecrets
from moorage.domain.webhooks.algorithms import SecretForm, hmac_key
from moorage.domain.webhooks.presets import PRESETS
from moorage.domain.webhooks.quick import quick_verifier
from moorage.testing import RecordingObserver, VirtualClock
from tests.support.examples import examples
from tests.webhooks.fuzzing import mutations
from tests.webhooks.keys import url64
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import SECRET, SentWebhook, b64, mac, millis, stamp
from tests.webhooks.verifiers import IN_BOTH, NOW, Receiver

FAST_PRESETS = (
    "authorize-net", "checkout-com", "easypost", "github", "gitlab", "intercom", "mailersend",
    "paddle", "paystack", "razorpay", "shippo", "shopify", "standard-webhooks", "stripe", "svix",
    "woocommerce",
)  # fmt: skip
GITHUB, STRIPE = BY_NAME["github"], BY_NAME["stripe"]
BODY = b'{"id":"e1","type":"a","n":"\\u00e9 100%"}'


def own_scheme(**fields: Any) -> WebhookScheme:
    """Return a custom webhook scheme."""
    options: dict[str, Any] = {"name": "own", "signature": "{header:X-Sig}"} | fields
    return WebhookScheme(**options)


def hmac_of(content: bytes, name: str = "sha256") -> bytes:
    """Return an HMAC with the test secret."""
    return hmac.digest(SECRET.encode(), content, name)


OWN: dict[str, tuple[WebhookScheme, dict[str, str]]] = {
    "tail": (
        own_scheme(
            signs="%s {body}.{header:X-Tail}%", algorithm="hmac-sha512", encoding="base64url"
        ),
        {"X-Tail": "(50%)", "X-Sig": url64(hmac_of(b"%%s %s.(50%%)%%" % BODY, "sha512"))},
    ),
    "millis": (
        own_scheme(
            signs="{header:X-At}{body}",
            encoding="base64",
            prefix="v2:",
            timestamp="{header:X-At}",
            timestamp_form="milliseconds",
            tolerance=60,
        ),
        {"X-At": millis(NOW), "X-Sig": "v2:" + b64(hmac_of(millis(NOW).encode() + BODY))},
    ),
    "several": (
        own_scheme(signs="{mark:at}|{body}", separator=";", prefix="s=", algorithm="hmac-sha384"),
        {"X-Sig": f"s=0; at=7;s={hmac_of(b'7|' + BODY, 'sha384').hex()} ;x=1"},
    ),
    "any case": (own_scheme(encoding="hex-any-case"), {"X-Sig": hmac_of(BODY).hex()}),
    "raw": (
        own_scheme(body="raw", id="{header:X-Id}", type="fixed"),
        {"X-Sig": hmac_of(BODY).hex(), "X-Id": "7"},
    ),
}


class VerifierPaths:
    """A webhook verifier whose fast and full path can be called separately."""

    def __init__(self, scheme: Any, secret: Any, **more: Any) -> None:
        options: dict[str, Any] = {"replay_guard": False, "clock": VirtualClock(NOW)} | more
        self.verifier = WebhookVerifier(scheme, secret, **options)

    def short(self, sent: dict[str, Any]) -> WebhookEvent | None:
        events = self.verifier._sync_receiving.verify_on_fast_path(  # noqa: SLF001 - what is looked at here
            sent["headers"], sent["body"], None
        )
        return None if events is None else events[0]

    def long(self, sent: dict[str, Any]) -> WebhookEvent:
        headers = sent["headers"]
        pairs = [*headers.items()] if isinstance(headers, dict) else [*headers]
        options: dict[str, Any] = sent | {"headers": iter(pairs)}
        (event,) = self.verifier.verify(**options)
        return event


def is_same_event(one: WebhookEvent, other: WebhookEvent) -> bool:
    """Return whether two webhook events are equal in every field, their claims included."""
    return attrs.asdict(one) == attrs.asdict(other) and one.claim == other.claim


def cases() -> list[tuple[str, VerifierPaths, SentWebhook]]:
    """Return every scheme that has a fast path, with a genuine webhook."""
    short_senders = [(name, BY_NAME[name]) for name in FAST_PRESETS]
    schemes = [
        (
            name,
            VerifierPaths(sender.name, sender.secret, parameters=sender.parameters),
            sender.send(NOW, 7),
        )
        for name, sender in short_senders
    ]
    return schemes + [
        (name, VerifierPaths(scheme, SECRET), SentWebhook(headers=headers, body=BODY))
        for name, (scheme, headers) in OWN.items()
    ]


EVERY_CASE = pytest.mark.parametrize("case", cases(), ids=lambda case: case[0])


def test_presets_with_fast_path_are_exactly_those_that_sign_body_and_headers_by_hmac() -> None:
    """Presets with a fast path are exactly those that sign body and headers by HMAC."""
    short_schemes = {
        name
        for name, scheme in PRESETS.items()
        if quick_verifier(scheme, (Secret("whsec_" + "00" * 24),), {}, scheme.tolerance)
    }
    assert {*FAST_PRESETS} == short_schemes


@EVERY_CASE
def test_fast_path_gives_the_same_event(case: tuple[str, VerifierPaths, SentWebhook]) -> None:
    """A genuine webhook gives the same event on the fast path and in the full verifier."""
    _, ways, sent_request = case
    pairs = sent_request.arguments() | {"headers": [*sent_request.headers.items(), ("Other", "x")]}
    for shape in (sent_request.arguments(), pairs):
        event = ways.short(shape)
        assert event is not None
        assert is_same_event(ways.long(shape), event)


@EVERY_CASE
@examples(30)
@given(seed=st.integers(0, 2**32))
def test_fast_path_accepts_no_more_than_the_full_verifier(
    case: tuple[str, VerifierPaths, SentWebhook], seed: int
) -> None:
    """A damaged webhook that the fast path accepts is accepted by the full verifier too."""
    _, ways, sent_request = case
    generator = random.Random(seed)
    for _ in range(10):
        damaged_arguments: dict[str, Any] = mutations(generator, sent_request).arguments()
        if generator.random() < 0.3:
            damaged_arguments["headers"] = [
                *damaged_arguments["headers"].items(),
                *sent_request.headers.items(),
            ]
            generator.shuffle(damaged_arguments["headers"])
        event = ways.short(damaged_arguments)
        if event is not None:
            assert is_same_event(ways.long(damaged_arguments), event)


@example(key=b"k" * 64, body=b"{}", name="sha256")
@example(key=b"k" * 65, body=b"{}", name="sha256")
@given(
    key=st.binary(min_size=1, max_size=300).filter(
        lambda key: hmac_key(Secret(key), SecretForm.TEXT) is not None
    ),
    body=st.binary(max_size=300),
    name=st.sampled_from(["sha1", "sha256", "sha384", "sha512"]),
)
def test_keys_of_any_length(key: bytes, body: bytes, name: str) -> None:
    """With a key of any length, the fast path computes the standard HMAC."""
    accept = quick_verifier(own_scheme(algorithm=f"hmac-{name}"), (Secret(key),), {}, None)
    assert accept is not None
    signature = hmac.digest(key, body, name).hex()

    assert accept({"X-Sig": signature}, body, 0.0)
    assert not accept({"X-Sig": signature}, body + b"x", 0.0)
    assert not accept({"X-Sig": signature.upper() + "x"}, body, 0.0)


def test_valid_signature_among_several_in_webhook_header_is_accepted_in_any_position() -> None:
    """A valid signature among several in a webhook header is accepted in any position."""
    accept = quick_verifier(own_scheme(separator=","), (Secret(SECRET),), {}, None)
    assert accept is not None
    signature = hmac.digest(SECRET.encode(), b"{}", "sha256").hex()

    assert accept({"X-Sig": f"{signature},other"}, b"{}", 0.0)
    assert accept({"X-Sig": f"other,{signature}"}, b"{}", 0.0)
    assert not accept({"X-Sig": "other,another"}, b"{}", 0.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"algorithm": "token"},
        {"algorithm": "ed25519"},
        {"algorithm": "jwt-hs256"},
        {"signature": "{json:sig}"},
        {"signature": "v={header:X-Sig}"},
        {"signature": "{query:sig}"},
        {"signature": ("{header:A}", "{header:B}")},
        {"signs": ("{body}", "{url}{body}")},
        {"signs": "{url}{body}"},
        {"signs": "{body}{body}"},
        {"signs": "{header:X-A?}{body}"},
        {"signs": "{body_sha256}"},
        {"signs": "{json:id}"},
        {"signs": "{mark:t}{body}"},
        {"signs": "{mark:t}{body}", "prefix": "s="},
        {"signs": "{mark:t}{mark:u}{body}", "separator": ","},
        {"signs": "{mark:t}{mark:u}{body}", "separator": ",", "prefix": "s="},
        {"signs": "{mark:v1}{body}", "separator": ",", "prefix": "v1="},
        {"signs": "{mark:v1}{body}", "separator": ","},
        {"signs": "{mark:a b}{body}", "separator": ",", "prefix": "s="},
        {"signs": "{header:X(A)}{body}"},
        {"repeats": True},
        {"requires": {"{header:X-V}": "2"}},
        {"items": "."},
        {"handshake": "slack"},
        {"key_id": "{header:X-Key}"},
        {"digest": "{header:X-Digest}"},
        {"id": "{query:id}"},
        {"type": "{url}"},
        {"time": "{claim:iat}"},
        {"timestamp": "{header:X-At}", "tolerance": 5, "timestamp_form": "iso"}
        | {"signs": "{header:X-At}{body}"},
        {"timestamp": "{json:at}", "tolerance": 5},
        {"timestamp": "{header:X-A}{header:X-B}", "tolerance": 5}
        | {"signs": "{header:X-A}{header:X-B}{body}"},
    ],
    ids=repr,
)
def test_complex_schemes_have_no_fast_path(fields: dict[str, Any]) -> None:
    """Webhook schemes with more features have no fast path, and use the full verifier."""
    assert quick_verifier(own_scheme(**fields), (Secret(SECRET),), {}, 5.0) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda headers: {**headers, "x-HUB-signature-256": headers["X-Hub-Signature-256"]},
        lambda headers: {name.encode(): value for name, value in headers.items()},
        lambda headers: {name: [value] for name, value in headers.items()},
        lambda headers: [(name.encode(), value.encode()) for name, value in headers.items()],
        lambda headers: tuple(headers.items()),
        lambda headers: {**headers, "X-GitHub-Delivery": "é"},
    ],
    ids=["twice", "bytes", "lists", "pairs of bytes", "a tuple", "latin"],
)
def test_unusual_headers_use_the_full_verifier(change: Any) -> None:
    """A webhook with unusual headers is left to the full verifier, not refused."""
    sent_request = GITHUB.send(NOW, 1)
    ways = VerifierPaths("github", SECRET)
    options = sent_request.arguments() | {"headers": change(sent_request.headers)}

    assert ways.short(options) is None
    assert ways.verifier.verify(**options)


def test_capital_letters_of_a_signature_use_the_full_verifier() -> None:
    """A signature in capital letters is left to the full verifier, which accepts it."""
    ways = VerifierPaths(own_scheme(encoding="hex-any-case"), SECRET)
    headers = {"X-Sig": hmac_of(BODY).hex().upper()}
    options: dict[str, Any] = {"headers": headers, "body": BODY}

    assert ways.short(options) is None
    assert ways.verifier.verify(**options)


@pytest.mark.parametrize(
    "stamps, good",
    [
        (str, True),
        (lambda now: f"{now - 299}", True),
        (lambda now: f"{now + 299}", True),
        (lambda now: f"{now - 301}", False),
        (lambda now: f"{now + 301}", False),
        (lambda now: f"-{now}", False),
        (lambda now: f"+{now}", False),
        (lambda now: f"{now}.0", False),
        (lambda now: f" {now}", False),
        (lambda now: f"{now}_0", False),
        (lambda now: "9" * 400, False),
        (lambda now: "".join(chr(0x660 + int(digit)) for digit in str(now)), False),
        (lambda now: "\u00b2" * 10, False),
        (lambda now: "", False),
    ],
)
def test_fast_path_accepts_only_timestamp_in_plain_digits_that_is_within_tolerance(
    stamps: Any, good: bool
) -> None:
    """The fast path accepts only a timestamp in plain digits that is within the tolerance."""
    text = stamps(int(stamp(NOW)))
    signature = hmac_of(f"{text}.".encode() + BODY).hex()
    webhook_arguments: dict[str, Any] = {
        "headers": {"Stripe-Signature": f"t={text},v1={signature}"},
        "body": BODY,
    }
    ways = VerifierPaths("stripe", SECRET)

    assert good == (ways.short(webhook_arguments) is not None)
    if good:
        assert ways.verifier.verify(**webhook_arguments)
    else:
        with pytest.raises(WebhookRejected):
            ways.verifier.verify(**webhook_arguments)


# --- lazily parsed events -----------------------------------------------------------------


def unread_event(**more: Any) -> WebhookEvent:
    """Return a lazily parsed event of which no field has been read."""
    sent_request = STRIPE.send(NOW, 1)
    (event,) = VerifierPaths("stripe", SECRET, **more).verifier.verify(
        headers=sent_request.headers, body=sent_request.body, tenant=None
    )
    return event


def test_lazy_events_are_values() -> None:
    """A lazily parsed event is equal to a parsed one, and prints, copies and pickles like it."""
    read = unread_event()
    assert read.type
    assert read == unread_event()
    assert unread_event() == read
    assert hash(read.id) == hash(unread_event().id)
    assert repr(read) == repr(unread_event())
    assert is_same_event(read, pickle.loads(pickle.dumps(unread_event())))  # noqa: S301 - our own
    assert is_same_event(read, copy.copy(unread_event()))
    assert is_same_event(read, copy.deepcopy(unread_event()))
    assert "x" == attrs.evolve(unread_event(), id="x").id
    assert not unread_event().is_handshake
    for event in (
        read,
        unread_event(),
        WebhookEvent(vendor="a", id="b", type="c", vendor_type="d"),
    ):
        for name in ("nothing", "_later_on", "__html__"):
            with pytest.raises(AttributeError, match=name):
                getattr(event, name)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            event.id = "x"  # type: ignore[misc]  # that is refused


@pytest.mark.parametrize("first", [field.name for field in attrs.fields(WebhookEvent)])
def test_lazy_fields_in_any_order(first: str) -> None:
    """A lazily parsed event has the same values, whichever field is read first."""
    event, other_event = unread_event(), unread_event()
    assert other_event.payload
    assert getattr(other_event, first) == getattr(event, first)
    assert is_same_event(other_event, event)


def test_lazy_events_ignore_later_header_changes() -> None:
    """A lazily parsed event has the headers as verified, not as changed later."""
    sent_request = GITHUB.send(NOW, 1)
    headers = dict(sent_request.headers)
    (event,) = VerifierPaths("github", SECRET).verifier.verify(
        headers=headers, body=sent_request.body
    )
    headers.update(dict.fromkeys(headers, "other"))

    assert sent_request.headers["X-GitHub-Delivery"] == event.id
    assert event.type


@pytest.mark.parametrize("name", ["own", "form"])
def test_unreadable_lazy_events_raise_when_read(name: str) -> None:
    """Without a replay guard, an unreadable webhook body raises when a field is read."""
    scheme = own_scheme(name=name, body="json" if name == "own" else "either")
    body = b"{" if name == "own" else b"%ff=%ff"
    options: dict[str, Any] = {"headers": {"X-Sig": hmac_of(body).hex()}, "body": body}
    (event,) = VerifierPaths(scheme, SECRET, name="shop").verifier.verify(**options)
    for _ in range(2):
        for field in ("payload", "data", "id"):
            with pytest.raises(WebhookRejected) as excinfo:
                getattr(event, field)
            assert ("malformed", "shop") == (excinfo.value.reason, excinfo.value.service)
    (async_event,) = asyncio.run(VerifierPaths(scheme, SECRET).verifier.averify(**options))
    with pytest.raises(WebhookRejected):
        _ = async_event.payload
    with pytest.raises(WebhookRejected):
        VerifierPaths(scheme, SECRET, replay_guard=True).verifier.verify(**options)
    odd_scheme = own_scheme(id="{json:a}.{json:b}")
    body = b'{"a":"\\ud800","b":1}'
    (event,) = VerifierPaths(odd_scheme, SECRET).verifier.verify(
        headers={"X-Sig": hmac_of(body).hex()}, body=body
    )
    assert event.payload
    with pytest.raises(WebhookRejected) as excinfo:
        _ = event.id
    assert "own" == excinfo.value.service


# --- secrets and observers --------------------------------------------------------------------


@IN_BOTH
def test_fast_path_emits_events(is_async: bool) -> None:
    """Observers get one event for each webhook, on the fast path and in the full verifier."""
    observer = RecordingObserver()
    receiver = Receiver.of(GITHUB, observers=[observer], is_async=is_async)
    receiver.verify(GITHUB.send(NOW, 1))

    (result,) = observer.events
    assert isinstance(result, WebhookReceived)
    assert 1 == result.events


@IN_BOTH
def test_fast_path_uses_the_tenants_secrets(is_async: bool) -> None:
    """On the fast path, a tenant's webhook is verified with that tenant's secrets only."""
    secrets = StaticWebhookSecrets({None: "another secret", "acme": [SECRET, "old"], "b": "third"})
    receiver = Receiver("github", secrets, replay_guard=False, is_async=is_async)
    sent_request = GITHUB.send(NOW, 1)
    for _ in range(2):
        assert "acme" == receiver.verify(sent_request, tenant="acme")[0].tenant
        for other_tenant in (None, "b"):
            assert "signature" == receiver.reason_of_refusal(sent_request, tenant=other_tenant)
        with pytest.raises(CredentialNotFound):
            receiver.verify(sent_request, tenant="nobody")


def test_secrets_of_provider_that_may_change_are_read_again_for_each_webhook() -> None:
    """Secrets of a provider that may change are read again for each webhook."""

    class ChangingSecrets(StaticWebhookSecrets):
        """A secret provider whose secrets the test replaces."""

        def get(self, name: str, tenant: str | None, _: str | None, /) -> tuple[Secret, ...]:
            return held_secrets

    held_secrets = (Secret(SECRET),)
    verifier = VerifierPaths("github", ChangingSecrets({None: "unused"})).verifier
    webhook_arguments = GITHUB.send(NOW, 1).arguments()
    assert verifier.verify(**webhook_arguments)
    held_secrets = (Secret("another secret"),)
    with pytest.raises(WebhookRejected):
        verifier.verify(**webhook_arguments)
    assert asyncio.run(_is_refused(verifier, webhook_arguments))


async def _is_refused(verifier: WebhookVerifier, sent: dict[str, Any]) -> bool:
    with pytest.raises(WebhookRejected):
        await verifier.averify(**sent)
    return True


def test_parameter_in_signature_prefix_is_filled_in() -> None:
    """On the fast path, a parameter in the signature's prefix is filled in."""
    scheme = own_scheme(prefix="{key}|")
    ways = VerifierPaths(scheme, SECRET, parameters={"key": "k1"})
    webhook_arguments = {"headers": {"X-Sig": f"k1|{mac(SECRET, BODY).hex()}"}, "body": BODY}
    event = ways.short(webhook_arguments)
    assert event is not None
    assert is_same_event(ways.long(webhook_arguments), event)


@pytest.mark.parametrize("tolerance, delay", [(60.0, 59.9995), (60.0, 60.0005), (0.0, 0.5)])
def test_times_near_the_tolerance_use_the_full_verifier(tolerance: float, delay: float) -> None:
    """A webhook time at the edge of the tolerance is left to the full verifier."""
    scheme, headers = OWN["millis"]
    accept = quick_verifier(scheme, [Secret(SECRET)], {}, tolerance)

    assert accept is not None
    for offset in (delay, -delay):
        assert accept(headers, BODY, NOW.timestamp() + offset) is None
    if tolerance:
        assert accept(headers, BODY, NOW.timestamp() + tolerance - 0.01)
