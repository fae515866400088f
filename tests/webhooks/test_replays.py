"""A verifier's replay guard lets each webhook delivery be handled once, even in a batch."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import ConfigurationError, WebhookRejected, WebhookVerifier
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.domain.webhooks.presets import preset
from moorage.testing import VirtualClock
from tests.support.timed_store import TimedStorage
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import SECRET, SentWebhook, adyen_item, as_json, b64, mac
from tests.webhooks.verifiers import IN_BOTH, NOW, Receiver

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command

REMEMBERED = [
    name for name in BY_NAME if preset(name).tolerance is not None and not preset(name).only_hints
]
"""The presets with a time that is checked, whose deliveries differ."""
GITHUB = BY_NAME["github"]
STRIPE = BY_NAME["stripe"]


def batch(*items: object) -> SentWebhook:
    """Return an Adyen webhook with a batch of items."""
    wrapped_items = [{"NotificationRequestItem": item} for item in items]
    return SentWebhook(headers={}, body=as_json({"notificationItems": wrapped_items}))


def test_every_item_of_a_batch_is_verified() -> None:
    """A forged item in any position makes a webhook batch invalid; an empty batch is refused."""
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
def test_handled_items_of_a_batch_are_left_out(is_async: bool) -> None:
    """Items that were already handled are left out; one that is in progress refuses the batch."""
    receiver = Receiver.of(BY_NAME["adyen"], replay_guard=True, is_async=is_async)
    first, second, third = (adyen_item(number) for number in (1, 2, 3))
    held_events = receiver.verify(batch(first))
    with pytest.raises(WebhookRejected) as excinfo:
        receiver.verify(batch(second, first))
    assert excinfo.value.retryable

    receiver.done(held_events)
    assert 1 == len(receiver.verify(batch(first, second)))
    assert 1 == len(receiver.verify(batch(third)))


@IN_BOTH
def test_claim_of_a_crashed_program_expires(is_async: bool) -> None:
    """If a program crashes while it handles a webhook, the vendor's next attempt is accepted."""
    receiver = Receiver.of(
        GITHUB, replay_guard=True, handling=60, remembered=600, is_async=is_async
    )
    sent_request = GITHUB.send(NOW, 1)
    receiver.verify(sent_request)
    with pytest.raises(WebhookRejected, match="is being handled") as excinfo:
        receiver.verify(sent_request)
    assert excinfo.value.retryable
    assert "Do not process it again. `reply_to` returns" in excinfo.value.remedy
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


@pytest.mark.parametrize("name", REMEMBERED)
def test_a_delivery_is_remembered_as_long_as_its_time_is_accepted(name: str) -> None:
    """A webhook accepted as early as possible is still recognised when repeated at the latest."""
    tolerance = preset(name).tolerance or 0.0
    sender, receiver = BY_NAME[name], Receiver.of(BY_NAME[name], replay_guard=True)
    sent_request = sender.send(NOW + timedelta(seconds=tolerance), 1)
    receiver.done(receiver.verify(sent_request))
    receiver.clock.advance(2 * tolerance)

    assert "replayed" == receiver.reason_of_refusal(sent_request)


@pytest.mark.parametrize("name, least", [("paypal", 2 * 73 * 3_600), ("stripe", 600)])
def test_remembering_for_less_than_a_delivery_is_accepted_is_refused(name: str, least: int) -> None:
    """A replay guard is refused if it forgets deliveries while their times are still valid."""
    sender = BY_NAME[name]
    for remembered in (least, timedelta(seconds=least - 1)):
        with pytest.raises(ConfigurationError, match="could be handled twice") as excinfo:
            Receiver.of(sender, replay_guard=True, remembered=remembered)
        assert "remembered" == excinfo.value.path

    Receiver.of(sender, replay_guard=True, remembered=least + 60)
    Receiver.of(sender, replay_guard=True, remembered=80, tolerance=10)
    Receiver.of(sender, replay_guard=False, remembered=1)


def test_deliveries_are_remembered_as_long_as_a_huge_tolerance() -> None:
    """With a time tolerance of a hundred years, deliveries are remembered for as long."""
    century = timedelta(days=36_500)
    receiver = Receiver.of(STRIPE, replay_guard=True, tolerance=century, remembered=century)

    assert 1 == len(receiver.verify(STRIPE.send(NOW, 1)))


@IN_BOTH
def test_deliveries_can_be_remembered_for_ever(is_async: bool) -> None:
    """With a shared store, replays of a delivery without a signed time can be refused forever."""
    clock = VirtualClock(NOW)
    store = (AsyncMemoryStorage if is_async else MemoryStorage)(clock=clock)
    receiver = Receiver.of(
        GITHUB, replay_guard=True, remembered=math.inf, storage=store, is_async=is_async
    )
    sent_request = GITHUB.send(NOW, 1)
    receiver.done(receiver.verify(sent_request))
    clock.advance(50 * 365 * 86_400)

    assert "replayed" == receiver.reason_of_refusal(sent_request)


def test_remembering_for_ever_needs_a_store() -> None:
    """A replay guard that remembers webhooks forever needs a store outside the process."""
    with pytest.raises(ConfigurationError, match="memory of a process") as excinfo:
        Receiver.of(GITHUB, replay_guard=True, remembered=math.inf)
    assert "remembered" == excinfo.value.path


class RecordingStorage(MemoryStorage):
    """A store that records its commands."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.commands: list[Any] = []

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Record the command, and execute it."""
        self.commands.append(command)
        return super().execute(command, timeout)


def test_claim_names_the_endpoint() -> None:
    """The store's entry for a webhook names the endpoint; its key is unique to the endpoint."""
    store = RecordingStorage(VirtualClock(NOW))
    receiver = Receiver.of(GITHUB, name="hub", replay_guard=True, handling=60, storage=store)
    receiver.verify(GITHUB.send(NOW, 1))

    (claim,) = store.commands
    assert (b"webhook", "hub", 0) == (claim.fingerprint, claim.target, claim.remembered)
    assert 60 * 10**6 == claim.lease
    assert "webhook" in claim.keys[0].split(":")


@IN_BOTH
def test_receive_settles_by_how_it_ends(is_async: bool) -> None:
    """A `receive` block that ends normally marks the webhook as handled; an error releases it."""
    receiver = Receiver.of(GITHUB, replay_guard=True, is_async=is_async)
    sent_request = GITHUB.send(NOW, 1)

    def receive_once(error: Exception | None) -> None:
        if not is_async:
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
    """Without a replay guard, marking a webhook event as handled has no effect."""
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
    """Without the replay guard, a webhook verifier never uses the store."""
    sender = BY_NAME[name]
    store = RecordingStorage(VirtualClock(NOW))
    receiver = Receiver.of(sender, storage=store)

    receiver.done(receiver.verify(sender.send(NOW, 1)))

    assert [] == store.commands


def test_settling_commands_have_timeouts() -> None:
    """Store commands that settle one webhook have ten seconds together, then half a second each."""
    clock = VirtualClock(NOW)
    store = TimedStorage(clock)
    verifier = WebhookVerifier("github", SECRET, storage=store, clock=clock)
    sent_request = GITHUB.send(NOW, 1)
    store.slow = 4.0
    events = verifier.verify(headers=sent_request.headers, body=sent_request.body)
    verifier.done((*events, *events, *events, *events))
    assert [10.0, 10.0, 6.0, 2.0, 0.5] == [timeout for _, timeout in store.timeouts]
