"""Verification: downgrades, batches, replays, and the verifier's parameters."""

from __future__ import annotations

import asyncio
import json
import math
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    ConfigurationError,
    CredentialNotFound,
    InvalidData,
    Secret,
    WebhookReceived,
    WebhookRefused,
    WebhookRejected,
    WebhookScheme,
    WebhookVerifier,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.webhook_secrets import AsyncStaticWebhookSecrets, StaticWebhookSecrets
from moorage.domain.webhooks.presets import preset
from moorage.testing import RecordingObserver, VirtualClock
from tests.support.timed_store import TimedStorage
from tests.webhooks import keys
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import (
    ARN,
    HEX,
    SECRET,
    WHSEC,
    SentWebhook,
    adyen_item,
    as_json,
    b64,
    digest_claims,
    mac,
    paypal,
    sns,
)
from tests.webhooks.world import IN_BOTH, NOW, Receiver

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command

GITHUB = BY_NAME["github"]
STRIPE = BY_NAME["stripe"]


# --- weaker ways --------------------------------------------------------------------


def test_a_weaker_signature_is_not_looked_at() -> None:
    """An older header, version or algorithm is a downgrade, however genuine it is."""
    sent_request = GITHUB.send(NOW, 1)
    sha1 = "sha1=" + mac(SECRET, sent_request.body, "sha1").hex()
    receiver = Receiver.of(GITHUB)
    older_request = attrs.evolve(sent_request, headers={"X-Hub-Signature": sha1})
    assert "downgraded" == receiver.reason_of_refusal(older_request)
    instead_request = attrs.evolve(sent_request, headers={"X-Hub-Signature-256": sha1})
    assert "downgraded" == receiver.reason_of_refusal(instead_request)
    assert receiver.verify(
        attrs.evolve(sent_request, headers=sent_request.headers | {"X-Hub-Signature": "sha1=0"})
    )

    sent_request = STRIPE.send(NOW, 1)
    text = sent_request.headers["Stripe-Signature"].replace("v1=", "v0=")
    assert "downgraded" == Receiver.of(STRIPE).reason_of_refusal(
        attrs.evolve(sent_request, headers={"Stripe-Signature": text})
    )
    assert "downgraded" == Receiver.of(BY_NAME["aws-sns"]).reason_of_refusal(sns("1")(NOW, 1))
    headers = paypal(NOW, 1).headers | {"PAYPAL-AUTH-ALGO": "SHA1withRSA"}
    assert "downgraded" == Receiver.of(BY_NAME["paypal"]).reason_of_refusal(
        attrs.evolve(paypal(NOW, 1), headers=headers)
    )


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "es256", None])
def test_a_token_says_nothing_of_how_it_is_signed(algorithm: Any) -> None:
    """Only the scheme's algorithm is used; a token's header cannot choose another."""
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    claims = {"iat": int(NOW.timestamp())}
    value = attrs.evolve(
        sent_request, headers={"Plaid-Verification": keys.token(claims, algorithm)}
    )

    assert "downgraded" == Receiver.of(BY_NAME["plaid"]).reason_of_refusal(value)


