"""The push operations that need more than one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.push import PushContract
from moorage.contracts.validators import as_list
from moorage.services.contracts.batches import call_for_each
from moorage.services.contracts.flows import Flows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.push import PushMessage, PushReceipt
    from moorage.domain.values.result import Result


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

        The function `outcome_of` returns the meaning of each result for its device. With a key,
        each notification has its own key, derived from the notification's position: a repeat after
        an interruption sends only the missing notifications.

        Args:
            messages: notifications to send.
            idempotency_key: identifies this batch.
            timeout: seconds for each notification.
            at_once: maximum number of concurrent notifications.
        """
        # First, because a stored call is checked only until the first use of the hub.
        batch = as_list(messages, "messages")
        return await call_for_each(
            self._dispatcher.calling.core,
            self.send,
            batch,
            idempotency_key=idempotency_key,
            timeout=timeout,
            at_once=at_once,
        )
