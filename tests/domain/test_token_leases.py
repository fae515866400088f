"""Decisions of a broker that leases a rate limit's tokens for all processes of a machine."""

from __future__ import annotations

from moorage.domain.resilience.token_leases import (
    LEASE,
    LONGEST_WAIT,
    MOST_AT_ONCE,
    MOST_WAITING,
    Refusal,
    TokenLease,
    after_call,
    after_delayed_grant,
    after_failure,
    after_grant,
    after_leaving,
    after_refusal,
    next_step,
)
from moorage.domain.values.durations import FOREVER

MOST = 10_000


def asking_lease(*calls: int, within: int = 0, now: int = 0, most: int = MOST) -> TokenLease:
    """Return the state of a token broker after these calls arrived while it had no tokens."""
    lease = TokenLease()
    for call in calls:
        lease = after_call(lease, call, within, now, most).lease
    return lease


def test_first_call_is_requested_at_once() -> None:
    """A broker without tokens requests some for the first call, and more in advance."""
    step = after_call(TokenLease(), 1, 0, 0, MOST)

    assert 3 == step.request
    assert 2 * LEASE == step.within
    assert () == step.granted


def test_tokens_in_advance_serve_later_calls() -> None:
    """Tokens requested in advance admit later calls without another request."""
    lease = after_grant(asking_lease(1), 3, sent=0, now=100, most=MOST).lease
    step = after_call(lease, 2, 0, 200, MOST)

    assert (2,) == step.granted
    assert 0 == step.request


def test_tokens_expire_with_their_lease() -> None:
    """A token requested in advance is used only within one lease time after the request."""
    lease = after_grant(asking_lease(1), 3, sent=0, now=100, most=MOST).lease

    assert (2,) == after_call(lease, 2, 0, LEASE, MOST).granted
    step = after_call(lease, 2, 0, LEASE + 1, MOST)
    assert () == step.granted
    assert step.request


def test_answer_later_than_a_lease_serves_only_waiting_calls() -> None:
    """Tokens that arrive late go only to the calls that are already waiting for them."""
    lease = after_call(asking_lease(1, within=LONGEST_WAIT), 2, LONGEST_WAIT, 0, MOST).lease
    step = after_grant(lease, 5, sent=0, now=LEASE + 1, most=MOST)

    assert (1, 2) == step.granted
    assert () == after_call(step.lease, 3, 0, LEASE + 2, MOST).granted


def test_one_token_request_is_sent_in_each_lease_time() -> None:
    """Calls that get no token wait for the next request, which also requests spare tokens."""
    lease = after_grant(asking_lease(1), 1, sent=0, now=100, most=MOST).lease
    step = after_call(lease, 2, 0, 200, MOST)

    assert 0 == step.request
    assert LEASE == step.wake
    assert 3 == next_step(step.lease, LEASE, MOST).request


def test_request_is_bounded_by_burst_and_by_number() -> None:
    """The broker requests at most the limit's burst, and at most its own maximum."""
    waiting = asking_lease(*range(MOST_WAITING), within=LONGEST_WAIT, most=1)

    assert 1 == waiting.pending
    free = waiting._replace(pending=0)
    assert 5 == next_step(free, LEASE, 5).request
    assert MOST_AT_ONCE == next_step(free, LEASE, MOST).request


def test_too_many_calls_are_refused() -> None:
    """If the maximum number of calls already waits, a further call is refused at once."""
    waiting = asking_lease(*range(MOST_WAITING), within=LONGEST_WAIT)
    step = after_call(waiting, MOST_WAITING, LONGEST_WAIT, 0, MOST)

    assert (Refusal(MOST_WAITING, LEASE),) == step.refused
    assert waiting == step.lease


def test_broker_requests_tokens_for_waiting_calls_only_after_refusal() -> None:
    """After a rejection, the broker requests only tokens for waiting calls until it gets some."""
    lease = after_refusal(asking_lease(1), 2 * LEASE, 10, MOST, 0).lease
    step = after_call(lease, 2, 0, LEASE, MOST)

    assert lease.is_scarce
    assert 1 == step.request
    assert not after_grant(step.lease, 1, sent=LEASE, now=LEASE + 10, most=MOST).lease.is_scarce


