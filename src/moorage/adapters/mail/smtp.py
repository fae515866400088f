"""The transport that sends mail to SMTP servers.

Each message has its own connection, which is encrypted before any part of the message is sent. The
refusal of the message, or of all recipients, is an error; the refusal of some recipients is part of
the result.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.http.connections._resolve import connected_socket
from moorage.adapters.http.connections._wire import reason_of, resource_error
from moorage.domain.auth.methods import OAuthCredentials
from moorage.domain.auth.sent_values import SentCredentials
from moorage.domain.http.redaction import Redaction
from moorage.domain.resilience.health import is_exhaustion
from moorage.domain.secrets.frames import without_frames
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.domain.auth.methods import Credentials

_ENHANCED_CODE: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_AUTHENTICATION_CODES: Final = frozenset({530, 534, 535, 538})
_INVALID_CODES: Final = frozenset({500, 501, 552, 553, 555})
_DONE_CODE: Final = 250
_SHUTDOWN_CODE: Final = 421
_ACCEPTED_CODES: Final = frozenset({250, 251, 252})
_FIRST_PERMANENT_CODE: Final = 500
_REDACTION: Final = Redaction()
_MAX_LENGTH: Final = 300


class _Server(smtplib.SMTP):
    """A connection to a mail server, whose name is resolved within the timeout too."""

    def _get_socket(self, host: str, port: int, timeout: float | None) -> Any:
        return connected_socket((host, port), timeout)


class _TlsServer(smtplib.SMTP_SSL, _Server):
    """A connection to a mail server that is encrypted from its beginning."""


class SmtpTransport:
    """Sends email messages to one SMTP server.

    Args:
        vendor: the settings `host`, `port`, `security`, `username` and `step_timeout`.
        context: the TLS context; by default it verifies certificates like the system.
    """

    def __init__(self, vendor: Any, context: ssl.SSLContext | None = None) -> None:
        self._vendor = vendor
        self._context = ssl.create_default_context() if context is None else context

    def deliver(
        self,
        credentials: Credentials | OAuthCredentials,
        envelope: Mapping[str, Any],
        message: bytes,
    ) -> dict[str, Any]:
        """Send an email message.

        Args:
            credentials: the login at the server.
            envelope: the `sender`, the `recipients`, and whether they are `wide`.
            message: the encoded message.

        Returns:
            dict[str, Any]: the server's `reply`, and the `refused` recipients, each with the
                number, code and text of the refusal.
        """
        sent_request = SentCredentials(credentials)
        try:
            reply, refused_recipients = self._deliver(credentials, envelope, message)
        except ConnectorError as error:
            failure = sent_request.error(error)
        else:
            refusals = {
                recipient: [code, name, sent_request.text(words)]
                for recipient, (code, name, words) in refused_recipients
            }
            return {"reply": sent_request.text(reply), "refused": refusals}
        try:
            raise without_frames(failure)
        finally:
            # Otherwise the traceback would refer to this frame, and the frame to the error.
            del failure

    def _deliver(
        self,
        credentials: Credentials | OAuthCredentials,
        envelope: Mapping[str, Any],
        message: bytes,
    ) -> tuple[str, Iterable[tuple[str, list[Any]]]]:
        """Send an email message; return the server's reply and the refused recipients."""
        server = self._connect()
        try:
            self._log_in(server, credentials)
            refused_recipients = _send_envelope(server, envelope, len(message))
            return _send_message(server, message), refused_recipients.items()
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()

    def _connect(self) -> smtplib.SMTP:
        vendor = self._vendor
        try:
            server = self._open_connection()
        except (OSError, smtplib.SMTPException) as error:
            raise _connection_error(error) from None
        try:
            server.ehlo_or_helo_if_needed()
            if vendor.security == "starttls":
                server.starttls(context=self._context)
                server.ehlo_or_helo_if_needed()
        except (OSError, smtplib.SMTPException) as error:
            server.close()
            raise _connection_error(error) from None
        return server

    def _open_connection(self) -> smtplib.SMTP:
        host, port, timeout = self._vendor.host, self._vendor.port, self._vendor.step_timeout
        if self._vendor.security == "tls":
            return _TlsServer(host, port, timeout=timeout, context=self._context)
        return _Server(host, port, timeout=timeout)

    def _log_in(self, server: smtplib.SMTP, credentials: Credentials | OAuthCredentials) -> None:
        try:
            if isinstance(credentials, OAuthCredentials):
                token = credentials.access_token.reveal()
                pair = f"user={self._vendor.username}\1auth=Bearer {token}\1\1"
                code, words = server.docmd("AUTH", f"XOAUTH2 {b64encode(pair.encode()).decode()}")
                if code == 334:
                    code, words = server.docmd("")
                if code != 235:
                    raise _refusal(code, words)
            elif credentials.secret is not None:
                _log_in_with_password(
                    server, credentials.username or "", credentials.secret.reveal()
                )
        except smtplib.SMTPNotSupportedError:
            raise ConfigurationError(
                "The mail server does not offer login with a password.",
                path="login",
                remedy="Set login to false, or use the mail server's submission port.",
            ) from None
        except smtplib.SMTPResponseException as error:
            raise _refusal(error.smtp_code, error.smtp_error) from None
        except (OSError, smtplib.SMTPException) as error:
            raise _connection_error(error) from None