def test_a_public_key_is_no_shared_secret() -> None:
    """For tokens with a shared secret, a public key in its place is refused at once."""
    scheme = attrs.evolve(preset("plaid"), algorithm="jwt-hs256")
    pem = keys.rsa_key().public_key().public_bytes(keys.PEM, keys.PUBLIC)
    for key in (keys.jwk(keys.curve()), pem):
        with pytest.raises(ConfigurationError, match="not a key for jwt-hs256"):
            WebhookVerifier(scheme, key)

    receiver = Receiver(scheme, SECRET, replay_guard=False)
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    head, claims, _ = keys.token(digest_claims(NOW, sent_request.body), "HS256").split(".")
    signature = keys.url64(mac(SECRET, f"{head}.{claims}"))
    assert receiver.verify(
        attrs.evolve(sent_request, headers={"Plaid-Verification": f"{head}.{claims}.{signature}"})
    )


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda token: token + ".", "malformed"),
        (lambda token: token.replace(".", "", 1), "malformed"),
        (lambda token: "e30" + token[token.index(".") :], "downgraded"),
        (lambda token: "W10" + token[token.index(".") :], "malformed"),
        (lambda token: "e" + token[token.index(".") :], "malformed"),
        (lambda token: token[:-2], "signature"),
        (lambda token: token[: token.rindex(".") + 1], "signature"),
        (lambda token: "é" + token, "malformed"),
        (lambda token: token + "A" * 20_000, "malformed"),
    ],
)
def test_a_broken_token_is_refused(spoil: Any, reason: str) -> None:
    """A token that is not exactly a token is refused."""
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    token = spoil(sent_request.headers["Plaid-Verification"])
    value = attrs.evolve(sent_request, headers={"Plaid-Verification": token})

    assert reason == Receiver.of(BY_NAME["plaid"]).reason_of_refusal(value)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"request_body_sha256": "0" * 64}, "signature"),
        ({"request_body_sha256": None}, "missing"),
        ({"iat": None}, "missing"),
        ({"iat": "soon"}, "malformed"),
        ({"request_body_sha256": "\ud800"}, "signature"),
        ({"exp": NOW.timestamp() - 400}, "stale"),
        ({"exp": NOW.timestamp() - 300}, None),
        ({"exp": NOW.timestamp() - 301}, "stale"),
        ({"nbf": NOW.timestamp() + 300}, None),
        ({"nbf": NOW.timestamp() + 400}, "future"),
        ({"exp": "never"}, "malformed"),
        ({"exp": None}, "malformed"),
        ({"exp": NOW.timestamp() + 400, "nbf": NOW.timestamp() - 400}, None),
    ],
)
def test_token_claims_are_checked(changes: dict[str, Any], reason: str | None) -> None:
    """A token is valid for its own body, and only during its lifetime."""
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    token = keys.token(digest_claims(NOW, sent_request.body) | changes)
    value = attrs.evolve(sent_request, headers={"Plaid-Verification": token})
    receiver = Receiver.of(BY_NAME["plaid"])

    if reason is None:
        assert receiver.verify(value)
    else:
        assert reason == receiver.reason_of_refusal(value)


@pytest.mark.parametrize("claim, off, reason", [("exp", -1, "stale"), ("nbf", 1, "future")])
def test_without_a_tolerance_a_token_holds_to_the_second(claim: str, off: int, reason: str) -> None:
    """Without a tolerance, a token is refused one second before or after its time."""
    scheme = WebhookScheme(name="own", signature="{header:X-Sig}", algorithm="jwt-es256")
    receiver = Receiver(scheme, keys.jwk(keys.curve()), replay_guard=False)

    def claiming(second: int) -> SentWebhook:
        token = keys.token({claim: int(NOW.timestamp()) + second})
        return SentWebhook(headers={"X-Sig": token}, body=b"{}")

    assert receiver.verify(claiming(0))
    assert reason == receiver.reason_of_refusal(claiming(off))


def test_the_key_of_a_token_is_found_by_its_name() -> None:
    """A token's key is chosen by its name; a token without a name is tried with each key."""
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    own_key, other_key = keys.jwk(keys.curve()), keys.jwk(keys.curve(), "key-2")
    unnamed_key = json.dumps({k: v for k, v in json.loads(own_key).items() if k != "kid"})
    numbered_key = json.dumps(json.loads(own_key) | {"kid": 7})

    for key_sets in ([other_key, own_key], unnamed_key, numbered_key):
        assert Receiver.of(BY_NAME["plaid"], secret=key_sets).verify(sent_request)
    assert "signature" == Receiver.of(BY_NAME["plaid"], secret=other_key).reason_of_refusal(
        sent_request
    )
    token = keys.token(digest_claims(NOW, sent_request.body), key_id=None)
    value = attrs.evolve(sent_request, headers={"Plaid-Verification": token})
    assert Receiver.of(BY_NAME["plaid"], secret=other_key).verify(value)
    critical = keys.token(digest_claims(NOW, sent_request.body))
    head = keys.url64(json.dumps({"alg": "ES256", "crit": ["exp"]}).encode())
    spoiled_request = attrs.evolve(
        sent_request, headers={"Plaid-Verification": head + critical[critical.index(".") :]}
    )
    assert "malformed" == Receiver.of(BY_NAME["plaid"]).reason_of_refusal(spoiled_request)


