"""Conversations with servers of mail, by the standard library's client.

A connection is made for each message and protected before anything of it is said. A server's word
against the message, or against each of its recipients, is an error; a word against some of them is
part of the answer.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
import ssl
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.http.connections._wire import exhausted, reason_of
from moorage.domain.auth.methods import OAuthCredentials
from moorage.domain.auth.sent_values import Sent
from moorage.domain.http.redaction import Redaction
from moorage.domain.resilience.health import is_exhaustion
from moorage.domain.secrets.frames import bare
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

_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_WHO: Final = frozenset({530, 534, 535, 538})
_WRONG: Final = frozenset({500, 501, 552, 553, 555})
_DONE: Final = 250
_GOING: Final = 421
_TAKEN: Final = frozenset({250, 251, 252})
_PERMANENT: Final = 500
_WORDS: Final = Redaction()
_LONGEST: Final = 300


class SmtpTransport:
    """Hands messages over to one server.

    Args:
        vendor: its `host`, `port`, `security`, `username` and `step_timeout`.
        context: what certificates are checked by; by default as the system does.
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
        """Hand a message over.

        Args:
            credentials: who we say we are.
            envelope: the `sender`, the `recipients`, and whether they are `wide`.
            message: its bytes.

        Returns:
            dict[str, Any]: the server's `reply`, and who was `refused`, each with its number, its
                code and its words.
        """
        sent = Sent(credentials)
        try:
            reply, refused = self._delivered(credentials, envelope, message)
        except ConnectorError as error:
            failure = sent.error(error)
        else:
            told = {one: [code, name, sent.text(words)] for one, (code, name, words) in refused}
            return {"reply": sent.text(reply), "refused": told}
        try:
            raise bare(failure)
        finally:
            # Else the traceback holds this frame, and the frame the error.
            del failure

    def _delivered(
        self,
        credentials: Credentials | OAuthCredentials,
        envelope: Mapping[str, Any],
        message: bytes,
    ) -> tuple[str, Iterable[tuple[str, list[Any]]]]:
        """The server's reply, and its words against some of the recipients."""
        server = self._connected()
        try:
            self._log_in(server, credentials)
            refused = _named(server, envelope, len(message))
            return _handed_over(server, message), refused.items()
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()

    def _connected(self) -> smtplib.SMTP:
        vendor = self._vendor
        try:
            server = self._greeted()
        except (OSError, smtplib.SMTPException) as error:
            raise _unreached(error) from None
        try:
            server.ehlo_or_helo_if_needed()
            if vendor.security == "starttls":
                server.starttls(context=self._context)
                server.ehlo_or_helo_if_needed()
        except (OSError, smtplib.SMTPException) as error:
            server.close()
            raise _unreached(error) from None
        return server

    def _greeted(self) -> smtplib.SMTP:
        host, port, timeout = self._vendor.host, self._vendor.port, self._vendor.step_timeout
        if self._vendor.security == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=timeout, context=self._context)
        return smtplib.SMTP(host, port, timeout=timeout)

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
                server.login(credentials.username or "", credentials.secret.reveal())
        except smtplib.SMTPNotSupportedError:
            raise ConfigurationError(
                "The server of mail takes no password.",
                path="login",
                remedy="Set login to false, or use a port for those who send.",
            ) from None
        except smtplib.SMTPResponseException as error:
            raise _refusal(error.smtp_code, error.smtp_error) from None
        except (OSError, smtplib.SMTPException) as error:
            raise _unreached(error) from None


class AsyncSmtpTransport:
    """As `SmtpTransport`, awaited; each conversation has a thread.

    Args:
        vendor: its `host`, `port`, `security`, `username` and `step_timeout`.
        context: what certificates are checked by; by default as the system does.
    """

    def __init__(self, vendor: Any, context: ssl.SSLContext | None = None) -> None:
        self._plain = SmtpTransport(vendor, context)

    async def deliver(
        self,
        credentials: Credentials | OAuthCredentials,
        envelope: Mapping[str, Any],
        message: bytes,
    ) -> dict[str, Any]:
        """Hand a message over.

        Args:
            credentials: who we say we are.
            envelope: the `sender`, the `recipients`, and whether they are `wide`.
            message: its bytes.

        Returns:
            dict[str, Any]: the server's `reply`, and who was `refused`, each with its number, its
                code and its words.
        """
        return await asyncio.to_thread(self._plain.deliver, credentials, envelope, message)


