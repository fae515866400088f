"""One effect per key: claim, act, and settle what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import attrs

from mooring.domain.durations import micros
from mooring.domain.events import AnswerNotStored, IdempotencyReplayed
from mooring.domain.idempotency import (
    Claim,
    Claimed,
    Verdict,
    abandon,
    complete,
    release,
)
from mooring.domain.plan import MARGIN
from mooring.errors import (
    ConnectorError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    StorageUnavailable,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mooring.services.attempts import Ending
    from mooring.services.call import Call
    from mooring.services.core import Core

_FIRST_LOOK = 0.005
_SLOWEST_LOOK = 0.25


@attrs.frozen(kw_only=True)
class Once:
    """What one key protects.

    Attributes:
        key: the key as the caller gave it.
        at: the key of its state.
        fingerprint: of what is sent.
        target: the vendor and account that the key is shown to.
        remembered: seconds for which that vendor honours it; 0 if it does not know keys.
        ttl: seconds for which an answer is replayed.
        encode, decode: make an answer storable, and give it back to whoever repeats the key.
        lookup: what to look for when the outcome is unknown.
        nothing_done: foreign exceptions that prove that nothing was done.
    """

    key: str
    at: str
    fingerprint: bytes
    target: str
    remembered: float
    ttl: float
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    lookup: str
    nothing_done: tuple[type[Exception], ...] = ()


async def act_once(
    core: Core, call: Call, once: Once, act: Callable[[], Awaitable[Ending]]
) -> Ending:
    """Act under the key, or give the answer of whoever did.

    Raises:
        IdempotencyConflict, IdempotencyInProgress, OutcomeUnknown: as the key's state demands.
    """
    ttl = micros(once.ttl)
    owner = core.token()
    claimed = await _claim(core, call, once, owner, ttl)
    if claimed.verdict is Verdict.REPLAY:
        return _replayed(core, call, once, claimed.answer)
    fence = claimed.fence
    call.claim = (once.at, fence)
    # Asked again, the earlier holder may have acted already, whatever happens to this one.
    call.acted = earlier = claimed.verdict is Verdict.ASK_AGAIN
    try:
        value, error = await act()
    except BaseException:
        end = abandon if call.acted else release
        core.post(end(once.at, fence, ttl=ttl))
        raise
    if error is None:
        return await _completed(core, call, once, value, fence, ttl)
    if isinstance(error, once.nothing_done) and not earlier:
        call.acted = False
    if _is_final(error):
        return await _refused(core, call, once, error, fence, ttl)
    if not call.acted:
        await _settle(core, release(once.at, fence, ttl=ttl))
        return None, error
    await _settle(core, abandon(once.at, fence, ttl=ttl))
    if once.remembered or not isinstance(error, ConnectorError):
        return None, error
    unknown = _unknown(once)
    unknown.__cause__ = error
    return None, unknown


async def _claim(core: Core, call: Call, once: Once, owner: int, ttl: int) -> Claimed:
    """Claim the key, waiting for another holder's answer as long as the deadline allows."""
    look = _FIRST_LOOK
    while True:
        claim = Claim(
            once.at,
            fingerprint=once.fingerprint,
            owner=owner,
            lease=micros(max(0, call.remaining(core)) / 1e9 + MARGIN),
            ttl=ttl,
            target=once.target,
            remembered=micros(once.remembered),
        )
        claimed: Claimed = await core.execute(claim)
        match claimed.verdict:
            case Verdict.CONFLICT:
                raise IdempotencyConflict("this idempotency key was used for another payload.")
            case Verdict.UNKNOWN:
                raise _unknown(once)
            case Verdict.BUSY:
                pause = look * (0.5 + core.fraction() / 2)
                if pause * 1e9 >= call.remaining(core):
                    raise IdempotencyInProgress("another caller is working on this key.")
                await core.sleep(pause)
                look = min(2 * look, _SLOWEST_LOOK)
            case _:
                return claimed


def _replayed(core: Core, call: Call, once: Once, stored: Any) -> Ending:  # noqa: ANN401 - as stored
    call.replayed = True
    if core.observers:
        core.tell(IdempotencyReplayed(**call.told(core), idempotency_key=once.key))
    kind, content = stored
    if kind == "value":
        return once.decode(content), None
    if kind == "error":
        build, arguments = content
        error = build(*arguments)
        error.replayed = True
        return None, error
    return None, InvalidData(
        "the effect of this key happened, but its answer could not be stored.",
        remedy="Look its result up at the vendor; do not repeat it under another key.",
    )


async def _completed(
    core: Core,
    call: Call,
    once: Once,
    value: Any,
    fence: int,
    ttl: int,  # noqa: ANN401 - the caller's
) -> Ending:
    try:
        answer = ("value", once.encode(value))
    except Exception as error:  # noqa: BLE001 - whatever a user's value raises when it is copied
        answer = ("lost", None)
        _tell_not_stored(core, call, once, error)
    try:
        settled = await core.execute(complete(once.at, fence, answer, ttl=ttl))
    except StorageUnavailable as error:
        # The effect happened and its answer is here; the key stays sent, and becomes unknown.
        _tell_not_stored(core, call, once, error)
        return value, None
    if settled.held:
        return value, None
    if settled.done:
        return _replayed(core, call, once, settled.answer)
    return None, IdempotencyInProgress(
        "this caller took longer than its claim, and another has begun."
    )


async def _refused(
    core: Core, call: Call, once: Once, error: ConnectorError, fence: int, ttl: int
) -> Ending:
    """A final refusal is an answer too: it is kept and replayed."""
    call.sign(core, error)
    build, arguments = error.__reduce__()
    settled = await _settle(core, complete(once.at, fence, ("error", (build, arguments)), ttl=ttl))
    if settled is not None and not settled.held and settled.done:
        return _replayed(core, call, once, settled.answer)
    return None, error


async def _settle(core: Core, command: Any) -> Any:  # noqa: ANN401 - Settle and its answer
    try:
        return await core.execute(command)
    except StorageUnavailable:
        return None


def _is_final(error: Exception) -> TypeGuard[VendorRejected]:
    """Whether the service has understood and said no, so that asking again changes nothing."""
    return isinstance(error, VendorRejected) and not error.retryable


def _unknown(once: Once) -> OutcomeUnknown:
    return OutcomeUnknown(
        "the request was sent under this key and its answer was lost.",
        idempotency_key=once.key,
        lookup=once.lookup,
        remedy=f"Look up {once.lookup}, then settle the key; repeat nothing before.",
    )


def _tell_not_stored(core: Core, call: Call, once: Once, error: Exception) -> None:
    if core.observers:
        core.tell(
            AnswerNotStored(**call.told(core), idempotency_key=once.key, error=type(error).__name__)
        )
