"""Tokens of a busy rate limit, which one broker per machine leases from the store.

A broker counts the calls that ask it for one kind of admission, which is a set of limits with their
costs, and takes tokens for several of them in one request to the store. These are its decisions:
functions that return the next state and the broker's next action.

Laws:

1. A token is handed out once: to a call that waits when the store's reply arrives, or within
   `LEASE` after the request for the token was sent. So over every span of t seconds the brokers of
   any number of machines hand out at most burst + rate · (t + `LEASE` + D) tokens, where D is the
   longest delay of an answer.
2. A broker sends one request at a time, and one in each `LEASE` at most.
3. Tokens are taken in advance only while the limit has some to spare: a quarter more than were
   wanted since the last request. When the limit makes calls wait, only calls that wait get tokens.
4. Calls get their tokens in the order of their arrival. No request is made for a call, and no
   tokens of a known time are awaited, after the end of its patience.
5. After it has rejected a call, a broker sends no request earlier than two `LEASE` before the time
   of the next token, or than a second later. It refuses calls that cannot wait for so long. Brokers
   draw the time of their next request, so that they do not send them all together.
6. Tokens of a broker that dies are lost, at most `MOST_AT_ONCE` of a kind, and never handed out
   twice.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LEASE: Final = 10_000
"""The time in microseconds for which a broker may use a token, and between two of its requests."""

MOST_AT_ONCE: Final = 1_024
"""The maximum number of calls for which a broker takes tokens in one request."""

MOST_WAITING: Final = 1_024
"""The maximum number of calls that wait for tokens of one kind."""

LONGEST_WAIT: Final = 1_000_000
"""The longest wait of a call at a broker in microseconds; beyond it, calls queue in the store."""


class WaitingCall(NamedTuple):
    """A call that waits for a token.

    Attributes:
        call: the broker's number of the call.
        until: the latest time of tokens for it, or of another request.
    """

    call: int
    until: int


class Refusal(NamedTuple):
    """The rejection of a call that gets no token in time.

    Attributes:
        call: the broker's number of the call.
        wait: the microseconds after which the limit may have a token for it.
    """

    call: int
    wait: int


class TokenLease(NamedTuple):
    """A broker's state for one kind of admission; times are microseconds of the broker's clock.

    Attributes:
        waiting: the calls that wait, in order of arrival.
        wanted: the number of calls since the last request.
        tokens: the number of calls that the broker can admit by itself.
        until: the end of these tokens' use.
        pending: the number of calls that the current request is for; 0 without a request.
        due: the time of the tokens of the current request, if the store made them wait; else 0.
        next_request: the earliest time of the next request.
        is_scarce: whether the limit made the last request wait, or refused it.
    """

    waiting: tuple[WaitingCall, ...] = ()
    wanted: int = 0
    tokens: int = 0
    until: int = 0
    pending: int = 0
    due: int = 0
    next_request: int = 0
    is_scarce: bool = False


class Step(NamedTuple):
    """The state of the broker after a decision, and the action that it must take next.

    Attributes:
        lease: the new state.
        granted: the calls that are admitted.
        refused: the calls that are refused.
        request: the number of calls for which tokens are to be requested now; 0 for no request.
        within: the longest wait for which the request may be granted.
        wake: the time at which the broker has to decide again; None if an event comes before.
    """

    lease: TokenLease
    granted: tuple[int, ...] = ()
    refused: tuple[Refusal, ...] = ()
    request: int = 0
    within: int = 0
    wake: int | None = None


def after_call(lease: TokenLease, call: int, within: int, now: int, most: int) -> Step:
    """Return the broker's next step after a call has asked for a token.

    Args:
        lease: the state.
        call: the broker's number of the call.
        within: the longest time in microseconds that the call can wait for the limit. It may wait
            two requests longer, because the broker collects calls.
        now: the time.
        most: the maximum number of calls of one request, by the bursts of the limits.
    """
    waiting_call = WaitingCall(call, now + min(within, LONGEST_WAIT) + 2 * LEASE)
    answer_at = max(lease.due, lease.next_request)
    if len(lease.waiting) >= MOST_WAITING or waiting_call.until < answer_at:
        return Step(lease, refused=(Refusal(call, max(LEASE, answer_at - now)),))
    lease = lease._replace(waiting=(*lease.waiting, waiting_call), wanted=lease.wanted + 1)
    return next_step(lease, now, most)


def after_leaving(lease: TokenLease, calls: frozenset[int], now: int, most: int) -> Step:
    """Return the broker's next step after some calls have stopped waiting."""
    waiting = tuple([waiting for waiting in lease.waiting if waiting.call not in calls])
    return next_step(lease._replace(waiting=waiting), now, most)


