"""The operations on chat messages for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.chat import ChatContract
from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.chat import ChatMessage, ChatReceipt
    from moorage.contracts.ref import Ref
    from moorage.services.contracts.live_configuration import FindDispatcher


class ChatFlows(Flows, ChatContract):
    """The operations of one tenant."""


class Chat(Uncopyable):
    """Posts messages into the chats of a team by the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(ChatFlows, find_dispatcher, tenant)

    def send(
        self,
        message: ChatMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> ChatReceipt:
        """Post a message into a channel.

        Args:
            message: message to post.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                ChatFlows.send, message, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def reply(
        self,
        ref: Ref | str,
        message: ChatMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> ChatReceipt:
        """Reply to a message in its thread, in the same channel.

        Args:
            ref: reference of the message to reply to.
            message: reply; it names no channel.
            idempotency_key: identifies this reply: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                ChatFlows.reply, ref, message, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def edit(
        self, ref: Ref | str, message: ChatMessage, *, timeout: float | None = None
    ) -> ChatReceipt:
        """Replace the content of a message; repeating this has no further effect.

        Args:
            ref: reference of the message.
            message: new content; the new content must not name a channel, and must not be
                silent or scheduled.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(ChatFlows.edit, ref, message, timeout=timeout))

    def delete(self, ref: Ref | str, *, timeout: float | None = None) -> ChatReceipt:
        """Delete a message, or cancel a scheduled one; a missing message counts as deleted.

        Args:
            ref: reference of the message.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(ChatFlows.delete, ref, timeout=timeout))


class AsyncChat(Uncopyable):
    """The asynchronous version of `Chat`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(ChatFlows, find_dispatcher, tenant)

    async def send(
        self,
        message: ChatMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> ChatReceipt:
        """Post a message into a channel.

        Args:
            message: message to post.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            ChatFlows.send, message, idempotency_key=idempotency_key, timeout=timeout
        )

    async def reply(
        self,
        ref: Ref | str,
        message: ChatMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> ChatReceipt:
        """Reply to a message in its thread, in the same channel.

        Args:
            ref: reference of the message to reply to.
            message: reply; it names no channel.
            idempotency_key: identifies this reply: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            ChatFlows.reply, ref, message, idempotency_key=idempotency_key, timeout=timeout
        )

    async def edit(
        self, ref: Ref | str, message: ChatMessage, *, timeout: float | None = None
    ) -> ChatReceipt:
        """Replace the content of a message; repeating this has no further effect.

        Args:
            ref: reference of the message.
            message: new content; the new content must not name a channel, and must not be
                silent or scheduled.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(ChatFlows.edit, ref, message, timeout=timeout)

    async def delete(self, ref: Ref | str, *, timeout: float | None = None) -> ChatReceipt:
        """Delete a message, or cancel a scheduled one; a missing message counts as deleted.

        Args:
            ref: reference of the message.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(ChatFlows.delete, ref, timeout=timeout)
