"""Verification codes: a vendor sends a code to a number, and checks the entered code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.replays import replay_field
from moorage.contracts.sms import SmsCapability, check_number
from moorage.contracts.validators import OneOf, is_a
from moorage.contracts.vendor import no_options
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.ref import Ref

_CODE: Final = re.compile("[0-9A-Za-z]{4,10}")


class VerificationChannel(OneOf, field="channel"):
    """The way by which a code reaches the owner of a number: a text message or a call."""

    SMS = "sms"
    CALL = "call"


class VerificationStatus(StrEnum):
    """The state of a verification."""

    PENDING = "pending"
    """The code is on its way, or a wrong one was entered and another attempt is allowed."""
    APPROVED = "approved"
    """The right code was entered."""
    ENDED = "ended"
    """The code is too old, was used, or a wrong code was entered too often: send another code."""
    UNKNOWN = "unknown"
    """moorage does not know the vendor's word for the state."""


def _is_number(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    check_number(value, attribute.name)


@frozen(kw_only=True)
class VerificationRequest:
    """A request for a code that only the owner of a number receives.

    Attributes:
        to: number in E.164 form.
        channel: way in which the code is sent.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    to: str = field(validator=_is_number, repr=False)
    channel: VerificationChannel = field(
        default=VerificationChannel.SMS, converter=VerificationChannel
    )
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to send this code."""
        is_call = self.channel is VerificationChannel.CALL
        calls = {SmsCapability.VERIFICATION_CALL} if is_call else ()
        return frozenset({SmsCapability.VERIFICATION, *calls})


@frozen(kw_only=True)
class Verification:
    """The state of a verification by the vendor's response, without the code.

    Attributes:
        ref: reference of the verification at the vendor.
        status: state of the verification.
        vendor_status: the vendor's own word for the state.
        attempts_left: number of further attempts, if the vendor states it.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref
    status: VerificationStatus
    vendor_status: str | None = None
    attempts_left: int | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def approved(self) -> bool:
        """True if the right code was entered."""
        return self.status is VerificationStatus.APPROVED


def as_code(code: Secret | str) -> Secret:
    """A code that a person entered, as a secret, so that no error, log or repr shows it.

    Raises:
        InvalidData: this cannot be a code. No attempt is used up.
    """
    if isinstance(code, Secret) and _CODE.fullmatch(code.reveal()) is not None:
        return code
    if isinstance(code, str) and _CODE.fullmatch(code.strip()) is not None:
        return Secret(code.strip())
    raise InvalidData(
        "The verification code has an invalid form.",
        field="code",
        remedy="Give the 4 to 10 digits or letters that the person entered, as a string.",
    )
