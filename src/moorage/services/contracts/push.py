"""The push operations that need more than one request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from moorage.contracts.declared.push import PushContract
from moorage.contracts.validators import several
from moorage.contracts.vendor import part_key
from moorage.domain.idempotency.claims import checked_key
from moorage.domain.values.durations import count, maybe_seconds
from moorage.domain.values.result import Result
from moorage.services.contracts.flows import Flows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.contracts.push import PushMessage, PushReceipt


class PushFlows(Flows, PushContract):
    """The push operations of one tenant."""

    async def send_bulk(
        self,
        messages: Sequence[PushMessage],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[PushReceipt]]:
        """Send many notifications; return their results in order.

        `outcome_of` says what each result means for its device. With a key, each notification has
        a key of its own, derived from its position: a repeat after an interruption sends only the
        missing notifications.

        Args:
            messages: notifications to send.
            idempotency_key: identifies this batch.
            timeout: seconds for each notification.
            at_once: maximum number of concurrent notifications.
        """
        batch = several(messages, "messages")
        maybe_seconds(timeout, "timeout")
        if idempotency_key is not None:
            checked_key(idempotency_key)

        def step(number: int, message: PushMessage) -> Callable[[], Awaitable[Result[PushReceipt]]]:
            key = None if idempotency_key is None else part_key(idempotency_key, number)
            return partial(self._send_one, message, key, timeout)

        steps = [step(number, message) for number, message in enumerate(batch, 1)]
        return await self._dispatcher.calling.core.every(steps, at_once=count(at_once, "at_once"))

    async def _send_one(
        self, message: PushMessage, key: str | None, timeout: float | None
    ) -> Result[PushReceipt]:
        try:
            return Result(await self.send(message, idempotency_key=key, timeout=timeout))
        except Exception as error:  # noqa: BLE001 - each item has its own result
            return Result(error=error)
