"""SMTP: email through any mail server.

This module writes the message, and a transport sends it. Servers take no idempotency key, so a
message that may have been accepted is not sent again. With a key, the Message-ID is derived from
it, so that the message can be found. Each recipient of a bulk message gets a separate message.
"""

from __future__ import annotations

import hashlib
import re
from email.utils import format_datetime
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.email import EmailCapability, EmailMessage
from moorage.contracts.email_address import EmailAddress, as_address
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus, RecipientOutcome
from moorage.vendors.email._common import derived_message_id
from moorage.vendors.email._mime import mime_bytes, needs_smtputf8

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email_bulk import BulkMessage

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PERMANENT: Final = 500
_LAST_PORT: Final = 65_535
_DAY: Final = 86_400
_HOST: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?")


def _is_security(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if value not in _PORTS:
        raise sdk.ConfigurationError(
            f"{value!r} is not a way to protect an SMTP connection.",
            path=attribute.name,
            remedy=f"Use one of {', '.join(_PORTS)}.",
        )


def _is_host(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not (_HOST.fullmatch(value) or _is_address(value)):
        raise sdk.ConfigurationError(
            "The host is not the name or the IP address of a machine.",
            path=attribute.name,
            remedy="Set a name such as mail.example, without a scheme. The port is a separate"
            " option.",
        )


def _is_step_timeout(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value <= _DAY:
        raise sdk.ConfigurationError(
            "The step timeout is not a positive number of seconds, or is longer than a day.",
            path=attribute.name,
            remedy="Set a number of seconds, such as 30.",
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _usual_port(vendor: Smtp) -> int:
    return _PORTS.get(vendor.security, 0)


@attrs.frozen(kw_only=True)
class Smtp(sdk.Vendor):
    """A mail server.

    Attributes:
        host: name of the server, for which its certificate must be valid.
        port: port of the server; by default the usual one for `security`.
        security: `starttls` switches to TLS before anything is sent, `tls` begins with it, and
            `none` is for servers on this machine.
        username, credentials: user and password; by default the credential provider supplies both.
        login: True if the server requires authentication.
        sender: sender of messages that name none.
        step_timeout: seconds for each step of a session.
    """

    name: ClassVar[str] = "smtp"
    kinds: ClassVar[tuple[str, ...]] = ("email",)
    capabilities: ClassVar[frozenset[str]] = sdk.members_of(
        EmailCapability,
        "amp_html attachments custom_headers envelope_sender inline_images international"
        " unsubscribe",
    )
    limits: ClassVar[Mapping[str, int]] = {"batch": 100, "recipients": 100}
    transport: ClassVar[str | None] = "smtp"

    host: str = attrs.field(validator=_is_host)
    security: str = attrs.field(
        default="starttls", validator=_is_security, metadata=sdk.choices(*_PORTS)
    )
    port: int = attrs.field(
        default=attrs.Factory(_usual_port, takes_self=True),
        validator=sdk.whole_number(most=_LAST_PORT),
    )
    username: str | None = attrs.field(default=None, repr=False)
    credentials: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    login: bool = True
    sender: EmailAddress | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_address)
    )
    step_timeout: float = attrs.field(default=30.0, validator=_is_step_timeout)

    def __attrs_post_init__(self) -> None:
        """Refuse an unprotected connection, and a login that is incomplete or switched off."""
        if self.security == "none" and self.host not in _LOCAL_HOSTS:
            raise sdk.ConfigurationError(
                "The SMTP connection to another machine would not be encrypted.",
                path="security",
                remedy="Set `security` to 'starttls' or 'tls'.",
            )
        has_username, has_password = self.username is not None, self.credentials is not None
        if not self.login and (has_username or has_password):
            raise sdk.ConfigurationError(
                "The account has a user name or a password, but its login is turned off.",
                path="login",
                remedy="Remove `login`, or remove `username` and `credentials`.",
            )
        if has_password and not has_username:
            raise sdk.ConfigurationError(
                "The account has a password, but no user name.",
                path="username",
                remedy="Give the username.",
            )

    def services(self) -> Mapping[str, sdk.Service]:
        """The service that protects SMTP sessions; it has no URL."""
        credentials = sdk.Credentials.none()
        if self.credentials is not None:
            credentials = sdk.Credentials.basic(self.username or "", self.credentials)
        needs_password = self.login and self.credentials is None
        return {
            "": sdk.Service(
                "smtp",
                credentials=None if needs_password else credentials,
                needs_credentials=needs_password,
            ),
        }

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        sender = message.from_ or self.sender
        if sender is None:
            raise sdk.ConfigurationError(
                "The message has no sender.",
                path="sender",
                remedy="Set `from_` in the message, or the account's option `sender`.",
            )
        id_ = message_id(wire, sender, key)
        encoded_message = mime_bytes(message, sender, id_)
        dated_message = f"Date: {format_datetime(wire.now())}\r\n".encode() + encoded_message
        envelope = {
            "sender": (message.envelope_sender or sender).wire,
            "recipients": [address.wire for address in message.everybody],
            "wide": needs_smtputf8(message, sender),
        }
        reply = await wire.execute(
            "deliver",
            await wire.credentials(),
            envelope,
            dated_message,
            key=key,
            payload={"envelope": envelope, "message": hashlib.sha256(encoded_message).hexdigest()},
        )
        return read_receipt(wire, id_, message, reply)

    async def send_bulk(
        self, wire: sdk.Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        """Send a message to each recipient."""
        steps = [
            partial(
                self.send_transactional,
                wire,
                bulk.message_to(recipient),
                key=None if key is None else sdk.part_key(key, number),
            )
            for number, recipient in enumerate(bulk.recipients, 1)
        ]
        return await wire.run_all(steps, at_once=4)


def message_id(wire: sdk.Wire, sender: EmailAddress, key: str | None) -> str:
    """The Message-ID header; a repeated idempotency key of a tenant gives the same value."""
    return f"<{derived_message_id(wire, key)}@{sender.wire.rpartition('@')[2]}>"


def read_receipt(
    wire: sdk.Wire, id_: str, message: EmailMessage, reply: Mapping[str, Any]
) -> EmailReceipt:
    """Parse a server's replies to a message accepted for at least one recipient."""
    refusals: Mapping[str, list[Any]] = reply["refused"]
    recipients = [_outcome(address, refusals.get(address.wire)) for address in message.everybody]
    count = len(refusals)
    return EmailReceipt(
        ref=wire.ref(id_),
        status=EmailStatus.QUEUED,
        vendor_status=reply["reply"],
        recipients=tuple(recipients),
        warnings=(f"The server refused {count} of the recipients.",) if count else (),
        raw=dict(reply),
    )


def _outcome(address: EmailAddress, refusal: list[Any] | None) -> RecipientOutcome:
    if refusal is None:
        return RecipientOutcome(email=address.email, status=EmailStatus.QUEUED)
    number, code, words = refusal
    status = EmailStatus.REJECTED if number >= _PERMANENT else EmailStatus.FAILED
    return RecipientOutcome(email=address.email, status=status, code=code, reason=words)
