"""One effect per key: successes that nobody can read are answers that were lost."""

from __future__ import annotations

import pytest

from moorage import (
    IdempotencyConflict,
    IdempotencyInProgress,
    OutcomeUnknown,
    Response,
    RetryPolicy,
    VendorFailed,
    VendorRejected,
)
from tests.services.one_effect import LEASE, POST, bank, charge, crash, knowing, over_one_store
from tests.support.modes import World, sync_and_async

JSON = {"Content-Type": "application/json"}
DONE = Response(200, JSON, b'{"id": "ch_1"}')
UNREADABLE = (
    Response(200, JSON, b"<html>proxy</html>"),
    Response(200, JSON, b'{"id": "ch_1", "amo'),
    Response(101),
    Response(302, {"Location": "https://login.example"}),
    Response(303),
    Response(304),
)
at_each = pytest.mark.parametrize("answer", UNREADABLE, ids=lambda one: f"{one.status}")


@at_each
@sync_and_async
async def test_unreadable_answer_is_repeated_at_a_vendor_that_honours_keys(
    world: World, answer: Response
) -> None:
    """A vendor that honours keys is asked again, and the key gets its answer."""
    world.vendor.answers(answer, DONE)
    manager = over_one_store(world, knowing())

    with pytest.raises(VendorFailed) as caught:
        await charge(manager)

    assert caught.value.retryable == (answer.status == 200)
    assert b'{"id": "ch_1"}' == (await charge(manager)).body
    assert (await charge(manager)).replayed
    assert ["k", "k"] == [sent.header("idempotency-key") for sent in world.vendor.requests]


@sync_and_async
async def test_a_call_asks_again_by_itself(world: World) -> None:
    """An answer that cannot be read is tried again like any other failure of the vendor."""
    world.vendor.answers(UNREADABLE[0], DONE)
    manager = over_one_store(world, knowing(retry=RetryPolicy(max_attempts=2)))

    assert not (await charge(manager)).replayed
    assert 2 == len(world.vendor.requests)


@at_each
@sync_and_async
async def test_unreadable_answer_needs_resolving_without_vendor_keys(
    world: World, answer: Response
) -> None:
    """A vendor without keys is not asked again until an operator resolves the key."""
    world.vendor.answers(answer, DONE)
    manager = over_one_store(world, bank(retry=RetryPolicy(max_attempts=2)))

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await charge(manager)
    assert 1 == len(world.vendor.requests)

    assert await manager.resolve_key("bank", "k", done=False)
    assert b'{"id": "ch_1"}' == (await charge(manager)).body


@sync_and_async
async def test_answers_without_json_content_are_stored(world: World) -> None:
    """An answer without a body, or that does not claim to be JSON, is stored."""
    for number, answer in enumerate((Response(200, JSON), Response(200, body=b"<html>"))):
        world.vendor.answers(answer)
        manager = over_one_store(world, bank())
        await charge(manager, key=f"k-{number}")

        assert (await charge(manager, key=f"k-{number}")).replayed


@sync_and_async
async def test_a_redirect_that_keeps_the_method_is_a_refusal(world: World) -> None:
    """A redirected request was not done, so the refusal is stored."""
    world.vendor.answers(Response(308))
    manager = over_one_store(world, bank())

    for replayed in (False, True):
        with pytest.raises(VendorRejected) as caught:
            await charge(manager)
        assert replayed == caught.value.replayed


@sync_and_async
async def test_a_classifier_may_find_a_success_unreadable(world: World) -> None:
    """A failure that the service's own classifier sees in a success is not kept either."""

    def classify(_: object, response: Response) -> VendorFailed | None:
        return VendorFailed("no order") if response.body == b"<html>" else None

    world.vendor.answers(Response(200, body=b"<html>"), DONE)
    manager = over_one_store(world, knowing(classify=classify))

    with pytest.raises(VendorFailed):
        await charge(manager)

    assert 200 == (await charge(manager)).status


@pytest.mark.parametrize("status", [409, 422])
@sync_and_async
async def test_a_refused_repeat_leaves_the_outcome_unknown(world: World, status: int) -> None:
    """Where a vendor refuses a known key, its refusal says nothing of what the first one did."""
    world.vendor.answers(Response(500), Response(status), Response(status))
    manager = over_one_store(world, knowing(idempotency_replays=False))

    with pytest.raises(VendorFailed):
        await charge(manager)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown) as caught:
            await charge(manager)
        assert isinstance(caught.value.__cause__, VendorRejected)

    assert await manager.resolve_key("bank", "k", done=True, answer=DONE)
    assert (await charge(manager)).replayed


@sync_and_async
async def test_first_refusal_is_final(world: World) -> None:
    """A request refused at first was not done, whatever a repeat would return."""
    world.vendor.answers(Response(422))
    manager = over_one_store(world, knowing(idempotency_replays=False))

    for replayed in (False, True):
        with pytest.raises(VendorRejected) as caught:
            await charge(manager)
        assert replayed == caught.value.replayed


@sync_and_async
async def test_a_conflict_at_the_vendor_leaves_the_outcome_unknown(world: World) -> None:
    """A conflict that a known key gets says that it was used, and not what came of it."""

    def classify(_: object, response: Response) -> IdempotencyConflict | None:
        return IdempotencyConflict("used") if response.status == 409 else None

    world.vendor.answers(Response(500), Response(409))
    manager = over_one_store(world, knowing(idempotency_replays=False, classify=classify))

    with pytest.raises(VendorFailed):
        await charge(manager)
    with pytest.raises(OutcomeUnknown):
        await charge(manager)


@sync_and_async
async def test_a_key_in_the_body_is_known_for_its_time(world: World) -> None:
    """A request that is repeatable by a key of its own is so while the vendor remembers the key."""
    request = POST.evolve(idempotent=True)
    manager = over_one_store(world, bank(idempotency_memory=100))
    await crash(world, manager, sent=True, request=request)
    world.clock.advance(100 - LEASE + 1)

    with pytest.raises(OutcomeUnknown):
        await charge(manager, request)
    assert 1 == len(world.vendor.requests)


@sync_and_async
async def test_idempotent_request_is_repeated_while_the_key_lives(world: World) -> None:
    """An idempotent request is repeated regardless of the vendor's memory."""
    request = POST.evolve(idempotent=True)
    manager = over_one_store(world, bank())
    await crash(world, manager, sent=True, request=request)
    world.clock.advance(10_000)

    assert 200 == (await charge(manager, request)).status


@pytest.mark.parametrize("body", [b"", b"{}"])
@sync_and_async
async def test_bare_conflict_keeps_a_key_that_the_vendor_knows(world: World, body: bytes) -> None:
    """It may be with an earlier request of the key: the same key is asked again, and no other."""
    world.vendor.answers(Response(409, JSON, body), DONE)
    manager = over_one_store(world, knowing(retry=None))

    with pytest.raises(IdempotencyInProgress, match="may still be working"):
        await charge(manager)
    assert b'{"id": "ch_1"}' == (await charge(manager)).body
    assert ["k", "k"] == [sent.header("idempotency-key") for sent in world.vendor.requests]


@pytest.mark.parametrize(
    "answer", [Response(409, JSON, b'{"message": "Sold out."}'), Response(409)]
)
@sync_and_async
async def test_conflict_that_is_no_question_of_keys_is_a_refusal(
    world: World, answer: Response
) -> None:
    """A reason, or a vendor that knows no keys, makes a conflict the final answer."""
    world.vendor.answers(answer)
    service = knowing(retry=None) if answer.body else bank(retry=None)

    with pytest.raises(VendorRejected):
        await charge(over_one_store(world, service))
