"""Webhooks are stored when they arrive, and retried until a handler succeeds."""

from __future__ import annotations

import hmac
from typing import Any

import attrs
import pytest

from moorage import (
    Account,
    ConfigurationError,
    ConnectionFailed,
    Hub,
    InvalidData,
    Money,
    StorageUnavailable,
    WebhookInbox,
    WebhookRejected,
    WebhookVerifier,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.entries.memory import AsyncMemoryInbox, MemoryInbox
from moorage.contracts.payments import Charge
from moorage.contracts.payments.events import PaymentEvent
from moorage.domain.entries.inbox import pack_events
from moorage.domain.state.sealing import sealing_context
from moorage.domain.webhooks.events import WebhookEvent
from moorage.hub.inbox import EntryQuery, EntryState
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.adyen import AdyenSandbox
from moorage.vendors.payments.adyen import Adyen
from tests.entries.shop import Shop, shop
from tests.entries.webhook_handling import FlakyHandler, receive_notice, reference

__all__ = ["shop"]


def test_webhook_is_stored_until_a_handler_succeeds(shop: Shop) -> None:
    """A webhook is stored until a handler for webhooks of its kind has succeeded."""
    seen_events: list[Any] = []
    shop.inbox.on("payments")(lambda event, entry: seen_events.append((event, entry.id)))
    entry = receive_notice(shop, shop.webhook_of_payment())
    assert ("stripe", EntryState.WAITING, 1) == (entry.account, entry.state, entry.number)
    assert f"stripe/{next(iter(shop.stripe.intents))}" == entry.lane
    assert [] == seen_events

    handled_batch = shop.do(shop.inbox.handle)
    assert (1, 0, 0, 0) == (
        handled_batch.done,
        handled_batch.later,
        handled_batch.dead,
        handled_batch.unknown,
    )
    event, id = seen_events[0]
    assert isinstance(event, PaymentEvent)
    assert entry.id == id
    assert 0 == len(shop.do(shop.inbox.handle))


def test_handler_receives_contract_events_or_whole_webhooks_as_it_declares(shop: Shop) -> None:
    """A handler receives either the events of its contract or whole webhooks, as it declares."""
    kinds = ("payments", PaymentEvent, "webhook", WebhookEvent, "email")
    handlers = [FlakyHandler(shop, kind) for kind in kinds]
    receive_notice(shop, shop.webhook_of_payment())
    shop.do(shop.inbox.handle)
    kind = "payment.captured"
    assert [["INV-1"], ["INV-1"], [kind], [kind], []] == [handler.seen for handler in handlers]


def test_unknown_handler_kind_is_refused_with_the_known_kinds(shop: Shop) -> None:
    """An unknown kind is refused, and the error lists the known kinds."""
    with pytest.raises(ConfigurationError, match="'mail' is not a kind of event") as excinfo:
        shop.inbox.on("mail")
    assert "payments" in excinfo.value.remedy


def test_without_handlers_nothing_is_handled(shop: Shop) -> None:
    """Handling webhooks without any handler raises an error, and leaves the webhooks stored."""
    receive_notice(shop, shop.webhook_of_payment())
    with pytest.raises(ConfigurationError, match="no handlers") as excinfo:
        shop.do(shop.inbox.handle)
    assert "handlers" == excinfo.value.path
    assert "Register handlers with `on`" in excinfo.value.remedy
    handling = FlakyHandler(shop)
    assert 1 == shop.do(shop.inbox.handle).done
    assert ["INV-1"] == handling.seen


def test_webhook_of_unknown_type_is_stored(shop: Shop) -> None:
    """A verified webhook of an unknown type is stored, and counts as done without a handler."""
    FlakyHandler(shop)
    shop.stripe.emit_event("planet.discovered", {"id": "p_1", "object": "planet"})
    options = shop.stripe.sent[-1].arguments()
    assert 200 == shop.do(shop.inbox.answer, "stripe", **options).status
    (entry,) = shop.do(shop.inbox.find, EntryQuery()).items
    assert ("planet.discovered", None) == (entry.operation, entry.lane)
    assert 1 == shop.do(shop.inbox.handle).done


def test_webhook_that_cannot_be_interpreted_is_stored_until_the_fault_is_fixed(shop: Shop) -> None:
    """A webhook that cannot be interpreted is stored, and handled after the fault is fixed."""
    understood = shop.hub.events

    def events(*_: Any) -> Any:
        raise KeyError("a field that the vendor has left out")

    shop.hub.events = events
    shop.inbox = shop.inbox_over(shop.received)
    FlakyHandler(shop)
    entry = receive_notice(shop, shop.webhook_of_payment())
    assert (None, None) == (entry.lane, entry.subject)
    assert "KeyError" == shop.do(shop.inbox.handle).worked[0].entry.error
    shop.hub.events = understood
    shop.inbox = shop.inbox_over(shop.received)
    handling = FlakyHandler(shop)
    shop.advance_clock(10)
    assert 1 == shop.do(shop.inbox.handle).done
    assert ["INV-1"] == handling.seen


def test_webhook_with_a_long_resource_name_has_its_own_ordered_group(shop: Shop) -> None:
    """A webhook whose resource name is too long for the store still gets its own ordered group."""
    shop.webhook_of_payment()
    (intent,) = shop.stripe.intents.values()
    shop.stripe.emit_event("payment_intent.succeeded", {**intent, "id": "pi_" + "x" * 300})
    lane = receive_notice(shop, shop.stripe.sent[-1]).lane
    assert 64 == len(lane)


def test_vendor_names_are_made_storable(shop: Shop) -> None:
    """Surrogates and NUL in a vendor's names are replaced, but the webhook's content keeps them."""
    shop.webhook_of_payment()
    (intent,) = shop.stripe.intents.values()
    shop.stripe.emit_event("payment_intent.succeeded", {**intent, "id": "pi_\0"})
    assert 64 == len(receive_notice(shop, shop.stripe.sent[-1]).lane)
    shop.stripe.emit_event("planet.\0\ud800", {"id": "p_1", "object": "planet"})
    entry = receive_notice(shop, shop.stripe.sent[-1])
    assert "planet.??" == entry.operation
    assert "planet.\0\ud800" == shop.inbox.webhooks(entry)[0].type


def test_repeated_webhook_is_recognised_by_its_id(shop: Shop) -> None:
    """A repeated webhook is recognised by its id in any state, and handled only once."""
    handling = FlakyHandler(shop)
    notice = shop.webhook_of_payment()
    first = receive_notice(shop, notice)
    assert first == receive_notice(shop, notice)
    shop.do(shop.inbox.handle)
    assert EntryState.DONE is receive_notice(shop, notice).state
    assert 200 == shop.do(shop.inbox.answer, "stripe", **notice.arguments()).status
    assert 0 == len(shop.do(shop.inbox.handle))
    assert ["INV-1"] == handling.seen


def test_webhook_for_two_tenants_is_stored_as_two_entries(shop: Shop) -> None:
    """A webhook that arrives for two tenants is stored as two entries."""
    options = shop.webhook_of_payment().arguments()
    first = shop.do(shop.inbox.receive, "stripe", **options)
    second = shop.do(shop.inbox.receive, "stripe", tenant="acme", **options)
    assert first.id != second.id
    assert (None, "acme") == (first.tenant, second.tenant)
    assert "acme" == shop.inbox.webhooks(second)[0].tenant


@pytest.mark.parametrize("is_async", [False, True])
def test_webhooks_of_a_tenants_account_belong_to_the_tenant(*, is_async: bool) -> None:
    """A webhook for a tenant's account is stored for that tenant, and refused for others."""
    shop = Shop(is_async=is_async, of="acme")
    options = Shop().webhook_of_payment().arguments()
    assert "acme" == shop.do(shop.inbox.receive, "acme.stripe", **options).tenant
    with pytest.raises(ConfigurationError, match="may not be used by another"):
        shop.do(shop.inbox.receive, "acme.stripe", tenant="another", **options)


def test_webhook_with_a_forged_signature_is_not_stored(shop: Shop) -> None:
    """A webhook with a forged signature is refused and not stored."""
    options = {**shop.webhook_of_payment().arguments(), "body": b"{}"}
    with pytest.raises(WebhookRejected):
        shop.do(shop.inbox.receive, "stripe", **options)
    assert 401 == shop.do(shop.inbox.answer, "stripe", **options).status
    assert () == shop.do(shop.inbox.find, EntryQuery()).items


@pytest.mark.parametrize("is_async", [False, True])
def test_webhooks_are_refused_without_a_secret(*, is_async: bool) -> None:
    """An account without a secret refuses webhooks with a server error."""
    notice = Shop().webhook_of_payment()
    shop = Shop(is_async=is_async, webhook_secrets=[])
    with pytest.raises(ConfigurationError):
        receive_notice(shop, notice)
    assert 500 == shop.do(shop.inbox.answer, "stripe", **notice.arguments()).status
    with pytest.raises(ConfigurationError, match="No account is named 'nobody'"):
        shop.do(shop.inbox.receive, "nobody", **notice.arguments())
    assert () == shop.do(shop.inbox.find, EntryQuery()).items


@pytest.mark.parametrize("is_async", [False, True])
def test_content_is_encrypted_with_a_cipher(*, is_async: bool) -> None:
    """With a cipher the stored content is encrypted, and unreadable without it."""
    cipher = AesGcmCipher(generate_keys())
    shop = Shop(is_async=is_async, cipher=cipher)
    handling = FlakyHandler(shop)
    entry = receive_notice(shop, shop.webhook_of_payment())
    assert b"INV-1" not in entry.content
    assert (
        "INV-1" == shop.inbox.webhooks(entry)[0].payload["data"]["object"]["metadata"]["reference"]
    )
    assert 1 == shop.do(shop.inbox.handle).done
    assert ["INV-1"] == handling.seen
    with pytest.raises(ConfigurationError, match="no cipher") as excinfo:
        Shop(is_async=is_async).inbox.webhooks(entry)
    assert "cipher" == excinfo.value.path
    assert "Set the same cipher in all processes that share the store." == excinfo.value.remedy
    assert b"INV-1" in cipher.open(entry.content[1:], sealing_context(None, "inbox", entry.id))
    for another in ({"id": "another"}, {"tenant": "another"}):
        with pytest.raises(InvalidData):
            shop.inbox.webhooks(attrs.evolve(entry, **another))


def test_content_is_readable_without_a_cipher(shop: Shop) -> None:
    """Without a cipher the stored content is readable, and corrupt content raises an error."""
    entry = receive_notice(shop, shop.webhook_of_payment())
    assert b"INV-1" in entry.content
    (webhook,) = shop.inbox.webhooks(entry)
    assert shop.stripe.sent[-1].body == webhook.body
    for content in (b"\0", b"\0\x02\xc4\x00\x90", b"\0\x01\xc4\x00\x91\x90", b"\0\xff"):
        with pytest.raises(InvalidData, match="cannot be read"):
            shop.inbox.webhooks(attrs.evolve(entry, content=content))


@pytest.mark.parametrize("is_async", [False, True])
def test_function_of_the_host_determines_the_subject_of_a_webhook(*, is_async: bool) -> None:
    """The host's function determines a webhook's subject.

    If the function fails, the webhook is stored anyway.
    """

    def subject_of(event: PaymentEvent) -> str | None:
        return {"INV-1": "customer-1"}[reference(event)]

    shop = Shop(is_async=is_async, subject=subject_of)
    assert "customer-1" == receive_notice(shop, shop.webhook_of_payment()).subject
    unknown_entry = receive_notice(shop, shop.webhook_of_payment("INV-2"))
    assert None is unknown_entry.subject
    assert None is not unknown_entry.lane


@pytest.mark.parametrize("invalid_subject", ["", "x" * 256, 42, "customer\0", "\ud800"])
def test_webhook_is_stored_without_an_invalid_subject(invalid_subject: Any) -> None:
    """A subject that the store cannot hold is omitted, and the webhook is stored."""
    shop = Shop(subject=lambda _: invalid_subject)
    assert 200 == shop.inbox.answer("stripe", **shop.webhook_of_payment().arguments()).status
    (entry,) = shop.inbox.find(EntryQuery()).items
    assert None is entry.subject
    assert None is not entry.lane


@pytest.mark.parametrize("is_async", [False, True])
def test_webhook_about_several_subjects_is_stored_without_one(*, is_async: bool) -> None:
    """A webhook about several subjects is stored without a subject and without an ordered group."""

    def subject_of(event: PaymentEvent) -> str | None:
        return reference(event)

    shop = Shop(is_async=is_async, subject=subject_of)
    understood = shop.hub.events
    notices = [shop.webhook_of_payment("INV-1"), shop.webhook_of_payment("INV-2")]
    reports = [shop.inbox.webhooks(receive_notice(shop, notice))[0] for notice in notices]

    shop.hub.events = lambda account, _: [
        event for report in reports for event in understood(account, report)
    ]
    shop.inbox = shop.inbox_over(MemoryInbox(shop.clock), subject=subject_of)
    shared_entry = receive_notice(shop, notices[0])
    assert (None, None) == (shared_entry.subject, shared_entry.lane)


def test_webhook_that_cannot_be_stored_is_answered_with_503(shop: Shop) -> None:
    """If a webhook cannot be stored, the response makes the vendor repeat it."""
    shop.inbox = shop.inbox_over(MemoryInbox(max_entries=1))
    receive_notice(shop, shop.webhook_of_payment())
    options = shop.webhook_of_payment("INV-2").arguments()
    assert 503 == shop.do(shop.inbox.answer, "stripe", **options).status


def test_foreign_store_errors_become_storage_unavailable(shop: Shop) -> None:
    """Any exception of a store becomes StorageUnavailable, without the original message."""

    class BrokenInbox(MemoryInbox):
        def add(self, *_: Any) -> Any:
            raise RuntimeError("password=hunter2")

    shop.inbox = shop.inbox_over(BrokenInbox())
    with pytest.raises(StorageUnavailable, match="raised RuntimeError") as excinfo:
        receive_notice(shop, shop.webhook_of_payment())
    assert "hunter2" not in str(excinfo.value)
    assert "Check that the store is available. Its" in excinfo.value.remedy


def test_inbox_refuses_a_store_of_the_wrong_mode(shop: Shop) -> None:
    """An inbox refuses a store of the wrong mode (sync or async), and values of other types."""
    other_store: Any = AsyncMemoryInbox() if isinstance(shop.inbox, WebhookInbox) else MemoryInbox()
    with pytest.raises(ConfigurationError, match="but this class needs"):
        type(shop.inbox)(shop.hub, other_store)
    none: Any = object()
    with pytest.raises(ConfigurationError, match="has no `add`"):
        type(shop.inbox)(shop.hub, none)


def _slack(shop: Shop) -> tuple[Any, dict[str, Any]]:
    """Return an inbox for Slack, and Slack's request that verifies the webhook URL."""
    secret = "a secret of sixteen"
    verifier = WebhookVerifier("slack", secret, clock=shop.clock, replay_guard=False)
    body = b'{"type": "url_verification", "challenge": "3eZbrw1aB"}'
    stamp = str(int(shop.clock.utc().timestamp()))
    signed_hmac = hmac.new(secret.encode(), b":".join((b"v0", stamp.encode(), body)), "sha256")
    headers = {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={signed_hmac.hexdigest()}",
    }
    shop.hub.webhooks = lambda *_, **__: verifier
    return shop.inbox, {"headers": headers, "body": body}


def test_handshakes_are_answered_and_not_kept(shop: Shop) -> None:
    """A vendor's request to verify the webhook URL is answered, and not stored."""
    inbox, options = _slack(shop)
    entry = shop.do(inbox.receive, "stripe", **options)
    assert b"3eZbrw1aB" == entry.reply.body
    assert (EntryState.DONE, None) == (entry.state, entry.due)
    assert b"3eZbrw1aB" == shop.do(inbox.answer, "stripe", **options).body
    assert () == shop.do(inbox.find, EntryQuery()).items


def test_worker_follows_link_that_confirms_subscription(shop: Shop) -> None:
    """A worker follows the link that confirms a subscription, and retries if that fails."""
    confirmations: list[str] = []

    def follow(account: str, event: WebhookEvent) -> bool:
        confirmations.append(f"{account} {event.confirm}")
        if len(confirmations) == 1:
            raise ConnectionFailed("The link is down.")
        return True

    FlakyHandler(shop)
    shop.follow_links_with(follow)
    entry = receive_notice(shop, shop.webhook_of_payment())
    (webhook,) = shop.inbox.webhooks(entry)
    confirming = attrs.evolve(webhook, confirm="https://sns.example/confirm")
    content = b"\0" + pack_events([confirming])
    assert shop.received.swap(attrs.evolve(entry, content=content, fence=1), 0)
    assert 1 == shop.do(shop.inbox.handle).later
    shop.advance_clock(10)
    assert 1 == shop.do(shop.inbox.handle).done
    assert ["stripe https://sns.example/confirm"] * 2 == confirmations


class RecordingVerifier:
    """A verifier that accepts every webhook and records it."""

    accepted = ""
    only_hints = False

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def verify(self, **options: Any) -> tuple[WebhookEvent, ...]:
        """Accept and record the webhook."""
        self.given.append(options)
        return (WebhookEvent(vendor="x", id="e1", type="", vendor_type=""),)

    async def averify(self, **options: Any) -> tuple[WebhookEvent, ...]:
        """Accept and record the webhook; asynchronous."""
        return self.verify(**options)


@pytest.mark.parametrize("verb", ["receive", "answer"])
def test_verifier_gets_url_and_method_of_the_request(shop: Shop, verb: str) -> None:
    """The verifier gets the URL and the method of a request, which is POST by default."""
    noting = RecordingVerifier()
    shop.hub.webhooks = lambda *_, **__: noting
    options = {"headers": {"A": "b"}, "body": b"{}"}
    request_options = {"url": "https://erp.example/hooks", "method": "PUT"}

    shop.do(getattr(shop.inbox, verb), "stripe", **options)
    shop.do(getattr(shop.inbox, verb), "stripe", **options, **request_options, tenant="acme")

    assert [
        {**options, "url": None, "method": "POST"},
        {**options, **request_options},
    ] == noting.given
    entries = shop.do(shop.inbox.find, EntryQuery()).items
    assert ["acme", None] == [entry.tenant for entry in entries]


def test_response_has_the_text_that_the_vendor_expects(shop: Shop) -> None:
    """If a vendor expects a certain text in a success response, the response has that text."""
    adyen = AdyenSandbox()
    vendor = Adyen(merchant_account=adyen.merchant_account, credentials=adyen.api_key)
    main = Account("main", vendor, settings={"volatile_keys": True})
    with Hub([main], http=SandboxHttpClient(adyen)) as hub:
        card = '{"type": "scheme", "holderName": "Ada"}'
        url = "https://erp.example/back"
        charge = Charge(Money("149.90", "EUR"), card, reference="INV-1", return_url=url)
        hub.payments().charge(charge, idempotency_key="INV-1")
    verifier = WebhookVerifier("adyen", adyen.hmac_key, replay_guard=False)
    shop.hub.webhooks = lambda *_, **__: verifier

    (notice, *_) = adyen.settle()
    reply = shop.do(shop.inbox.answer, "stripe", **notice.arguments())
    assert (200, b"[accepted]") == (reply.status, reply.body)


def test_batch_without_events_is_answered_and_not_stored(shop: Shop) -> None:
    """A genuine batch without events, such as an endpoint test, is answered but not stored."""
    secret = "a-long-webhook-secret"
    verifier = WebhookVerifier("gocardless", secret, replay_guard=False)
    shop.hub.webhooks = lambda *_, **__: verifier
    body = b'{"events": []}'
    signature = hmac.new(secret.encode(), body, "sha256").hexdigest()
    webhook = {"headers": {"Webhook-Signature": signature}, "body": body}

    entry = shop.do(shop.inbox.receive, "stripe", **webhook)

    assert (EntryState.DONE, "webhook", 200) == (
        entry.state,
        entry.operation,
        shop.inbox.reply(entry).status,
    )
    assert 200 == shop.do(shop.inbox.answer, "stripe", **webhook).status
    assert () == shop.do(shop.inbox.find, EntryQuery()).items


def test_reply_to_a_handled_webhook_is_what_its_vendor_expects(shop: Shop) -> None:
    """For a handled webhook, `reply` returns the response that the vendor expects."""
    assert 200 == shop.inbox.reply(receive_notice(shop, shop.webhook_of_payment())).status
