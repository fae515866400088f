"""The contract of push notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts import push
from moorage.contracts.declaration import Contract, Effect, Requirements, changes
from moorage.contracts.push import PushCapability, PushMessage
from moorage.contracts.validators import check_kind

if TYPE_CHECKING:
    from moorage.contracts.push import PushReceipt


class PushContract(Contract):
    """Notifies phones and browsers by the vendor that the configuration chooses."""

    kind = "push"
    capabilities = PushCapability
    values = (push,)
    flows = {"send_bulk": Effect.DEFERRABLE}

    @changes()
    def send(
        self,
        message: PushMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[PushReceipt]:
        """Send a notification.

        Args:
            message: notification with its recipient.
            idempotency_key: identifies this notification: a repeat returns the same receipt.
            timeout: seconds for the whole operation.

        Raises:
            DeviceGone: the token or subscription ended; delete it.
        """
        check_kind(message, PushMessage, "message")
        return Requirements(needs=message.needs, recipients=(message.to.recipient_entry,))