class AsyncSmtpTransport:
    """The asynchronous `SmtpTransport`; each message is sent in a thread.

    Args:
        vendor: the settings `host`, `port`, `security`, `username` and `step_timeout`.
        context: the TLS context; by default it verifies certificates like the system.
    """

    def __init__(self, vendor: Any, context: ssl.SSLContext | None = None) -> None:
        self._sync_transport = SmtpTransport(vendor, context)

    async def deliver(
        self,
        credentials: Credentials | OAuthCredentials,
        envelope: Mapping[str, Any],
        message: bytes,
    ) -> dict[str, Any]:
        """Send an email message.

        Args:
            credentials: the login at the server.
            envelope: the `sender`, the `recipients`, and whether they are `wide`.
            message: the encoded message.

        Returns:
            dict[str, Any]: the server's `reply`, and the `refused` recipients, each with the
                number, code and text of the refusal.
        """
        return await to_thread(self._sync_transport.deliver, credentials, envelope, message)


def _log_in_with_password(server: smtplib.SMTP, name: str, password: str) -> None:
    """Log in at the server.

    The standard library sends ASCII only, so any other name or password is sent in UTF-8 here, as
    RFC 4616 requires for the mechanism PLAIN.
    """
    if name.isascii() and password.isascii():
        server.login(name, password)
        return
    if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
        raise ConfigurationError(
            "The mail server does not accept user names or passwords with non-ASCII characters.",
            path="credentials",
            remedy="Change the user's password on the mail server, or use another user.",
        )
    token = b64encode(f"\0{name}\0{password}".encode()).decode()
    code, words = server.docmd("AUTH", f"PLAIN {token}")
    if code != 235:
        raise _refusal(code, words)


def _send_envelope(
    server: smtplib.SMTP, envelope: Mapping[str, Any], size: int
) -> dict[str, list[Any]]:
    """Send the sender's and the recipients' addresses; return the refused recipients."""
    options = [f"SIZE={size}"] if server.has_extn("size") else []
    if envelope["wide"]:
        if not server.has_extn("smtputf8"):
            raise UnsupportedByVendor(
                "The mail server accepts only ASCII email addresses.",
                capabilities=("international",),
            )
        options += ["SMTPUTF8", "BODY=8BITMIME"]
    try:
        code, words = server.mail(envelope["sender"], options)
        if code != _DONE_CODE:
            raise _refusal(code, words)
        answers = [(recipient, *server.rcpt(recipient)) for recipient in envelope["recipients"]]
    except (OSError, smtplib.SMTPException) as error:
        raise _connection_error(error) from None
    refusals = [(code, words) for _, code, words in answers if code not in _ACCEPTED_CODES]
    if len(refusals) == len(answers):
        # The mildest refusal counts, because a temporary one is not final.
        raise _refusal(*min(refusals))
    return {
        recipient: [code, _code(code, words), _redacted_text(words)]
        for recipient, code, words in answers
        if code not in _ACCEPTED_CODES
    }


def _send_message(server: smtplib.SMTP, message: bytes) -> str:
    try:
        code, words = server.data(message)
    except smtplib.SMTPDataError as error:
        raise _refusal(error.smtp_code, error.smtp_error) from None
    except (OSError, smtplib.SMTPException) as error:
        raise ConnectionFailed(
            f"The connection to the mail server was lost before it confirmed the message"
            f" ({type(error).__name__}).",
        ) from None
    # Only the first digit of the code is significant.
    match code // 100:
        case 2:
            return _redacted_text(words)
        case 4 | 5:
            raise _refusal(code, words)
        case _:
            raise ConnectionFailed("The mail server's reply to the message is not valid.")


def _redacted_text(words: bytes) -> str:
    return _REDACTION.words(words.decode(errors="replace"), _MAX_LENGTH)


def _code(code: int, words: bytes) -> str:
    enhanced_code = _ENHANCED_CODE.match(words.decode(errors="replace"))
    return str(code) if enhanced_code is None else f"{code} {enhanced_code[0]}"


def _connection_error(error: Exception) -> ConnectorError:
    """Return the error for an SMTP session that ended before the message was sent."""
    if isinstance(error, smtplib.SMTPResponseException):
        return _refusal(error.smtp_code, _as_bytes(error.smtp_error))
    if is_exhaustion(error):
        return resource_error("The mail server", reason_of(error))
    # A retry would get the same certificate, or the same server without TLS.
    is_lasting = isinstance(error, (ssl.SSLCertVerificationError, smtplib.SMTPNotSupportedError))
    return ConnectionFailed(
        f"The mail server could not be reached ({type(error).__name__}).",
        may_have_been_processed=False,
        retryable=not is_lasting,
        remedy="Check the mail server's host, port, security and certificate.",
    )


def _as_bytes(words: bytes | str) -> bytes:
    return words if isinstance(words, bytes) else words.encode()


def _refusal(number: int, text: bytes | str) -> ConnectorError:
    """Return the moorage error for an error response of the SMTP server."""
    words = _as_bytes(text)
    code = _code(number, words)
    kind: type[Any]
    fields: dict[str, Any] = {}
    if number in _AUTHENTICATION_CODES:
        kind = AuthenticationFailed
    elif " 4.7." in code:
        kind, fields = RateLimitExceeded, {"by_vendor": True}
    elif number == _SHUTDOWN_CODE:
        kind = VendorFailed
    elif number < _FIRST_PERMANENT_CODE:
        kind, fields = VendorRejected, {"retryable": True, "remedy": "Try again later."}
    else:
        kind = InvalidRequest if number in _INVALID_CODES else VendorRejected
    error: ConnectorError = kind(
        f"The mail server refused the operation with {code}.",
        vendor_code=code,
        vendor_message=_redacted_text(words),
        **fields,
    )
    return error
