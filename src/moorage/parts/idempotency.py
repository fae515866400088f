"""Idempotency as a separate part: one effect per idempotency key."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

import attrs

from moorage.domain.idempotency.claims import AllowedActions, Resolve, WriteRecordOnce, checked_key
from moorage.domain.idempotency.payload import compared_payload, payload_fingerprint
from moorage.domain.resilience.retry import error_types
from moorage.domain.service.settings import Service
from moorage.domain.values.durations import seconds
from moorage.domain.values.functions import check_callable, check_plain
from moorage.domain.values.plain import copy_function
from moorage.errors import ConnectorError
from moorage.parts.base import Part, decorate_function
from moorage.runtime.flows import is_async, run_now, step_async, step_sync
from moorage.services.calling.answers import seal_answer
from moorage.services.calling.attempts import attempt
from moorage.services.calling.call import value_of
from moorage.services.calling.idempotency import KeyedUse, KeyRules, NotSentError, run_once_for_key

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from datetime import timedelta

    from moorage.ports.cipher import Cipher
    from moorage.ports.clock import AsyncSleeper, Clock, Sleeper
    from moorage.ports.observer import Observer
    from moorage.ports.state import AsyncStateStorage, StateStorage
    from moorage.services.calling.attempts import AttemptStep, Ending
    from moorage.services.core.core import Core

P = ParamSpec("P")
R = TypeVar("R")

copied = copy_function(copy.deepcopy)
"""An independent copy of a value."""


@attrs.frozen
class IdempotentResult(Generic[R]):
    """The value of a call, and a flag that is True if an earlier call stored it."""

    value: R
    replayed: bool


class Idempotency(Part):
    """Calls a function once per idempotency key; repeated calls get the first call's result.

    A repeat while the first call is still running waits for its answer. If the function raises an
    error that does not prove that nothing was done, the outcome of the key is unknown: a repeat
    raises `OutcomeUnknown` until `resolve` settles the key.

    Args:
        name: the name of the keys' owner; parts with the same name and store share their keys.
        storage: the store of keys and answers; by default the memory of this part alone.
        ttl: the seconds for which an answer is replayed.
        timeout: the maximum seconds before the function is called, including the wait for another
            caller's answer. While the function runs, no other caller can take the key; if the
            process dies, the key can be taken after two seconds.
        remembered: the seconds for which the called service honours the key itself, so that it may
            be called again with the same key after a lost answer; 0 if it does not support keys.
        nothing_done: exceptions that prove that nothing was done, so that the key is free again.
        encode, decode: convert an answer to a storable value and back; by default it is copied.
        cipher: encrypts the stored answers.
        observers, clock, sleeper, async_sleeper: the remaining ports.
    """

    def __init__(
        self,
        *,
        name: str = "idempotency",
        storage: StateStorage | AsyncStateStorage | None = None,
        ttl: float | timedelta = 86_400.0,
        timeout: float | timedelta = 30.0,
        remembered: float | timedelta = 0.0,
        nothing_done: type[Exception] | Iterable[type[Exception]] = (),
        encode: Callable[[Any], Any] = copied,
        decode: Callable[[Any], Any] = copied,
        cipher: Cipher | None = None,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
        sleeper: Sleeper | None = None,
        async_sleeper: AsyncSleeper | None = None,
    ) -> None:
        service = Service(name, circuit=None, retry=None, timeout=timeout, idempotency_ttl=ttl)
        super().__init__(
            service,
            storage=storage,
            observers=observers,
            clock=clock,
            sleeper=sleeper,
            async_sleeper=async_sleeper,
            cipher=cipher,
        )
        self._cipher = cipher
        check_plain(encode, "encode")
        check_plain(decode, "decode")
        self._rules = KeyRules(
            target=service.name,
            remembered=seconds(remembered, "remembered", zero=True),
            ttl=service.idempotency_ttl,
            encode=encode,
            decode=decode,
            lookup=_effect_words,
            nothing_done=error_types(nothing_done, "nothing_done"),
        )

    def call(self, key: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` once for `key`; repeats of the key must have the same arguments."""
        return self._call(key, [[*args], kwargs], function, *args, **kwargs)

    def answer(
        self, key: str, function: Callable[[], R], /, *, payload: object
    ) -> IdempotentResult[R]:
        """Call `function` once for `key`; return the value and whether it was stored before."""
        check_callable(function, "function")
        result: IdempotentResult[R] = value_of(
            run_now(self._run_once(self._sync_core, key, step_sync(function), payload))
        )
        return result

    async def aanswer(
        self, key: str, function: Callable[[], Coroutine[Any, Any, R]], /, *, payload: object
    ) -> IdempotentResult[R]:
        """Call `function` once for `key`; repeats must have an equal `payload`; asynchronous."""
        check_callable(function, "function")
        result: IdempotentResult[R] = value_of(
            await self._run_once(
                self._async_core, key, step_async(function, self._async_core), payload
            )
        )
        return result

    def stored(self, key: str, *, payload: object = None) -> IdempotentResult[Any] | None:
        """Return the result that an earlier call stored; None if no result is stored.

        No function is called. If a call is in progress, this waits for its answer as a repeat
        would.

        Args:
            key: the key.
            payload: the payload that the call had.
        """
        return _stored_answer(
            lambda: value_of(run_now(self._stored_ending(self._sync_core, key, payload)))
        )

    async def astored(self, key: str, *, payload: object = None) -> IdempotentResult[Any] | None:
        """Return the result that an earlier call stored; asynchronous."""
        call_ending = await self._stored_ending(self._async_core, key, payload)
        return _stored_answer(lambda: value_of(call_ending))

    def store(self, key: str, answer: R, /, *, payload: object = None) -> IdempotentResult[R]:
        """Store a result for an idempotency key that has none, without calling a function.

        Storing needs only one write, because there is no effect that a claim would have to protect.

        Args:
            key: the key.
            answer: the answer, for example one that another system has stored before.
            payload: the payload that later calls will have.

        Returns:
            The stored answer, which may be an earlier one.
        """
        command = self._write(self._sync_core, key, answer, payload)
        while not self._execute(command, None).is_own:
            earlier_result = self.stored(key, payload=payload)
            if earlier_result is not None:
                return earlier_result
        return IdempotentResult(answer, replayed=False)

    async def astore(
        self, key: str, answer: R, /, *, payload: object = None
    ) -> IdempotentResult[R]:
        """Store a result for an idempotency key without calling a function; asynchronous."""
        core = self._async_core
        command = self._write(core, key, answer, payload)
        while not (await core.execute(command, None)).is_own:
            earlier_result = await self.astored(key, payload=payload)
            if earlier_result is not None:
                return earlier_result
        return IdempotentResult(answer, replayed=False)

    def __call__(
        self, key: Callable[..., str], *, payload: Callable[..., object] | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function; the function `key` returns the key from the arguments of each call.

        `payload` returns the payload of the key from them; by default it is the arguments
        themselves.
        """
        check_plain(key, "key")
        if payload is not None:
            check_plain(payload, "payload")

        def call(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
            hashed_arguments = [[*args], kwargs] if payload is None else payload(*args, **kwargs)
            return self._call(key(*args, **kwargs), hashed_arguments, function, *args, **kwargs)

        return lambda function: decorate_function(function, call)

    def resolve(self, key: str, *, done: bool, answer: object = None) -> bool:
        """Settle a key with an unknown outcome: store the result you looked up, or free the key.

        False if nothing was changed, because the key had no unknown outcome: it is new, its answer
        is stored already, or its call may still be in progress.
        """
        return self._execute(self._resolve(key, done, answer), None)

    async def aresolve(self, key: str, *, done: bool, answer: object = None) -> bool:
        """Settle a key with an unknown outcome, after you looked the outcome up; asynchronous."""
        is_settled: bool = await self._async_core.execute(self._resolve(key, done, answer), None)
        return is_settled

    def _call(
        self,
        key: str,
        payload: object,
        function: Callable[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        check_callable(function, "function")
        bound_function = functools.partial(function, *args, **kwargs)
        if is_async(function):
            return self._async_value(key, bound_function, payload)  # type: ignore[return-value]  # R is the coroutine
        return self.answer(key, bound_function, payload=payload).value

    async def _async_value(self, key: str, function: Callable[[], Any], payload: object) -> Any:
        return (await self.aanswer(key, function, payload=payload)).value

    def _write(self, core: Core, key: str, answer: object, payload: object) -> WriteRecordOnce:
        key, plan = checked_key(key), self._plan
        return WriteRecordOnce(
            plan.claim_key(key),
            seal_answer(self._cipher, plan, key, ("value", self._rules.encode(answer))),
            fingerprint=payload_fingerprint(payload),
            ttl=self._rules.ttl,
            writer=core.token(),
        )

    def _resolve(self, key: str, done: bool, answer: object) -> Resolve:  # noqa: FBT001 - as public
        key, plan = checked_key(key), self._plan
        stored_pair = ("value", self._rules.encode(answer)) if done else None
        return Resolve(
            plan.claim_key(key),
            done=done,
            ttl=self._rules.ttl,
            answer=stored_pair and seal_answer(self._cipher, plan, key, stored_pair),
        )

    async def _stored_ending(self, core: Core, key: str, payload: object) -> Ending:
        # With this argument, the step is never executed.
        return await self._run_once(
            core, key, cast("AttemptStep", None), payload, AllowedActions.STORED
        )

    async def _run_once(
        self,
        core: Core,
        key: str,
        step: AttemptStep,
        payload: object,
        reach: AllowedActions = AllowedActions.FRESH,
    ) -> Ending:
        """Run a function once for an idempotency key, if `reach` allows; return the result."""
        plan, key = self._plan, checked_key(key)
        compare = compared_payload if core.compares_bytes else payload_fingerprint
        key_use = KeyedUse(key, plan.claim_key(key), compare(payload), self._rules, reach)
        call = self._new_call(core)
        call.key = key
        try:
            value, error = await run_once_for_key(
                core, call, key_use, lambda: attempt(core, call, step)
            )
        except ConnectorError as refused_value:
            value, error = None, refused_value
        if error is None:
            return IdempotentResult(value, call.replayed), None
        if isinstance(error, ConnectorError):
            call.sign(core, error)
        return None, error


def _stored_answer(value: Callable[[], IdempotentResult[Any]]) -> IdempotentResult[Any] | None:
    """Return a stored result; None if the call with the key certainly had no effect."""
    try:
        return value()
    except NotSentError:
        return None


def _effect_words(key: str) -> str:
    return f"the effect of key {key!r}"