def test_refusal_reaches_calls_that_cannot_wait_so_long() -> None:
    """After a refused request, calls that cannot wait fail; other calls join the next request."""
    lease = after_call(asking_lease(1), 2, 500_000, 0, MOST).lease
    step = after_refusal(lease, 2 * LEASE, 10, MOST, 0)

    assert (Refusal(1, 2 * LEASE),) == step.refused
    assert LEASE == step.wake
    assert 1 == next_step(step.lease, LEASE, MOST).request


def test_broker_remembers_a_refusal_until_a_token_is_near() -> None:
    """After a rejection, calls fail at once until two lease times before the next token."""
    lease = after_refusal(asking_lease(1), 100_000, 0, MOST, 0).lease

    assert (Refusal(2, 60_000),) == after_call(lease, 2, 0, 20_000, MOST).refused
    assert 80_000 == after_call(lease, 2, 0, 60_000, MOST).wake
    assert 1 == after_call(lease, 2, 0, 80_000, MOST).request
    assert 80_000 + LEASE // 2 == after_refusal(lease, 100_000, 0, MOST, 0.5).lease.next_request


def test_broker_remembers_a_refusal_for_at_most_a_second() -> None:
    """However far away the next token is, a broker asks again within a second."""
    lease = after_refusal(asking_lease(1), FOREVER, 0, MOST, 0.999).lease

    assert LONGEST_WAIT - 2 * LEASE <= lease.next_request < LONGEST_WAIT


def test_wait_refuses_impatient_calls_at_once() -> None:
    """If tokens come only after a delay, calls that cannot wait so long are refused at once."""
    lease = after_call(asking_lease(1), 2, 500_000, 0, MOST).lease
    step = after_delayed_grant(lease, 100_000, 10)

    assert (Refusal(1, 100_000),) == step.refused
    assert (2,) == after_grant(step.lease, 2, sent=100_000, now=100_010, most=MOST).granted


def test_calls_that_waited_too_long_are_not_requested() -> None:
    """A call that has waited too long is refused, and no token is requested for it."""
    lease = after_call(asking_lease(1), 2, 500_000, 0, MOST).lease._replace(pending=0)
    step = next_step(lease, 2 * LEASE + 1, MOST)

    assert (Refusal(1, LEASE),) == step.refused
    assert 1 < step.request
    late_lease = next_step(asking_lease(1)._replace(pending=0), 2 * LEASE + 1, MOST)
    assert 0 == late_lease.request
    assert (Refusal(1, LEASE),) == late_lease.refused


def test_newcomer_does_not_wait_for_tokens_that_come_too_late() -> None:
    """A call is refused at once if the requested tokens will arrive too late for it."""
    lease = after_delayed_grant(asking_lease(1, within=500_000), 300_000, 10).lease

    assert (Refusal(2, 299_990),) == after_call(lease, 2, 0, 20, MOST).refused
    assert () == after_call(lease, 2, 400_000, 20, MOST).refused


def test_token_that_was_requested_for_call_that_gave_up_goes_to_another_call() -> None:
    """A token that was requested for a call that has stopped waiting goes to another call."""
    lease = after_call(asking_lease(1), 2, 0, 0, MOST).lease
    step = after_leaving(lease, frozenset({1}), 10, MOST)

    assert (2,) == after_grant(step.lease, 1, sent=0, now=20, most=MOST).granted


def test_calls_that_leave_end_the_waiting() -> None:
    """If no call is waiting any more, the broker requests nothing."""
    step = after_leaving(asking_lease(1), frozenset({1}), 10, MOST)

    assert () == step.lease.waiting
    assert step.wake is None
    assert 0 == step.request


def test_failure_sends_all_calls_to_the_store() -> None:
    """If the store fails, waiting calls use it directly, and later calls go to the broker again."""
    lease, calls = after_failure(after_call(asking_lease(1), 2, 0, 0, MOST).lease)

    assert (1, 2) == calls
    assert () == lease.waiting
    assert LEASE == after_call(lease, 3, 0, 10, MOST).wake


def test_a_single_caller_gets_enough_in_advance() -> None:
    """A caller that makes its next call as soon as it has a reply seldom has to wait."""
    lease, now, waits = TokenLease(), 0, 0
    for call in range(2_000):
        now += 60
        step = after_call(lease, call, 0, now, MOST)
        if step.wake is not None:
            waits += 1
            now = step.wake
            step = next_step(step.lease, now, MOST)
        if step.request:
            step = after_grant(step.lease, step.request, sent=now, now=now + 200, most=MOST)
        assert (call,) == step.granted
        lease = step.lease

    assert waits < 40