# --- batches ------------------------------------------------------------------------


def batch(*items: object) -> SentWebhook:
    """A batch of Adyen's."""
    wrapped_items = [{"NotificationRequestItem": item} for item in items]
    return SentWebhook(headers={}, body=as_json({"notificationItems": wrapped_items}))


def test_every_item_of_a_batch_is_verified() -> None:
    """A forged item in any position makes a batch invalid; an empty batch is refused."""
    receiver = Receiver.of(BY_NAME["adyen"], replay_guard=True)
    good_item, forged_item = adyen_item(1), adyen_item(2, merchantReference="another")
    unsigned_item = adyen_item(3, additionalData={})

    assert "signature" == receiver.reason_of_refusal(batch(good_item, forged_item))
    assert "signature" == receiver.reason_of_refusal(batch(forged_item, good_item))
    assert "missing" == receiver.reason_of_refusal(batch(good_item, unsigned_item))
    assert "missing" == receiver.reason_of_refusal(batch())
    assert "malformed" == receiver.reason_of_refusal(
        SentWebhook(headers={}, body=b'{"notificationItems":{}}')
    )
    assert "malformed" == receiver.reason_of_refusal(
        SentWebhook(headers={}, body=b'{"notificationItems":[{}]}')
    )
    assert 2 == len(receiver.verify(batch(good_item, good_item, adyen_item(4))))


@IN_BOTH
def test_handled_items_of_a_batch_are_left_out(awaited: bool) -> None:
    """Handled items are left out; a batch with an item in progress is refused for now."""
    receiver = Receiver.of(BY_NAME["adyen"], replay_guard=True, awaited=awaited)
    first, second, third = (adyen_item(number) for number in (1, 2, 3))
    held_events = receiver.verify(batch(first))
    with pytest.raises(WebhookRejected) as excinfo:
        receiver.verify(batch(second, first))
    assert excinfo.value.retryable

    receiver.done(held_events)
    assert 1 == len(receiver.verify(batch(first, second)))
    assert 1 == len(receiver.verify(batch(third)))


# --- each delivery once -------------------------------------------------------------


@IN_BOTH
def test_a_claim_is_a_lease(awaited: bool) -> None:
    """After a crash while handling, the vendor's next attempt is accepted; after success not."""
    receiver = Receiver.of(GITHUB, replay_guard=True, handling=60, remembered=600, awaited=awaited)
    sent_request = GITHUB.send(NOW, 1)
    receiver.verify(sent_request)
    with pytest.raises(WebhookRejected, match="is being handled") as excinfo:
        receiver.verify(sent_request)
    assert excinfo.value.retryable
    assert "Do not act on it again" in excinfo.value.remedy
    receiver.clock.advance(61)

    receiver.done(receiver.verify(sent_request))
    receiver.clock.advance(61)
    with pytest.raises(WebhookRejected, match="was handled before") as excinfo:
        receiver.verify(sent_request)
    assert excinfo.value.retryable is False
    receiver.clock.advance(600)
    (event,) = receiver.verify(sent_request)
    receiver.release(event)
    assert receiver.verify(sent_request)


@pytest.mark.parametrize("name", [name for name in BY_NAME if preset(name).tolerance is not None])
def test_a_delivery_is_remembered_as_long_as_its_time_is_accepted(name: str) -> None:
    """A delivery that was accepted as early as possible is still known as late as possible."""
    tolerance = preset(name).tolerance or 0.0
    sender, receiver = BY_NAME[name], Receiver.of(BY_NAME[name], replay_guard=True)
    sent_request = sender.send(NOW + timedelta(seconds=tolerance), 1)
    receiver.done(receiver.verify(sent_request))
    receiver.clock.advance(2 * tolerance)

    assert "replayed" == receiver.reason_of_refusal(sent_request)


