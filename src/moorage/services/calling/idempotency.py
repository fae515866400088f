"""Idempotency keys: a call claims its key, acts, and stores its response for repeats."""

from __future__ import annotations

import itertools
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard

from moorage.domain.entries.renewal import HeldClaim
from moorage.domain.idempotency.claims import (
    AllowedActions,
    Claim,
    ClaimResult,
    Settle,
    SettleResult,
    Verdict,
    Withdraw,
    abandon_claim,
    release_claim,
    store_answer,
)
from moorage.domain.idempotency.refusals import pack_refusal, unpack_refusal
from moorage.domain.observation.events import AnswerNotStored, IdempotencyReplayed
from moorage.domain.resilience.key_admission import KeyAdmission
from moorage.domain.service.plan import MARGIN
from moorage.domain.values.durations import SECOND, micros
from moorage.domain.values.frozen_values import Factory, field, frozen
from moorage.errors import (
    ConnectorError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    StorageUnavailable,
    TenantRecordsExhausted,
    VendorRejected,
)
from moorage.services.calling.answers import open_answer, seal_answer
from moorage.services.core.tenant_records import CountedClaim, NewRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.http.requests import Response
    from moorage.domain.resilience.key_admission import KeyAdmitted
    from moorage.domain.values.fingerprints import Fingerprint
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core

_FIRST_POLL_SECONDS: Final = 0.005
_SLOWEST_LOOK: Final = 0.25
_AFTER: Final = 0.001
_MARGIN: Final = micros(MARGIN)
_CLAIM_UNKNOWN: Final = ClaimResult(Verdict.UNKNOWN)
_CONFLICT: Final = 409
_NOT_SENT: Final = (
    "moorage sent nothing now, and knows of no earlier request with this idempotency key."
)
_LOST_ANSWER: Final = ("lost", None)
"""The placeholder to store under a key if the real result cannot be stored."""
local_owners: Final = itertools.count(2**52 + 1)
"""Numbers for the owners of claims in this process's memory; no random owner number equals them."""
_UNCLAIMED_ERRORS: Final = (
    IdempotencyConflict,
    IdempotencyInProgress,
    OutcomeUnknown,
    TenantRecordsExhausted,
)
"""The errors that a claim of a key may raise, after which no claim is held."""


@frozen(kw_only=True)
class KeyRules:
    """The rules for idempotency keys of one service and one kind of use, such as lifetimes.

    Attributes:
        target: the vendor and account that receive the key.
        remembered: microseconds for which the request may be sent again under the key; 0 for never.
        honoured: True if the vendor honours keys, so that a repeat gets the same response as
            the first request.
        refuses: True if the vendor rejects a repeated key. An error response after a lost response
            then leaves the outcome unknown.
        ttl: microseconds for which a stored result is replayed.
        encode, decode: convert a result to its stored form, and back.
        lookup: describes the object to look up when the outcome of a key is unknown.
        nothing_done: foreign exceptions that prove that nothing was done.
    """

    target: str
    remembered: int = field(converter=micros)
    ttl: int = field(converter=micros)
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    lookup: Callable[[str], str]
    nothing_done: tuple[type[Exception], ...] = ()
    refuses: bool = False
    honoured: bool = field(default=Factory(lambda self: self.remembered > 0, takes_self=True))


class KeyedUse(NamedTuple):
    """The protection of one call by an idempotency key.

    Attributes:
        key: the key as the caller gave it.
        at: key of its state in the store.
        fingerprint: fingerprint of the payload.
        rules: rules for keys of this use.
        reach: the actions that the caller is allowed: some callers only look up the result of a
            lost response, and send nothing new.
    """

    key: str
    at: str
    fingerprint: bytes | Fingerprint
    rules: KeyRules
    reach: AllowedActions = AllowedActions.FRESH

    @property
    def lookup(self) -> str:
        """The payment or object that can be looked up at the vendor if the outcome is unknown."""
        return self.rules.lookup(self.key)


class NotSentError(ConnectorError):
    """Raised if this call sent nothing, but an earlier call with its idempotency key may have."""


async def run_once_for_key(
    core: Core, call: Call, once: KeyedUse, act: Callable[[], Awaitable[Ending]]
) -> Ending:
    """Claim the key and run `act`, or return the stored result of an earlier call.

    Raises:
        IdempotencyConflict, IdempotencyInProgress, OutcomeUnknown: the key's state forbids the
        call.
        TenantRecordsExhausted: the key is new, and its tenant has reached its maximum of records.
    """
    owner, ttl = core.token(), once.rules.ttl
    claim = None
    try:
        claim_result, lease_end = await _claim(core, call, once, owner)
        if claim_result.verdict is Verdict.REPLAY:
            return replay_answer(core, call, once, claim_result.answer)
        if not _may_send(once.reach, claim_result.verdict):
            raise NotSentError(_NOT_SENT)  # noqa: TRY301 - what was claimed is given back
        if claim_result.verdict is Verdict.ASK_AGAIN:
            call.take_over()
        claim = HeldClaim(once.at, claim_result.fence, ttl=ttl, until=lease_end)
        return await run_with_claim(core, call, once, claim, act)
    except _UNCLAIMED_ERRORS:
        raise
    except BaseException:
        # The store may have made the claim although its reply was lost.
        core.post(giving_up_command(call, claim) if claim else Withdraw(once.at, owner, ttl=ttl))
        raise


