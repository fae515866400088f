"""The errors for requests whose response never came, or could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.errors import AttemptTimeout, ConnectionFailed, VendorFailed

if TYPE_CHECKING:
    from moorage.errors import ConnectorError


def connection_lost(*, has_effect: bool) -> ConnectionFailed:
    """Return the error for a server connection that ended before the response arrived.

    Args:
        has_effect: whether the request may have changed something.
    """
    return ConnectionFailed(
        "The connection to the server was lost.",
        may_have_been_processed=has_effect,
        remedy="Check that the server is running, and check the network and the proxies in"
        " front of the server.",
    )


def timed_out(remedy: str, *, has_effect: bool) -> AttemptTimeout:
    """Return the error for an operation that exceeded its time limit.

    Args:
        remedy: the sentence that says what to do.
        has_effect: whether the operation may have changed something.
    """
    return AttemptTimeout(
        "The operation took longer than the timeout of the attempt.",
        may_have_been_processed=has_effect,
        remedy=remedy,
    )


@attrs.frozen(kw_only=True)
class Interruptions:
    """The errors for interrupted requests, in the words of one protocol.

    Attributes:
        answer: an answer of the protocol in sentences, such as "reply of IMAP".
        slow: the sentence that advises what to do about slow operations.
    """

    answer: str
    slow: str

    def timed_out(self, *, has_effect: bool) -> AttemptTimeout:
        """Return the error for an operation that exceeded its time limit."""
        return timed_out(self.slow, has_effect=has_effect)

    def malformed(self, *, has_effect: bool, is_preparation: bool = False) -> ConnectorError:
        """Return the error for a response that cannot be parsed, or is larger than the limit.

        Args:
            has_effect: whether the request may have changed something.
            is_preparation: whether the request only prepared the operation, as a login does, so
                that the operation's own request was not sent.
        """
        text = (
            f"The server sent something that is not an {self.answer} or exceeds the maximum size."
        )
        remedy = "Check the host and the port, request less at once, or raise `largest`."
        if has_effect or is_preparation:
            return ConnectionFailed(text, may_have_been_processed=has_effect, remedy=remedy)
        return VendorFailed(text, remedy=remedy)
