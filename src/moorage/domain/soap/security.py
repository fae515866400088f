"""The WS-Security header of SOAP requests: a user name token and a timestamp."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from hashlib import sha1, sha256
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

import attrs

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.signing.context import SigningContext

_OASIS: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_SECURITY: Final = f"{_OASIS}wssecurity-secext-1.0.xsd"
_UTILITY_NAMESPACE: Final = f"{_OASIS}wssecurity-utility-1.0.xsd"
_PASSWORD_TYPE: Final = f"{_OASIS}username-token-profile-1.0#Password"
_BASE64: Final = f"{_OASIS}soap-message-security-1.0#Base64Binary"
_FORBIDDEN_CHARACTERS: Final = late_pattern("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NONCE_LENGTH: Final = 16
_BODY: Final = b"<soap-env:Body"
_HEADER_END: Final = b"</soap-env:Header>"


def _password(value: Secret | str | None) -> Secret | None:
    return None if value is None else as_secret(value)


@with_careful_constructor
@attrs.frozen(kw_only=True)
class SoapSecurity:
    """The WS-Security header that each attempt of a SOAP request carries.

    Attributes:
        username: the user name of a user name token; None to send no token.
        password: the password of the token.
        digest: whether to send a hash of the password, a nonce and the time, instead of the
            password itself. Use it only if the service requires it: the hash is SHA-1, as the
            standard requires, and protects the password less than TLS does.
        valid_for: the time for which the request is valid, which a timestamp states; None
            to send no timestamp.
    """

    username: str | None = attrs.field(default=None, repr=False)
    password: Secret | None = attrs.field(default=None, converter=_password, repr=False)
    digest: bool = False
    valid_for: timedelta | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse an incomplete user name token, and one with characters that XML cannot contain."""
        if (self.username is None) is not (self.password is None):
            missing_field = "username" if self.username is None else "password"
            raise InvalidData(
                f"The user name token has no {missing_field}.",
                field=missing_field,
                remedy="Set both the user name and the password, or remove both.",
            )
        if self.digest and self.username is None:
            raise InvalidData(
                "digest is set, but there is no user name token to send as a digest.",
                field="digest",
                remedy="Set username and password, or remove digest.",
            )
        if self.valid_for is not None and self.valid_for <= timedelta():
            raise InvalidData(
                "The validity of the request is not positive.",
                field="valid_for",
                remedy="Set a positive duration, such as timedelta(minutes=5).",
            )
        password = "" if self.password is None else self.password.reveal()
        if _FORBIDDEN_CHARACTERS.search(f"{self.username}{password}"):
            del password
            raise InvalidData(
                "The user name or the password contains a character that XML does not allow.",
                field="password",
                remedy="Remove control characters, such as line breaks.",
            )

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets of the WS-Security header, to be masked in texts of the service."""
        return () if self.password is None else (self.password,)

    def body(self, body: bytes, context: SigningContext) -> bytes:
        """Return a SOAP envelope with the WS-Security header of one attempt."""
        header = self._header(context).encode()
        head_text, end, tail_text = body.partition(_HEADER_END)
        if end:
            return b"".join((head_text, header, end, tail_text))
        head_text, start, tail_text = body.partition(_BODY)
        return b"".join((head_text, b"<soap-env:Header>", header, _HEADER_END, start, tail_text))

    def _header(self, context: SigningContext) -> str:
        created = _time_text(context.now)
        parts: list[str] = []
        if self.valid_for is not None:
            expires = _time_text(context.now + self.valid_for)
            parts.append(
                f"<wsu:Timestamp><wsu:Created>{created}</wsu:Created>"
                f"<wsu:Expires>{expires}</wsu:Expires></wsu:Timestamp>"
            )
        if self.username is not None and self.password is not None:
            parts.append(
                f"<wsse:UsernameToken><wsse:Username>{escape(self.username)}</wsse:Username>"
                f"{self._proof(self.password, created, context.nonce)}</wsse:UsernameToken>"
            )
        return (
            f'<wsse:Security xmlns:wsse="{_SECURITY}" xmlns:wsu="{_UTILITY_NAMESPACE}">'
            f"{''.join(parts)}</wsse:Security>"
        )

    def _proof(self, password: Secret, created: str, seed: str) -> str:
        if not self.digest:
            text = escape(password.reveal(), {"\r": "&#13;"})
            return f'<wsse:Password Type="{_PASSWORD_TYPE}Text">{text}</wsse:Password>'
        nonce = sha256(seed.encode()).digest()[:_NONCE_LENGTH]
        parts = nonce + created.encode() + password.reveal_bytes()
        digest = sha1(parts, usedforsecurity=False).digest()
        return (
            f'<wsse:Password Type="{_PASSWORD_TYPE}Digest">{b64encode(digest).decode()}'
            f'</wsse:Password><wsse:Nonce EncodingType="{_BASE64}">{b64encode(nonce).decode()}'
            f"</wsse:Nonce><wsu:Created>{created}</wsu:Created>"
        )


def _time_text(moment: datetime) -> str:
    """Return a time as text in UTC with milliseconds, as most SOAP services expect it."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