def _named(server: smtplib.SMTP, envelope: Mapping[str, Any], size: int) -> dict[str, list[Any]]:
    """Name sender and recipients, and tell who of them was refused."""
    options = [f"SIZE={size}"] if server.has_extn("size") else []
    if envelope["wide"]:
        if not server.has_extn("smtputf8"):
            raise UnsupportedByVendor(
                "The server of mail takes addresses in ASCII only.", capabilities=("international",)
            )
        options += ["SMTPUTF8", "BODY=8BITMIME"]
    try:
        code, words = server.mail(envelope["sender"], options)
        if code != _DONE:
            raise _refusal(code, words)
        answers = [(one, *server.rcpt(one)) for one in envelope["recipients"]]
    except (OSError, smtplib.SMTPException) as error:
        raise _unreached(error) from None
    refusals = [(code, words) for _, code, words in answers if code not in _TAKEN]
    if len(refusals) == len(answers):
        # The mildest: what one of them may have later is not refused for good.
        raise _refusal(*min(refusals))
    return {
        one: [code, _code(code, words), _told(words)]
        for one, code, words in answers
        if code not in _TAKEN
    }


def _handed_over(server: smtplib.SMTP, message: bytes) -> str:
    try:
        code, words = server.data(message)
    except smtplib.SMTPDataError as error:
        raise _refusal(error.smtp_code, error.smtp_error) from None
    except (OSError, smtplib.SMTPException) as error:
        raise ConnectionFailed(
            f"The server of mail was lost before it said that it has the message"
            f" ({type(error).__name__}).",
        ) from None
    # Only the first digit counts; what has none of these says nothing of the message.
    match code // 100:
        case 2:
            return _told(words)
        case 4 | 5:
            raise _refusal(code, words)
        case _:
            raise ConnectionFailed("What the server of mail said of the message is no answer.")


def _told(words: bytes) -> str:
    return _WORDS.words(words.decode(errors="replace"), _LONGEST)


def _code(code: int, words: bytes) -> str:
    found = _ENHANCED.match(words.decode(errors="replace"))
    return str(code) if found is None else f"{code} {found[0]}"


def _unreached(error: Exception) -> ConnectorError:
    """What a conversation that never came to the message ended with."""
    if isinstance(error, smtplib.SMTPResponseException):
        return _refusal(error.smtp_code, _as_bytes(error.smtp_error))
    if is_exhaustion(error):
        return exhausted("The server of mail", reason_of(error))
    # Another try finds the same certificate, and the same server without TLS.
    lasting = isinstance(error, (ssl.SSLCertVerificationError, smtplib.SMTPNotSupportedError))
    return ConnectionFailed(
        f"The server of mail could not be reached ({type(error).__name__}).",
        may_have_been_processed=False,
        retryable=not lasting,
        remedy="Check its host, port, security and certificate.",
    )


def _as_bytes(words: bytes | str) -> bytes:
    return words if isinstance(words, bytes) else words.encode()


def _refusal(number: int, said: bytes | str) -> ConnectorError:
    """What a server's word against us stands for."""
    words = _as_bytes(said)
    code = _code(number, words)
    kind: type[Any]
    fields: dict[str, Any] = {}
    if number in _WHO:
        kind = AuthenticationFailed
    elif " 4.7." in code:
        kind, fields = RateLimitExceeded, {"by_vendor": True}
    elif number == _GOING:
        kind = VendorFailed
    elif number < _PERMANENT:
        kind, fields = VendorRejected, {"retryable": True, "remedy": "Try again later."}
    else:
        kind = InvalidRequest if number in _WRONG else VendorRejected
    error: ConnectorError = kind(
        f"The server of mail refused: {code}",
        vendor_code=code,
        vendor_message=_told(words),
        **fields,
    )
    return error
