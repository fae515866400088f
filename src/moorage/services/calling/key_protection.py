"""Protection of calls by idempotency keys: the allowed repeats, and the stored results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from moorage.domain.http.requests import Response
from moorage.domain.idempotency.claims import checked_key
from moorage.domain.values.named_tuples import new_tuple
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData
from moorage.services.calling.idempotency import KeyedUse, KeyRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.idempotency.claims import KeyUse
    from moorage.domain.service.plan import Plan
    from moorage.domain.values.fingerprints import Fingerprint
    from moorage.ports.operation import OperationTraits, StorableResults
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core


class KeyProtection:
    """Prepares the idempotency protection of calls for one manager."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rules: dict[tuple[str, bool | None, bool, bool], KeyRules] = {}

    def protect(
        self,
        call: Call,
        key: str,
        code: bytes | Fingerprint,
        use: KeyUse,
        *,
        response: bool = False,
        repeatable: bool = False,
        operation: OperationTraits | None = None,
    ) -> KeyedUse:
        """Return the protection by an idempotency key, which makes a call safe to repeat.

        Args:
            call: the call.
            key: the idempotency key.
            code: the fingerprint of its payload.
            use: the way in which the key is used.
            response: True if the result is a `Response`.
            repeatable: True if the call is known to be repeatable without a key.
            operation: the operation that the call performs; it may know how its results are stored.
        """
        plan = call.plan
        call.key = checked_key(key)
        if operation is not None and hasattr(operation, "pack_result"):
            storable = cast("StorableResults[Any]", operation)
            rules = self._new_rules(
                plan,
                use,
                repeatable=repeatable,
                encode=storable.pack_result,
                decode=storable.unpack_result,
            )
        else:
            rules = self._rules_of(plan, use, response=response, repeatable=repeatable)
        call.repeatable = rules.remembered > 0
        at = plan.claim_key(key, use.round)
        return new_tuple(KeyedUse, (key, at, code, rules, use.reach))

    def _rules_of(self, plan: Plan, use: KeyUse, *, response: bool, repeatable: bool) -> KeyRules:
        """Return the rules for the keys of one kind of call; they are created at the first use."""
        kind = (plan.service.name, use.repeats, response, repeatable)
        rules = self._rules.get(kind)
        if rules is None:
            rules = self._rules[kind] = self._new_rules(
                plan,
                use,
                repeatable=repeatable,
                encode=_unchanged_response if response else self._core.copy,
                decode=_replayed_answer if response else self._core.copy,
            )
        return rules

    def _new_rules(
        self,
        plan: Plan,
        use: KeyUse,
        *,
        repeatable: bool,
        encode: Callable[[Any], Any],
        decode: Callable[[Any], Any],
    ) -> KeyRules:
        service = plan.service
        vendor_honours_keys = service.recognises_keys
        memory = service.idempotency_memory
        vendor_memory = memory if vendor_honours_keys and memory is not None else 0.0
        if use.repeats is not None:
            vendor_memory = service.idempotency_ttl if use.repeats else 0.0
        elif repeatable:
            vendor_memory = service.idempotency_ttl
            if memory is not None and not vendor_honours_keys:
                # The request contains the key, so it may be repeated while the vendor remembers the
                # key.
                vendor_memory = min(vendor_memory, memory)
        return KeyRules(
            target=plan.target,
            remembered=vendor_memory,
            honoured=vendor_honours_keys and service.idempotency_replays,
            refuses=vendor_honours_keys and not service.idempotency_replays,
            ttl=service.idempotency_ttl,
            encode=encode,
            decode=decode,
            lookup=lambda key: f"the operation of key {key!r} at {service.name}",
        )


def _unchanged_response(value: Response) -> Response:
    return value


def _replayed_answer(value: object) -> Response:
    if isinstance(value, Response):
        return value.as_replayed()
    raise InvalidData(
        f"The stored result for this idempotency key is {with_article(type(value).__name__)},"
        " not a Response.",
        remedy="Settle the key of a request with a Response.",
    )
