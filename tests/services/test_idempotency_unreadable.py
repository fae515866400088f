"""One effect per key: successes that nobody can read are answers that were lost."""

from __future__ import annotations

import pytest

from moorage import (
    OutcomeUnknown,
    Response,
    RetryPolicy,
    VendorFailed,
    VendorRejected,
)
from tests.services.one_effect import bank, charge, knowing, over_one_store
from tests.support.colours import World, in_both_colours

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
@in_both_colours
async def test_it_is_asked_again_where_keys_are_known(world: World, answer: Response) -> None:
    """A vendor that knows keys is asked again, and then the key has its answer."""
    world.vendor.answers(answer, DONE)
    manager = over_one_store(world, knowing())

    with pytest.raises(VendorFailed) as caught:
        await charge(manager)

    assert caught.value.retryable
    assert b'{"id": "ch_1"}' == (await charge(manager)).body
    assert (await charge(manager)).replayed
    assert ["k", "k"] == [sent.header("idempotency-key") for sent in world.vendor.requests]


@in_both_colours
async def test_a_call_asks_again_by_itself(world: World) -> None:
    """An answer that cannot be read is tried again like any other failure of the vendor."""
    world.vendor.answers(UNREADABLE[0], DONE)
    manager = over_one_store(world, knowing(retry=RetryPolicy(max_attempts=2)))

    assert not (await charge(manager)).replayed
    assert 2 == len(world.vendor.requests)


@at_each
@in_both_colours
async def test_it_is_settled_where_keys_are_not_known(world: World, answer: Response) -> None:
    """A vendor that knows no keys is not asked again before somebody has settled the key."""
    world.vendor.answers(answer, DONE)
    manager = over_one_store(world, bank(retry=RetryPolicy(max_attempts=2)))

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await charge(manager)
    assert 1 == len(world.vendor.requests)

    assert await manager.resolve_key("bank", "k", done=False)
    assert b'{"id": "ch_1"}' == (await charge(manager)).body


@in_both_colours
async def test_what_promises_nothing_is_kept(world: World) -> None:
    """An answer without a body, or that is no JSON by its own word, is an answer."""
    for number, answer in enumerate((Response(200, JSON), Response(200, body=b"<html>"))):
        world.vendor.answers(answer)
        manager = over_one_store(world, bank())
        await charge(manager, key=f"k-{number}")

        assert (await charge(manager, key=f"k-{number}")).replayed


@in_both_colours
async def test_a_redirect_that_keeps_the_method_is_a_refusal(world: World) -> None:
    """What was told to be sent elsewhere was not done, and the refusal is kept."""
    world.vendor.answers(Response(308))
    manager = over_one_store(world, bank())

    for replayed in (False, True):
        with pytest.raises(VendorRejected) as caught:
            await charge(manager)
        assert replayed == caught.value.replayed


@in_both_colours
async def test_a_classifier_may_find_a_success_unreadable(world: World) -> None:
    """A failure that the service's own classifier sees in a success is not kept either."""

    def classify(_: object, response: Response) -> VendorFailed | None:
        return VendorFailed("no order") if response.body == b"<html>" else None

    world.vendor.answers(Response(200, body=b"<html>"), DONE)
    manager = over_one_store(world, knowing(classify=classify))

    with pytest.raises(VendorFailed):
        await charge(manager)

    assert 200 == (await charge(manager)).status
