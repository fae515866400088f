"""The operations on notifications for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.live_configuration import CurrentOperations
from moorage.services.contracts.push import PushFlows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.push import PushMessage, PushReceipt
    from moorage.domain.values.result import Result
    from moorage.services.contracts.live_configuration import FindDispatcher


class Push(Uncopyable):
    """Notifies phones and browsers by the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(PushFlows, find_dispatcher, tenant)

    def send_bulk(
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
        return run_now(
            self._flows.run(
                PushFlows.send_bulk,
                messages,
                idempotency_key=idempotency_key,
                timeout=timeout,
                at_once=at_once,
            )
        )

    def send(
        self,
        message: PushMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> PushReceipt:
        """Send a notification.

        Args:
            message: notification with its recipient.
            idempotency_key: identifies this notification: a repeat returns the same receipt.
            timeout: seconds for the whole operation.

        Raises:
            DeviceGone: the token or subscription ended; delete it.
        """
        return run_now(
            self._flows.run(
                PushFlows.send, message, idempotency_key=idempotency_key, timeout=timeout
            )
        )


class AsyncPush(Uncopyable):
    """The asynchronous version of `Push`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(PushFlows, find_dispatcher, tenant)

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
        return await self._flows.run(
            PushFlows.send_bulk,
            messages,
            idempotency_key=idempotency_key,
            timeout=timeout,
            at_once=at_once,
        )

    async def send(
        self,
        message: PushMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> PushReceipt:
        """Send a notification.

        Args:
            message: notification with its recipient.
            idempotency_key: identifies this notification: a repeat returns the same receipt.
            timeout: seconds for the whole operation.

        Raises:
            DeviceGone: the token or subscription ended; delete it.
        """
        return await self._flows.run(
            PushFlows.send, message, idempotency_key=idempotency_key, timeout=timeout
        )
