"""The text message operations that need more than one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.sms import SmsContract
from moorage.contracts.validators import as_list
from moorage.services.contracts.batches import call_for_each
from moorage.services.contracts.flows import Flows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.sms import SmsMessage, SmsReceipt
    from moorage.domain.values.result import Result


class SmsFlows(Flows, SmsContract):
    """The text-message operations of one tenant."""

    async def send_bulk(
        self,
        messages: Sequence[SmsMessage],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[SmsReceipt]]:
        """Send many text messages; return their results in order.

        With a key, each message has its own key, derived from the message's position: a repeat
        after an interruption sends only the missing messages.

        Args:
            messages: messages to send.
            idempotency_key: identifies this batch.
            timeout: seconds for each message.
            at_once: maximum number of concurrent messages.
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
