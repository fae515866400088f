"""The meaning of IMAP's failures: the moorage error, and whether the work may have been done.

Laws:

1. A command that the server answers with NO or BAD had no effect, except that flags and moves of
   several messages may be partly done. A move that is made of a copy and a deletion has the effects
   of the commands that succeeded.
2. If a change was sent and no response came, it may have happened.
3. No error quotes the server, because its words may hold a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.connectors.interruptions import Interruptions
from moorage.errors import (
    AuthenticationFailed,
    ChangesExpired,
    ConnectionFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from moorage.domain.connectors.imap_wire import ImapReply
    from moorage.errors import ConnectorError

INTERRUPTIONS: Final = Interruptions(
    answer="IMAP reply",
    slow="Request fewer messages at once, or raise the timeout of the call.",
)
"""The errors for interrupted requests."""

_CODES: Final[dict[str, tuple[type[ConnectorError], str, str]]] = {
    "AUTHENTICATIONFAILED": (
        AuthenticationFailed,
        "The server rejected the user, the password or the token.",
        "Correct the user and the password, or renew the token.",
    ),
    "AUTHORIZATIONFAILED": (
        AuthenticationFailed,
        "The user may not open this mailbox.",
        "Grant the user access to the mailbox.",
    ),
    "EXPIRED": (
        AuthenticationFailed,
        "The password has expired.",
        "Set a new password.",
    ),
    "PRIVACYREQUIRED": (
        AuthenticationFailed,
        "The server requires an encrypted connection.",
        "Leave start_tls on, or use a URL that begins with imaps://.",
    ),
    "NOPERM": (
        AuthenticationFailed,
        "The user does not have permission to do this in the folder.",
        "Grant the user the permission in the folder.",
    ),
    "NONEXISTENT": (
        VendorRejected,
        "The folder does not exist.",
        "Correct the name of the folder.",
    ),
    "TRYCREATE": (VendorRejected, "The folder does not exist.", "Create the folder."),
    "OVERQUOTA": (VendorRejected, "The mailbox is full.", "Delete messages, or raise the quota."),
    "LIMIT": (
        RateLimitExceeded,
        "A limit of the server is reached.",
        "Use fewer connections, or wait.",
    ),
}
_TEMPORARY_CODES: Final = frozenset({"UNAVAILABLE", "INUSE", "SERVERBUG", "CONTACTADMIN"})


def imap_error(reply: ImapReply, *, is_login: bool = False) -> ConnectorError:
    """Return the error for a command that the server refused.

    Args:
        reply: the reply that ended the command.
        is_login: whether the command authenticated the user.
    """
    code = reply.code.partition(" ")[0].upper()
    if code in _TEMPORARY_CODES:
        return ConnectionFailed(
            "The server cannot execute the command now.",
            may_have_been_processed=False,
            remedy="Try again, and check the state of the server.",
        )
    if code in _CODES:
        kind, text, remedy = _CODES[code]
        return kind(text, remedy=remedy)
    if is_login:
        kind, text, remedy = _CODES["AUTHENTICATIONFAILED"]
        return kind(text, remedy=remedy)
    if reply.status == "BAD":
        return InvalidRequest(
            "The server does not understand the command.",
            remedy="Check which IMAP extensions the server supports.",
        )
    return VendorRejected(
        "The server refused the command.",
        remedy="Check the names of the folders, and the permissions of the user.",
        vendor_code=code or None,
    )


def no_folder_error() -> VendorRejected:
    """Return the error for a folder that cannot be opened."""
    return VendorRejected(
        "The folder cannot be opened.",
        remedy="Correct the name of the folder, or grant the user access to it.",
    )


def copied_error(refusal: ConnectorError) -> VendorFailed:
    """Return the error for messages that were copied, but not removed from their folder.

    Args:
        refusal: the error for the command that should have removed the messages.
    """
    return VendorFailed(
        "The messages were copied to the other folder, but not removed from their own:"
        f" {refusal.message}",
        retryable=refusal.retryable,
        remedy="Delete the messages from one of the folders. Another move copies them again.",
    )


def renumbered_error() -> ChangesExpired:
    """Return the error for message numbers (UIDs) that now belong to other messages."""
    return ChangesExpired(
        "The server has renumbered the messages of the folder.",
        remedy="Search again, and use the new uids with the new uid validity.",
    )