@pytest.mark.parametrize("name, least", [("paypal", 2 * 73 * 3_600), ("stripe", 600)])
def test_remembering_for_less_than_a_delivery_is_accepted_is_refused(name: str, least: int) -> None:
    """A guard with a shorter memory than the time tolerance is refused."""
    sender = BY_NAME[name]
    for remembered in (least, timedelta(seconds=least - 1)):
        with pytest.raises(ConfigurationError, match="could be handled twice") as excinfo:
            Receiver.of(sender, replay_guard=True, remembered=remembered)
        assert "remembered" == excinfo.value.path

    Receiver.of(sender, replay_guard=True, remembered=least + 60)
    Receiver.of(sender, replay_guard=True, remembered=80, tolerance=10)
    Receiver.of(sender, replay_guard=False, remembered=1)


def test_a_tolerance_of_a_lifetime_is_remembered_for_a_lifetime() -> None:
    """The longest duration there is bounds how long a delivery is remembered too."""
    century = timedelta(days=36_500)
    receiver = Receiver.of(STRIPE, replay_guard=True, tolerance=century, remembered=century)

    assert 1 == len(receiver.verify(STRIPE.send(NOW, 1)))


@IN_BOTH
def test_deliveries_can_be_remembered_for_ever(awaited: bool) -> None:
    """With a shared store, a delivery without a signed time can be refused for ever."""
    clock = VirtualClock(NOW)
    store = (AsyncMemoryStorage if awaited else MemoryStorage)(clock=clock)
    receiver = Receiver.of(
        GITHUB, replay_guard=True, remembered=math.inf, storage=store, awaited=awaited
    )
    sent_request = GITHUB.send(NOW, 1)
    receiver.done(receiver.verify(sent_request))
    clock.advance(50 * 365 * 86_400)

    assert "replayed" == receiver.reason_of_refusal(sent_request)


def test_remembering_for_ever_needs_a_store() -> None:
    """A guard that remembers webhooks forever needs a store outside the process."""
    with pytest.raises(ConfigurationError, match="memory of one process") as excinfo:
        Receiver.of(GITHUB, replay_guard=True, remembered=math.inf)
    assert "remembered" == excinfo.value.path


class Remembering(MemoryStorage):
    """A store that records its requests."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.commands: list[Any] = []

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Remember it, and do it."""
        self.commands.append(command)
        return super().execute(command, timeout)


def test_claim_names_the_endpoint() -> None:
    """A claim names the endpoint, and its key is unique to it."""
    store = Remembering(VirtualClock(NOW))
    receiver = Receiver.of(GITHUB, name="hub", replay_guard=True, handling=60, storage=store)
    receiver.verify(GITHUB.send(NOW, 1))

    (claim,) = store.commands
    assert (b"webhook", "hub", 0) == (claim.fingerprint, claim.target, claim.remembered)
    assert 60 * 10**6 == claim.lease
    assert "webhook" in claim.keys[0].split(":")


@IN_BOTH
def test_receive_settles_by_how_it_ends(awaited: bool) -> None:
    """A body that ends is done; one that raises gives the delivery back."""
    receiver = Receiver.of(GITHUB, replay_guard=True, awaited=awaited)
    sent_request = GITHUB.send(NOW, 1)

    def receive_once(error: Exception | None) -> None:
        if not awaited:
            with receiver.verifier.receive(**sent_request.arguments()) as events:
                assert events
                if error:
                    raise error
            return

        async def receive_async() -> None:
            async with receiver.verifier.receive(**sent_request.arguments()) as events:
                assert events
                if error:
                    raise error

        asyncio.run(receive_async())

    with pytest.raises(KeyError):
        receive_once(KeyError())
    receive_once(None)
    assert "replayed" == receiver.reason_of_refusal(sent_request)


def test_events_that_were_not_claimed_need_not_be_settled() -> None:
    """Without a replay guard, settling an event does nothing."""
    receiver = Receiver.of(GITHUB)
    events = receiver.verify(GITHUB.send(NOW, 1))
    receiver.done(events)
    receiver.done(attrs.evolve(events[0], claim=None))

    assert receiver.verify(GITHUB.send(NOW, 1))
    assert () == Receiver.of(BY_NAME["xero"], replay_guard=True).verify(
        SentWebhook(
            headers={"x-xero-signature": b64(mac(SECRET, b'{"events":[]}'))}, body=b'{"events":[]}'
        )
    )


