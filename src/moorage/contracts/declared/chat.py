"""The contract of messages in chats."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from moorage.contracts import chat
from moorage.contracts.chat import ChatCapability, ChatEvent, ChatMessage, check_fits
from moorage.contracts.declaration import Contract, Requirements, Target, changes
from moorage.contracts.validators import check_kind
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.chat import ChatReceipt
    from moorage.contracts.ref import Ref

_DELETE: Final[Requirements[ChatReceipt]] = Requirements()


class ChatContract(Contract):
    """Posts messages into the chats of a team by the vendor that the configuration chooses."""

    kind = "chat"
    capabilities = ChatCapability
    event = ChatEvent
    values = (chat,)

    @changes()
    def send(
        self,
        message: ChatMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[ChatReceipt]:
        """Post a message into a channel.

        Args:
            message: message to post.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return _requirements(message, is_new=True)

    @changes(target=Target.REFERENCE, needs=ChatCapability.THREAD)
    def reply(
        self,
        ref: Ref | str,
        message: ChatMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[ChatReceipt]:
        """Reply to a message in its thread, in the same channel.

        Args:
            ref: reference of the message to reply to.
            message: reply; it names no channel.
            idempotency_key: identifies this reply: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return _requirements(message, is_new=False)

    @changes(target=Target.REFERENCE, needs=ChatCapability.EDIT)
    def edit(
        self, ref: Ref | str, message: ChatMessage, *, timeout: float | None = None
    ) -> Requirements[ChatReceipt]:
        """Replace the content of a message; repeating this has no further effect.

        Args:
            ref: reference of the message.
            message: new content; the new content must not name a channel, and must not be
                silent or scheduled.
            timeout: seconds for the whole operation.
        """
        requirements = _requirements(message, is_new=False)
        for field in ("silent", "send_at"):
            if getattr(message, field):
                raise InvalidData(
                    f"The {field} of a message that was already sent cannot be changed.",
                    field=field,
                    remedy="Leave this field out, or delete the message and send a new one.",
                )
        return requirements

    @changes(target=Target.REFERENCE, needs=ChatCapability.DELETE)
    def delete(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[ChatReceipt]:
        """Delete a message, or cancel a scheduled one; a missing message counts as deleted.

        Args:
            ref: reference of the message.
            timeout: seconds for the whole operation.
        """
        return _DELETE


def _requirements(message: ChatMessage, *, is_new: bool) -> Requirements[ChatReceipt]:
    """The requirements of a message; unless it is new, it belongs to an existing message."""
    check_kind(message, ChatMessage, "message")
    if not is_new and message.channel is not None:
        raise InvalidData(
            "The message names a channel, but the message that it refers to already has a channel.",
            field="channel",
            remedy="Leave out the channel of the new message.",
        )
    return Requirements(needs=message.needs, check_limits=partial(check_fits, message))