def after_grant(lease: TokenLease, number: int, sent: int, now: int, most: int) -> Step:
    """Return the broker's next step after the store granted tokens that may be used now.

    Args:
        lease: the state.
        number: the number of calls that the tokens are for.
        sent: the time at which the request, or its confirmation, was sent.
        now: the time.
        most: the maximum number of calls of one request.
    """
    # Waiting calls are served however long the reply took.
    lease, admitted_calls = _serve_waiting(
        lease._replace(tokens=number, until=sent + LEASE, pending=0, due=0)
    )
    # If tokens are left, no call is waiting any more, so the next step grants nothing.
    return next_step(lease, now, most)._replace(granted=admitted_calls)


def after_delayed_grant(lease: TokenLease, wait: int, now: int) -> Step:
    """Return the broker's next step after a grant of tokens that may be used only later."""
    due_time = now + wait
    refusals = tuple(
        [Refusal(call, wait) for call, waiting_end in lease.waiting if waiting_end < due_time]
    )
    waiting = tuple([waiting for waiting in lease.waiting if waiting.until >= due_time])
    return Step(lease._replace(waiting=waiting, due=due_time, is_scarce=True), refused=refusals)


def after_refusal(lease: TokenLease, wait: int, now: int, most: int, draw: float) -> Step:
    """Return the broker's next step after the store refused tokens.

    Args:
        lease: the state.
        wait: the microseconds for which the limit has no token.
        now: the time.
        most: the maximum number of calls of one request.
        draw: a random number from 0 to 1.
    """
    step = after_delayed_grant(lease, wait, now)
    random_wait = int(draw * LEASE)
    token_near = now + min(wait, LONGEST_WAIT) - 2 * LEASE
    next_request = max(lease.next_request, token_near) + random_wait
    next_lease = next_step(
        step.lease._replace(pending=0, due=0, next_request=next_request), now, most
    )
    return next_lease._replace(refused=(*step.refused, *next_lease.refused))


def after_failure(lease: TokenLease) -> tuple[TokenLease, tuple[int, ...]]:
    """Return the state after a store failure, and the calls that must ask the store themselves."""
    calls = tuple([waiting.call for waiting in lease.waiting])
    return lease._replace(waiting=(), wanted=0, pending=0, due=0), calls


def next_step(lease: TokenLease, now: int, most: int) -> Step:
    """Return the broker's step at this time: hand out tokens, refuse calls, or ask for tokens.

    Args:
        lease: the state.
        now: the time.
        most: the maximum number of calls of one request.
    """
    if now > lease.until:
        lease = lease._replace(tokens=0)
    lease, admitted_calls = _serve_waiting(lease)
    if lease.pending or not lease.waiting:
        return Step(lease, admitted_calls)
    if now < lease.next_request:
        return Step(lease, admitted_calls, wake=lease.next_request)
    refusals = tuple(
        [Refusal(call, LEASE) for call, waiting_end in lease.waiting if waiting_end < now]
    )
    waiting = tuple([waiting for waiting in lease.waiting if waiting.until >= now])
    lease = lease._replace(waiting=waiting)
    if not waiting:
        return Step(lease, admitted_calls, refusals)
    in_advance = 0 if lease.is_scarce else lease.wanted * 5 // 4 + 1
    request = min(len(waiting) + in_advance, most, MOST_AT_ONCE)
    longest_wait = max(call.until for call in waiting) - now
    lease = lease._replace(
        tokens=0, wanted=0, pending=request, next_request=now + LEASE, is_scarce=False
    )
    return Step(lease, admitted_calls, refusals, request=request, within=longest_wait)


def _serve_waiting(lease: TokenLease) -> tuple[TokenLease, tuple[int, ...]]:
    """Return the first waiting calls, which get the available tokens, and the new state."""
    number = min(lease.tokens, len(lease.waiting))
    if not number:
        return lease, ()
    admitted_calls = tuple([waiting_calls.call for waiting_calls in lease.waiting[:number]])
    waiting_calls = lease.waiting[number:]
    return lease._replace(waiting=waiting_calls, tokens=lease.tokens - number), admitted_calls