@pytest.mark.parametrize("name", ["github", "adyen"])
def test_no_store_access_without_the_replay_guard(name: str) -> None:
    """Without the replay guard the store is never used."""
    sender = BY_NAME[name]
    store = Remembering(VirtualClock(NOW))
    receiver = Receiver.of(sender, storage=store)

    receiver.done(receiver.verify(sender.send(NOW, 1)))

    assert [] == store.commands


# --- what a verifier is told --------------------------------------------------------


class Changing:
    """Secrets that change while a verifier lives."""

    def __init__(self, *secrets: str) -> None:
        self.secrets = [Secret(secret) for secret in secrets]
        self.asked: list[tuple[str, str | None, str | None]] = []

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> list[Secret]:
        """The secrets of now."""
        self.asked.append((name, tenant, key_id))
        return [Secret(secret.reveal()) for secret in self.secrets]


def test_secrets_may_come_from_a_provider() -> None:
    """The provider is called for each verification, with the tenant and the key id."""
    provider = Changing("another", SECRET)
    receiver = Receiver.of(GITHUB, secret=provider, name="hub")
    sent_request = GITHUB.send(NOW, 1)
    (event,) = receiver.verify(sent_request, tenant="acme")
    assert "acme" == event.tenant
    receiver.verify(sent_request, tenant="acme")
    assert [("hub", "acme", None)] * 2 == provider.asked

    provider.secrets = [Secret("another")]
    assert "signature" == receiver.reason_of_refusal(sent_request, tenant="acme")
    provider.secrets = [Secret(" ")]
    with pytest.raises(ConfigurationError, match="is empty"):
        receiver.verify(sent_request, tenant="acme")
    provider.secrets = []
    with pytest.raises(ConfigurationError, match="has none") as excinfo:
        receiver.verify(sent_request, tenant="other")
    assert "webhook_secrets" == excinfo.value.path
    assert "Give the secret that the vendor shows for this endpoint." == excinfo.value.remedy
    named_receiver = Receiver.of(BY_NAME["plaid"], secret=provider)
    assert "signature" == named_receiver.reason_of_refusal(BY_NAME["plaid"].send(NOW, 1))
    assert ("plaid", None, "key-1") == provider.asked[-1]


def test_cached_keys_are_bounded() -> None:
    """Only a limited number of keys is cached."""
    provider = Changing(keys.jwk(keys.curve()).replace('"kid": "key-1", ', ""))
    receiver = Receiver.of(BY_NAME["plaid"], secret=provider)
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    for number in range(1_010):
        token = keys.token(digest_claims(NOW, sent_request.body), key_id=f"{number}")
        receiver.verify(attrs.evolve(sent_request, headers={"Plaid-Verification": token}))

    cached_keys: Any = receiver.verifier._plainly._keys  # noqa: SLF001 - what is kept is not public
    assert len(cached_keys) == 1_000


def test_each_tenant_has_its_own_secrets() -> None:
    """A tenant's webhook is refused with another tenant's secret, or without a secret."""
    tenant_secrets: dict[str | None, Any] = {"acme": SECRET, "other": "another secret"}
    receiver = Receiver.of(GITHUB, secret=StaticWebhookSecrets(tenant_secrets))
    sent_request = GITHUB.send(NOW, 1)

    assert receiver.verify(sent_request, tenant="acme")
    assert "signature" == receiver.reason_of_refusal(sent_request, tenant="other")
    for tenant in (None, "third"):
        with pytest.raises(CredentialNotFound):
            receiver.verify(sent_request, tenant=tenant)
    with pytest.raises(CredentialNotFound):
        Receiver.of(GITHUB).verify(sent_request, tenant="acme")
    assert Receiver.of(GITHUB, secret=StaticWebhookSecrets({None: SECRET}), awaited=True).verify(
        sent_request
    )
    with pytest.raises(ConfigurationError, match="accept any sender"):
        StaticWebhookSecrets({None: SECRET, "acme": " "})


