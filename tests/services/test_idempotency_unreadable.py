"""A successful but unreadable response is treated as lost for its idempotency key."""

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
from tests.services.one_effect import (
    LEASE,
    POST,
    bank,
    charge,
    crash,
    key_aware_bank,
    over_one_store,
)
from tests.support.modes import Harness, sync_and_async

JSON = {"Content-Type": "application/json"}
DONE_CHARGE = Response(200, JSON, b'{"id": "ch_1"}')
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
    harness: Harness, answer: Response
) -> None:
    """After an unreadable response, the request is repeated at a vendor that honours keys."""
    harness.vendor.answers(answer, DONE_CHARGE)
    manager = over_one_store(harness, key_aware_bank())

    with pytest.raises(VendorFailed) as excinfo:
        await charge(manager)

    assert excinfo.value.retryable == (answer.status == 200)
    assert b'{"id": "ch_1"}' == (await charge(manager)).body
    assert (await charge(manager)).replayed
    assert ["k", "k"] == [
        requests.header("idempotency-key") for requests in harness.vendor.requests
    ]


@sync_and_async
async def test_unreadable_response_is_retried(harness: Harness) -> None:
    """An unreadable response is retried like any other failure of the vendor."""
    harness.vendor.answers(UNREADABLE[0], DONE_CHARGE)
    manager = over_one_store(harness, key_aware_bank(retry=RetryPolicy(max_attempts=2)))

    assert not (await charge(manager)).replayed
    assert 2 == len(harness.vendor.requests)


@at_each
@sync_and_async
async def test_unreadable_answer_needs_resolving_without_vendor_keys(
    harness: Harness, answer: Response
) -> None:
    """After an unreadable response of a vendor without keys, an operator must decide."""
    harness.vendor.answers(answer, DONE_CHARGE)
    manager = over_one_store(harness, bank(retry=RetryPolicy(max_attempts=2)))

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await charge(manager)
    assert 1 == len(harness.vendor.requests)

    assert await manager.resolve_key("bank", "k", done=False)
    assert b'{"id": "ch_1"}' == (await charge(manager)).body


@sync_and_async
async def test_answers_without_json_content_are_stored(harness: Harness) -> None:
    """A response without a body, or of another type than JSON, is stored."""
    for number, answer in enumerate((Response(200, JSON), Response(200, body=b"<html>"))):
        harness.vendor.answers(answer)
        manager = over_one_store(harness, bank())
        await charge(manager, key=f"k-{number}")

        assert (await charge(manager, key=f"k-{number}")).replayed


@sync_and_async
async def test_redirect_is_a_refusal(harness: Harness) -> None:
    """A redirect means that nothing was done, so it is stored as an error response."""
    harness.vendor.answers(Response(308))
    manager = over_one_store(harness, bank())

    for is_replayed in (False, True):
        with pytest.raises(VendorRejected) as excinfo:
            await charge(manager)
        assert is_replayed == excinfo.value.replayed


@sync_and_async
async def test_classifier_may_call_a_success_unreadable(harness: Harness) -> None:
    """If the classifier finds an error in a successful response, the response is not stored."""

    def classify(_: object, response: Response) -> VendorFailed | None:
        return VendorFailed("no order") if response.body == b"<html>" else None

    harness.vendor.answers(Response(200, body=b"<html>"), DONE_CHARGE)
    manager = over_one_store(harness, key_aware_bank(classify=classify))

    with pytest.raises(VendorFailed):
        await charge(manager)

    assert 200 == (await charge(manager)).status


@pytest.mark.parametrize("status", [409, 422])
@sync_and_async
async def test_refused_key_leaves_the_outcome_unknown(harness: Harness, status: int) -> None:
    """If a vendor rejects a key that was sent before, the first outcome stays unknown."""
    harness.vendor.answers(Response(500), Response(status), Response(status))
    manager = over_one_store(harness, key_aware_bank(idempotency_replays=False))

    with pytest.raises(VendorFailed):
        await charge(manager)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown) as excinfo:
            await charge(manager)
        assert isinstance(excinfo.value.__cause__, VendorRejected)

    assert await manager.resolve_key("bank", "k", done=True, answer=DONE_CHARGE)
    assert (await charge(manager)).replayed


@sync_and_async
async def test_first_refusal_is_final(harness: Harness) -> None:
    """A request whose first attempt was refused has had no effect."""
    harness.vendor.answers(Response(422))
    manager = over_one_store(harness, key_aware_bank(idempotency_replays=False))

    for is_replayed in (False, True):
        with pytest.raises(VendorRejected) as excinfo:
            await charge(manager)
        assert is_replayed == excinfo.value.replayed


@sync_and_async
async def test_key_conflict_leaves_the_outcome_unknown(harness: Harness) -> None:
    """If a vendor reports a key conflict, the outcome of the first request stays unknown."""

    def classify(_: object, response: Response) -> IdempotencyConflict | None:
        return IdempotencyConflict("used") if response.status == 409 else None

    harness.vendor.answers(Response(500), Response(409))
    manager = over_one_store(harness, key_aware_bank(idempotency_replays=False, classify=classify))

    with pytest.raises(VendorFailed):
        await charge(manager)
    with pytest.raises(OutcomeUnknown):
        await charge(manager)


@sync_and_async
async def test_request_is_repeatable_while_its_key_lives(harness: Harness) -> None:
    """A request with the idempotency key in its body is repeatable as long as the vendor has it."""
    request = POST.evolve(idempotent=True)
    manager = over_one_store(harness, bank(idempotency_memory=100))
    await crash(harness, manager, sent=True, request=request)
    harness.clock.advance(100 - LEASE + 1)

    with pytest.raises(OutcomeUnknown):
        await charge(manager, request)
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_idempotent_request_is_repeated_while_the_key_lives(harness: Harness) -> None:
    """An idempotent request is repeated even after the vendor has forgotten the idempotency key."""
    request = POST.evolve(idempotent=True)
    manager = over_one_store(harness, bank())
    await crash(harness, manager, sent=True, request=request)
    harness.clock.advance(10_000)

    assert 200 == (await charge(manager, request)).status


@pytest.mark.parametrize("body", [b"", b"{}"])
@sync_and_async
async def test_conflict_without_a_reason_keeps_the_key(harness: Harness, body: bytes) -> None:
    """After a 409 without a reason, the request is repeated at a vendor that honours keys."""
    harness.vendor.answers(Response(409, JSON, body), DONE_CHARGE)
    manager = over_one_store(harness, key_aware_bank(retry=None))

    with pytest.raises(IdempotencyInProgress, match="may still be processing"):
        await charge(manager)
    assert b'{"id": "ch_1"}' == (await charge(manager)).body
    assert ["k", "k"] == [
        requests.header("idempotency-key") for requests in harness.vendor.requests
    ]


@pytest.mark.parametrize(
    "answer", [Response(409, JSON, b'{"message": "Sold out."}'), Response(409)]
)
@sync_and_async
async def test_conflict_with_a_reason_is_a_refusal(harness: Harness, answer: Response) -> None:
    """A 409 with a reason, or of a vendor without idempotency keys, is the final response."""
    harness.vendor.answers(answer)
    service = key_aware_bank(retry=None) if answer.body else bank(retry=None)

    with pytest.raises(VendorRejected):
        await charge(over_one_store(harness, service))
