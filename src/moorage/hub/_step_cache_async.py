"""A cache of step results, which equal steps of an asynchronous program reuse."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from moorage.domain.steps.cached import cache_key, is_cacheable
from moorage.domain.steps.result import packed_result, unpacked_result
from moorage.errors import ConnectorError
from moorage.hub._step_answers_async import store_async, stored_async
from moorage.hub.internals import ports_of
from moorage.parts.idempotency import Idempotency
from moorage.wiring.defaults import memory_storage

if TYPE_CHECKING:
    from moorage.domain.steps.result import ExecutionResult
    from moorage.domain.steps.step import ConnectorType, Step
    from moorage.hub.manager import AsyncConnectorManager


class StepCache:
    """Stores the results of successful steps that set `cache`, in the store of idempotency keys.

    Args:
        manager: the manager with the store.
        service: the name of the service that the steps belong to.
        kind: the type of the platform that runs them.
    """

    def __init__(self, manager: AsyncConnectorManager, service: str, kind: ConnectorType) -> None:
        ports = ports_of(manager)
        self._ports = ports
        self._storage = ports.claims or ports.state or memory_storage(ports.clock)
        self._service = service
        self._kind = kind

    async def find(self, step: Step, age: float, tenant: str | None) -> ExecutionResult | None:
        """Return the stored result of an equal step that is not too old; None if there is none."""
        key = cache_key(step, self._service, self._kind, tenant)
        stored_result = await stored_async(self._results(age), key)
        return (
            None
            if stored_result is None
            else unpacked_result(stored_result).with_metadata(cached=True)
        )

    async def store_result(self, step: Step, tenant: str | None, result: ExecutionResult) -> None:
        """Store the result of a step, if it may be reused.

        If the result cannot be stored, equal steps run again later.
        """
        if step.cache is None or not is_cacheable(step, result):
            return
        key = cache_key(step, self._service, self._kind, tenant)
        with suppress(ConnectorError):
            await store_async(self._results(step.cache), key, packed_result(result))

    def _results(self, age: float) -> Idempotency:
        return Idempotency(
            name=f"{self._service}.cached",
            storage=self._storage,
            ttl=age,
            cipher=self._ports.cipher,
            clock=self._ports.clock,
        )