def test_a_provider_has_a_mode() -> None:
    """A provider of the other mode (synchronous or asynchronous) is refused."""
    sent_request = GITHUB.send(NOW, 1)
    async_secrets = AsyncStaticWebhookSecrets({None: SECRET})
    assert Receiver.of(GITHUB, secret=async_secrets, awaited=True).verify(sent_request)
    with pytest.raises(ConfigurationError, match=r"AsyncStaticWebhookSecrets .* a synchronous"):
        Receiver.of(GITHUB, secret=async_secrets).verify(sent_request)
    with pytest.raises(ConfigurationError, match=r"Changing .* an asynchronous"):
        Receiver.of(GITHUB, secret=Changing(SECRET), awaited=True).verify(sent_request)


def test_parameters_are_those_of_the_scheme() -> None:
    """The parameters must be those of the scheme, and not empty."""
    for value in ({}, {"webhook_id": " "}, {"webhook_id": "1", "other": "2"}, {"webhook_id": 7}):
        with pytest.raises(ConfigurationError, match="are not those of the scheme"):
            WebhookVerifier("paypal", parameters=value)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigurationError, match="are not those of the scheme"):
        WebhookVerifier("meta", SECRET, parameters={"verify_token": ""})
    with pytest.raises(ConfigurationError, match="is not a webhook scheme"):
        WebhookVerifier("strype", SECRET)
    with pytest.raises(ConfigurationError, match="is not a webhook scheme"):
        WebhookVerifier(7, SECRET)  # type: ignore[arg-type]  # on purpose


def test_the_tolerance_can_be_another() -> None:
    """The tolerance can be set if the scheme signs a time, and not otherwise."""
    receiver = Receiver.of(STRIPE, tolerance=timedelta(seconds=10))
    assert "stale" == receiver.reason_of_refusal(STRIPE.send(NOW - timedelta(seconds=12), 1))
    with pytest.raises(ConfigurationError, match="signs no time"):
        WebhookVerifier("github", SECRET, tolerance=5)


@pytest.mark.parametrize(
    "off, reason, remedy", [(-301, "stale", "webhooks sooner"), (301, "future", "it again later")]
)
def test_time_errors_name_the_endpoint_and_the_remedy(off: int, reason: str, remedy: str) -> None:
    """A refusal for its time names the endpoint, and a remedy for genuine webhooks."""
    receiver = Receiver.of(STRIPE, name="shop")
    with pytest.raises(WebhookRejected) as excinfo:
        receiver.verify(STRIPE.send(NOW + timedelta(seconds=off), 1))

    assert (reason, "shop") == (excinfo.value.reason, excinfo.value.service)
    assert "set this machine's clock" in excinfo.value.remedy
    assert excinfo.value.remedy.endswith(f"or handle {remedy}.")


@pytest.mark.parametrize(
    "stamp", ["", "now", "1e9", "-5", "\uff11\uff19", "9" * 39, "9" * 60, "1700000000.5", " 1"]
)
def test_a_time_is_whole_seconds(stamp: str) -> None:
    """A time that is written in another way is refused, though it is signed."""
    body = b"{}"
    signature = mac(SECRET, stamp.encode() + b"." + body).hex()
    sent_request = SentWebhook(headers={"Stripe-Signature": f"t={stamp},v1={signature}"}, body=body)

    assert Receiver.of(STRIPE).reason_of_refusal(sent_request) in {"malformed", "stale", "future"}