async def run_with_claim(
    core: Core, call: Call, once: KeyedUse, claim: HeldClaim, act: Callable[[], Awaitable[Ending]]
) -> Ending:
    """Run `act` while holding the idempotency key's claim, and store the result under the key.

    If this function raises, its caller gives up the claim, because an interruption may come before
    the function's first line.
    """
    call.claim = claim
    try:
        core.renewals.keep(claim)
        if call.route is None or call.route.movable:
            call.target = once.rules.target
        value, error = await act()
        if error is None:
            return await complete_key(core, call, once, claim, value)
        if isinstance(error, once.rules.nothing_done) and call.attempts == 1:
            call.record_no_effect()
        if _is_final(error, call, once):
            return await _keep_refusal(core, call, once, claim, error)
        with suppress(StorageUnavailable):
            await _settle_claim(core, call, giving_up_command(call, claim))
    finally:
        core.renewals.stop_renewing(claim)
    return None, _unanswered_error(call, once, error)


def claim_at_once(core: Core, call: Call, once: KeyedUse, owner: int) -> KeyAdmitted | None:
    """Claim an idempotency key and admit the first attempt by one command, without waiting.

    Return None if the claim needs more than this one command, or if the flow must determine the
    error.
    """
    if core.tenant_records is not None and call.plan.tenant is not None:
        return None
    rules, term = once.rules, -((call.started - call.deadline) // 1000) + _MARGIN
    admission_request = KeyAdmission(
        once.at, call.plan.question, once.fingerprint, owner, term, rules.ttl, rules.target
    )
    try:
        answer: KeyAdmitted | None = core.ask(admission_request, None)  # type: ignore[misc]  # it has one
    except ConnectorError:
        # The regular path gets the same error, and handles it.
        return None
    return answer


def held_claim(call: Call, once: KeyedUse, fence: int) -> HeldClaim:
    """Return a claim that lasts until the call's deadline and is not renewed."""
    return HeldClaim(once.at, fence, ttl=once.rules.ttl, until=call.deadline)


def _may_send(reach: AllowedActions, verdict: Verdict) -> bool:
    """Return whether a caller may send a request, by the store's verdict on its key."""
    return reach is AllowedActions.FRESH or (
        reach is AllowedActions.AGAIN and verdict is Verdict.ASK_AGAIN
    )


def _unanswered_error(call: Call, once: KeyedUse, error: Exception) -> Exception:
    """Return the error of a call that ends without a response from the service.

    The error is `OutcomeUnknown` if a repeat under the key could not determine the outcome.
    """
    if not call.may_have_acted or not isinstance(error, ConnectorError):
        return error
    is_refusal = once.rules.refuses and isinstance(error, (VendorRejected, IdempotencyConflict))
    if once.rules.remembered and not is_refusal:
        return error
    unknown = _unknown_error(once)
    unknown.__cause__ = error
    return unknown


def giving_up_command(call: Call, claim: HeldClaim) -> Settle:
    """Return the command that ends the claim of a request that got no response.

    The key becomes free if certainly nothing was done, and unknown otherwise.
    """
    end = abandon_claim if call.may_have_acted else release_claim
    return end(claim.key, claim.fence, ttl=claim.ttl)


async def _claim(core: Core, call: Call, once: KeyedUse, owner: int) -> tuple[ClaimResult, int]:
    """Claim the key, and wait for another owner's response until the deadline.

    Return the claim, and the end of its lease in nanoseconds of the local clock.
    """
    look_interval = _FIRST_POLL_SECONDS
    busy_claim: ClaimResult | None = None
    is_bounded = core.tenant_records is not None and call.plan.tenant is not None
    ask_claim = (
        core.ask if call.route is None and not core.separate_keys and not is_bounded else None
    )
    while True:
        start_time = core.nanoseconds()
        try:
            if ask_claim is None:
                claim_result, lease = await _ask(core, call, once, owner)
            else:
                command = _claim_of(core, call, once, owner, once.rules.target)
                claim_result, lease = ask_claim(command, call.left(core)), command.lease
        except StorageUnavailable:
            if busy_claim is None:
                raise
            # The holder's result may still arrive once the store can be reached again.
            claim_result, lease = busy_claim, 0
        if claim_result.verdict is Verdict.RUN or claim_result.verdict is Verdict.REPLAY:
            return claim_result, start_time + lease * 1000
        match claim_result.verdict:
            case Verdict.CONFLICT:
                raise IdempotencyConflict(
                    "This idempotency key was already used with a different payload."
                )
            case Verdict.UNKNOWN:
                raise _unknown_error(once, claim_result.wait)
            case Verdict.BUSY:
                # The holder may have died; then the key can be claimed when its lease has expired.
                pause = min(
                    look_interval * (0.5 + core.fraction() / 2), claim_result.wait / SECOND + _AFTER
                )
                if pause * 1e9 >= call.remaining(core):
                    raise _in_progress_error(core, claim_result.wait)
                await core.sleep(pause)
                look_interval, busy_claim = min(2 * look_interval, _SLOWEST_LOOK), claim_result
            case _:
                return claim_result, start_time + lease * 1000


async def _ask(core: Core, call: Call, once: KeyedUse, owner: int) -> tuple[ClaimResult, int]:
    """Claim the key; if several regions may have used it, claim it for each region.

    Return the claim, and the end of its lease in nanoseconds of the local clock.
    """
    plans_by_target = {} if call.route is None else call.route.plans_by_target()
    claim_result, lease = _CLAIM_UNKNOWN, 0
    for target in plans_by_target or (once.rules.target,):
        command = _claim_of(core, call, once, owner, target)
        lease = command.lease
        tenant = call.plan.tenant
        if core.tenant_records is not None and tenant is not None:
            record_policy = (
                NewRecord.IN_BOUND if once.reach is AllowedActions.FRESH else NewRecord.NEVER
            )
            service = call.plan.service.name
            claim_result = await core.tenant_records.claim(
                CountedClaim(
                    core, service, tenant, command, partial(call.left, core), record_policy
                )
            )
        else:
            time_left = call.left(core)
            claim_result = (
                await core.execute(command, time_left)
                if core.ask is None or core.separate_keys
                else core.ask(command, time_left)
            )
        if claim_result.verdict is Verdict.ASK_AGAIN:
            call.plan = plans_by_target.get(target, call.plan)
        if claim_result.verdict is not Verdict.UNKNOWN:
            break
    return claim_result, lease


def _claim_of(core: Core, call: Call, once: KeyedUse, owner: int, target: str) -> Claim:
    """Return the command that claims an idempotency key until the end of the call."""
    rules = once.rules
    # The lease is rounded up, so that no claim ends before its holder's deadline.
    term = -(-max(0, call.remaining(core)) // 1000) + _MARGIN
    return Claim(
        once.at,
        fingerprint=once.fingerprint,
        owner=owner,
        lease=core.renewals.lease(term),
        term=term,
        ttl=rules.ttl,
        target=target,
        remembered=rules.remembered,
    )


def _in_progress_error(core: Core, wait: int) -> IdempotencyInProgress:
    """Return the error for a key that another caller may use for `wait` microseconds more."""
    return IdempotencyInProgress(
        "Another call is using this idempotency key.",
        retry_at=core.utc() + timedelta(seconds=wait / SECOND),
    )


def replay_answer(core: Core, call: Call, once: KeyedUse, stored: Any) -> Ending:
    """Return the stored result of an earlier call as this call's result."""
    call.replayed = True
    if core.observers:
        call.emit(core, IdempotencyReplayed)
    try:
        kind, content = open_answer(core.cipher, call.plan, once.key, stored)
    except ConnectorError as error:
        return None, error
    if kind == "value":
        try:
            return once.rules.decode(content), None
        except ConnectorError as error:
            return None, error
        except Exception as error:  # noqa: BLE001 - decoding a user's value may raise anything
            error_class = type(error).__name__
            return None, InvalidData(
                "The call with this idempotency key succeeded earlier, but decoding its"
                f" stored result raised {error_class}.",
                remedy="Look up the result at the vendor. Do not repeat the call under"
                " another key.",
            )
    if kind == "error":
        refusal = unpack_refusal(content)
        refusal.replayed = True
        # Only a refusal that is the outcome of all attempts is stored, so none had an effect.
        refusal.may_have_been_processed = False
        return None, refusal
    return None, InvalidData(
        "The call with this idempotency key succeeded earlier, but its result could not be stored.",
        remedy="Look up the result at the vendor. Do not repeat the call under another key.",
    )


async def complete_key(
    core: Core, call: Call, once: KeyedUse, claim: HeldClaim, value: Any
) -> Ending:
    """Store the successful result under its idempotency key, and return the result of the call."""
    try:
        answer = ("value", once.rules.encode(value))
    except Exception as error:  # noqa: BLE001 - copying a user's value may raise anything
        answer = _LOST_ANSWER
        _notify_not_stored(core, call, error)
    settle_result = await _store_answer(core, call, once, claim, answer)
    if settle_result is not None and not settle_result.held and settle_result.done:
        return replay_answer(core, call, once, settle_result.answer)
    return value, None


def store_at_once(core: Core, once: KeyedUse, fence: int, response: Response) -> bool:
    """Store a response under its idempotency key without waiting; return True if it is stored.

    `fence` is the fencing number of the claim. If the response is not stored, the flow stores it,
    or determines why that is impossible.
    """
    if core.cipher is not None:
        return False
    command = store_answer(once.at, fence, ("value", response), ttl=once.rules.ttl)
    try:
        settle_result: SettleResult = core.ask(command, None)  # type: ignore[misc]  # it has one
    except ConnectorError:
        return False
    except BaseException:
        core.post(command)
        raise
    return settle_result.held


async def _keep_refusal(
    core: Core, call: Call, once: KeyedUse, claim: HeldClaim, error: ConnectorError
) -> Ending:
    """Store a vendor's final error response under the key; repeated calls get the same error."""
    call.sign(core, error)
    vars(error).update(_final=True)
    settle_result = await _store_answer(core, call, once, claim, ("error", pack_refusal(error)))
    if settle_result is not None and not settle_result.held and settle_result.done:
        return replay_answer(core, call, once, settle_result.answer)
    return None, error


async def _store_answer(
    core: Core, call: Call, once: KeyedUse, claim: HeldClaim, answer: tuple[str, Any]
) -> SettleResult | None:
    """Store the response under its idempotency key, and end the claim.

    Return None if the store is unreachable, so that the outcome stays unknown.
    """
    try:
        sealed_answer = seal_answer(core.cipher, call.plan, once.key, answer)
        command = store_answer(claim.key, claim.fence, sealed_answer, ttl=claim.ttl)
        if core.ask is None or core.separate_keys:
            settle_result = await _settle_claim(core, call, command)
        else:
            settle_result = _settle_at_once(core, call, command, core.ask)
    except InvalidData as error:
        # A store outside this process can store only plain values.
        _notify_not_stored(core, call, error)
        return (
            None
            if answer is _LOST_ANSWER
            else await _store_answer(core, call, once, claim, _LOST_ANSWER)
        )
    except StorageUnavailable as error:
        _notify_not_stored(core, call, error)
        return None
    tenant = call.plan.tenant
    if settle_result.held and core.tenant_records is not None and tenant is not None:
        core.tenant_records.count_answer(core, tenant, sealed_answer, ttl=claim.ttl)
    if not (settle_result.held or settle_result.done):
        # The request took effect nevertheless, and observers are told that its response is lost.
        _notify_not_stored(
            core, call, StorageUnavailable("The store has lost the claim on the idempotency key.")
        )
    return settle_result


async def _settle_claim(core: Core, call: Call, command: Settle) -> SettleResult:
    try:
        return await core.execute(command, call.recording_seconds(core))  # type: ignore[no-any-return]  # as Settle says
    except BaseException:
        # Settling may be repeated, but the caller must not lose the key.
        core.post(command)
        raise


def _settle_at_once(
    core: Core, call: Call, command: Settle, execute: Callable[[Settle, float | None], Any]
) -> SettleResult:
    """End a claim in a store that never waits."""
    try:
        return execute(command, call.recording_seconds(core))  # type: ignore[no-any-return]  # as Settle says
    except BaseException:
        core.post(command)
        raise


def _is_final(error: Exception, call: Call, once: KeyedUse) -> TypeGuard[VendorRejected]:
    """Return whether the service refused the request so clearly that no retry can help.

    If the response to an attempt was lost, a later refusal is final only if the vendor honours
    keys, or if the refusal is conclusive. A conflict may mean that such a vendor is still working
    on the earlier attempt.
    """
    if not isinstance(error, VendorRejected) or error.retryable:
        return False
    is_honoured = once.rules.honoured and error.status != _CONFLICT
    return not call.may_have_acted or is_honoured or error.conclusive


def _unknown_error(once: KeyedUse, wait: int = 0) -> OutcomeUnknown:
    """Return the error for an idempotency key whose request may go on for `wait` microseconds."""
    remedy = f"Look up {once.lookup}, then settle the key. Do not repeat the call before that."
    if wait:
        remedy += (
            f" The request may still be in progress for {wait / SECOND:.0f} s. Until then,"
            " settle the key only if you find that the request had an effect."
        )
    return OutcomeUnknown(
        "A request was sent with this idempotency key, and no response confirmed its outcome.",
        idempotency_key=once.key,
        lookup=once.lookup,
        remedy=remedy,
    )


def _notify_not_stored(core: Core, call: Call, error: Exception) -> None:
    if core.observers:
        call.emit(core, AnswerNotStored, error=type(error).__name__)
