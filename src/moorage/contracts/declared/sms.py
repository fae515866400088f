"""The contract of text messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.contracts import sms
from moorage.contracts.calling_codes import country_of
from moorage.contracts.declaration import (
    Contract,
    Effect,
    Requirements,
    Target,
    changes,
    reads,
)
from moorage.contracts.sms import SmsCapability, SmsEvent, SmsMessage, check_number
from moorage.contracts.validators import check_kind, check_text
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.sms import Balance, NumberCheck, SmsReceipt

_LOOK_UP: Final[Requirements[SmsReceipt]] = Requirements(needs={SmsCapability.LOOK_UP})
_CANCEL: Final[Requirements[SmsReceipt]] = Requirements(needs={SmsCapability.CANCEL})
_BALANCE: Final[Requirements[Balance]] = Requirements(needs={SmsCapability.BALANCE})
_COUNTRY: Final = re.compile("[A-Za-z]{2}")


class SmsContract(Contract):
    """Sends text messages by the vendor that the configuration chooses."""

    kind = "sms"
    capabilities = SmsCapability
    event = SmsEvent
    values = (sms,)
    flows = {"send_bulk": Effect.DEFERRABLE}

    @changes()
    def send(
        self,
        message: SmsMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[SmsReceipt]:
        """Send a text message.

        Args:
            message: message with its recipient.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        check_kind(message, SmsMessage, "message")
        return Requirements(
            needs=message.needs, country=country_of(message.to), recipients=(message.to,)
        )

    @reads(target=Target.REFERENCE)
    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[SmsReceipt]:
        """Get the current status of a message."""
        return _LOOK_UP

    @changes(target=Target.REFERENCE)
    def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[SmsReceipt]:
        """Cancel a message that is scheduled for later."""
        return _CANCEL

    @reads()
    def validate_number(
        self, number: str, *, country: str | None = None, timeout: float | None = None
    ) -> Requirements[NumberCheck]:
        """Look up a telephone number.

        Args:
            number: number in international form, or as it is written in `country`.
            country: ISO 3166 code of two letters.
            timeout: seconds for the whole operation.
        """
        if country is None:
            check_number(number, "number")
        else:
            check_text(number, "number")
            _check_country(country)
        location = country_of(number) if country is None else country.upper()
        return Requirements(needs={SmsCapability.VALIDATE_NUMBER}, country=location)

    @reads()
    def check_balance(self, *, timeout: float | None = None) -> Requirements[Balance]:
        """Get the balance of the account."""
        return _BALANCE


def _check_country(country: object) -> None:
    if not isinstance(country, str) or _COUNTRY.fullmatch(country) is None:
        raise InvalidData(
            "The country is not a valid country code.",
            field="country",
            remedy="Give its two letters, such as 'DE', or leave it out.",
        )