def test_urls_behind_a_proxy() -> None:
    """Behind a proxy the origin can be set; ports and escapes may vary."""
    square = BY_NAME["square"]
    sent_request = square.send(NOW, 1)
    inner_request = attrs.evolve(sent_request, url="http://10.0.0.1:8000/hooks?shop=1")
    assert Receiver.of(square, origin="https://shop.example").verify(inner_request)
    assert "signature" == Receiver.of(square).reason_of_refusal(inner_request)
    with pytest.raises(InvalidData, match="no URL was given"):
        Receiver.of(square).verify(sent_request.arguments() | {"url": None})

    twilio = BY_NAME["twilio"]
    for url in ("https://shop.example:443/hooks?shop=1", "https://shop.example:8443/hooks?shop=1"):
        assert Receiver.of(twilio).verify(attrs.evolve(twilio.send(NOW, 1), url=url))
    form = twilio.send(NOW, 1)
    for url in ("https://shop.example:443/a", "http://shop.example:80/a"):
        plain_text = url.replace(":443", "").replace(":80", "")
        content = url + "".join(
            name + value
            for name, value in sorted(
                {"MessageSid": "SM1", "MessageStatus": "delivered", "From": "+15005550006"}.items()
            )
        )
        headers = form.headers | {"X-Twilio-Signature": b64(mac(SECRET, content, "sha1"))}
        assert Receiver.of(twilio).verify(attrs.evolve(form, headers=headers, url=plain_text))

    hubspot = BY_NAME["hubspot"]
    response = hubspot.send(NOW, 1)
    time = response.headers["X-HubSpot-Request-Timestamp"]
    signed_bytes = mac(SECRET, b"POSThttps://shop.example/a:b@c" + response.body + time.encode())
    headers = response.headers | {"X-HubSpot-Signature-v3": b64(signed_bytes)}
    escaped = "https://shop.example/a%3Ab%40c"
    assert Receiver.of(hubspot).verify(attrs.evolve(response, headers=headers, url=escaped))


def test_a_body_that_is_no_form_is_signed_by_its_digest() -> None:
    """Twilio's JSON is covered by the digest in the URL, which is required."""
    twilio = BY_NAME["twilio"]
    receiver = Receiver.of(twilio)
    url = "https://shop.example/a"
    headers = {"X-Twilio-Signature": b64(mac(SECRET, url, "sha1"))}
    assert "missing" == receiver.reason_of_refusal(
        SentWebhook(headers=headers, body=b"{}", url=url)
    )
    assert "signature" == receiver.reason_of_refusal(
        SentWebhook(headers=headers, body=b"a=b", url=url)
    )
    result = receiver.verify(SentWebhook(headers=headers, body=b"", url=url, method="GET"))
    assert {} == result[0].payload
    url += "?MessageStatus=sent&bodySHA256=" + "0" * 64
    headers = {"X-Twilio-Signature": b64(mac(SECRET, url, "sha1"))}
    assert "signature" == receiver.reason_of_refusal(
        SentWebhook(headers=headers, body=b"{}", url=url)
    )


def test_a_form_that_is_signed_alike_is_a_replay() -> None:
    """Twilio's forms with the same concatenated text count as the same delivery."""
    twilio = BY_NAME["twilio"]
    receiver = Receiver.of(twilio, replay_guard=True)
    value = twilio.send(NOW, 1)
    receiver.done(receiver.verify(value))
    split = value.body.replace(b"delivered", b"del&ivered=")

    assert "replayed" == receiver.reason_of_refusal(attrs.evolve(value, body=split))


def test_verification_events() -> None:
    """Observers get accepted and refused webhooks, without secrets or bodies."""
    observer = RecordingObserver()
    secrets = StaticWebhookSecrets({"acme": SECRET})
    receiver = Receiver.of(GITHUB, secret=secrets, observers=[observer], name="hub")
    receiver.verify(GITHUB.send(NOW, 1), tenant="acme")
    receiver.clock.advance(5)
    receiver.reason_of_refusal(attrs.evolve(GITHUB.send(NOW, 1), body=b"{}"), tenant="acme")

    event_fields = {"service": "hub", "operation": "github", "tenant": "acme"}
    later_time = NOW + timedelta(seconds=5)
    assert [
        WebhookReceived(at=NOW, events=1, **event_fields),
        WebhookRefused(at=later_time, reason="signature", **event_fields),
    ] == observer.events


def test_an_event_is_of_the_tenant_that_was_named() -> None:
    """An event has the named tenant even if all tenants share a secret."""
    shared_secrets: Any = {None: SECRET, "acme": SECRET}
    verifier = Receiver.of(GITHUB, secret=StaticWebhookSecrets(shared_secrets)).verifier
    webhook_arguments = GITHUB.send(NOW, 1).arguments()
    (plain_event,) = verifier.verify(**webhook_arguments, tenant="acme")
    (async_event,) = asyncio.run(verifier.averify(**webhook_arguments, tenant="acme"))

    assert ("acme", "acme") == (plain_event.tenant, async_event.tenant)


def test_events_have_the_tenant_for_every_scheme() -> None:
    """Observers get the tenant in the full verifier too."""
    observer, twilio = RecordingObserver(), BY_NAME["twilio"]
    secrets = StaticWebhookSecrets({"acme": twilio.secret})
    Receiver.of(twilio, secret=secrets, observers=[observer]).verify(
        twilio.send(NOW, 1), tenant="acme"
    )

    (result,) = observer.events
    assert isinstance(result, WebhookReceived)
    assert "acme" == result.tenant


SECRETS = ["whsec_not base64 hidden", "hidden\n", " hidden", ["hidden", 7], 7]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("name", ["svix", "adyen", "discord", "plaid", "basic-auth"])
def test_no_frame_of_ours_shows_a_secret(name: str, secret: Any) -> None:
    """An invalid secret is refused, and no traceback frame of moorage shows it."""
    with pytest.raises(ConfigurationError) as excinfo:
        WebhookVerifier(name, secret)

    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    moorage_locals = [frame.locals for frame in report.stack if "/moorage/" in frame.filename]
    assert moorage_locals
    assert "hidden" not in repr(moorage_locals) + str(excinfo.value)


def test_no_frame_of_a_refusal_shows_a_secret() -> None:
    """A refused webhook's crash report shows neither the secret nor the verify token."""
    for sender, sent_request in (
        (STRIPE, attrs.evolve(STRIPE.send(NOW, 1), body=b"{}")),
        (
            BY_NAME["meta"],
            SentWebhook(headers={}, body=b"", method="GET", url="https://a/?hub.mode=x"),
        ),
    ):
        parameters = {"verify_token": "hidden-token"} if sender.parameters else {}
        receiver = Receiver.of(sender, parameters=parameters)
        with pytest.raises(WebhookRejected) as excinfo:
            receiver.verify(sent_request)
        report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
        moorage_locals = [
            frame.locals for frame in report.stack if "/src/moorage/" in frame.filename
        ]
        assert moorage_locals
        assert SECRET not in repr(moorage_locals)
        assert "hidden-token" not in repr(moorage_locals)


def test_secret_formats() -> None:
    """Each format of a secret is read as the vendor shows it."""
    assert HEX
    assert ARN
    bare_secret = WHSEC.removeprefix("whsec_").rstrip("=")
    assert Receiver.of(BY_NAME["svix"], secret=bare_secret).verify(BY_NAME["svix"].send(NOW, 1))
    pem = keys.curve().public_key().public_bytes(keys.PEM, keys.PUBLIC)
    sendgrid = BY_NAME["sendgrid"]
    assert Receiver.of(sendgrid, secret=pem).verify(sendgrid.send(NOW, 1))
    binary = Receiver(preset("github"), b"\xff\x00 key ", replay_guard=False)
    body = b'{"a":1}'
    signature = "sha256=" + mac(b"\xff\x00 key ", body).hex()
    assert binary.verify(SentWebhook(headers={"X-Hub-Signature-256": signature}, body=body))


def test_store_hears_how_long_a_delivery_may_take() -> None:
    """The claims of one delivery have ten seconds together, and a moment each after that."""
    clock = VirtualClock(NOW)
    store = TimedStorage(clock)
    verifier = WebhookVerifier("github", SECRET, storage=store, clock=clock)
    sent_request = GITHUB.send(NOW, 1)
    store.slow = 4.0
    events = verifier.verify(headers=sent_request.headers, body=sent_request.body)
    verifier.done((*events, *events, *events, *events))
    assert [10.0, 10.0, 6.0, 2.0, 0.5] == [timeout for _, timeout in store.timeouts]
