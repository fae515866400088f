"""The contract of text messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.contracts import sms, sms_opt_outs, sms_templates, verification
from moorage.contracts.calling_codes import country_of
from moorage.contracts.declaration import (
    Contract,
    Effect,
    Requirements,
    Target,
    changes,
    reads,
)
from moorage.contracts.ref import Ref
from moorage.contracts.sms import SmsCapability, SmsEvent, SmsMessage, check_number
from moorage.contracts.sms_templates import TemplateMessage
from moorage.contracts.validators import check_kind, check_maybe, check_text
from moorage.contracts.verification import VerificationRequest, as_code
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.sms import Balance, NumberCheck, SmsReceipt
    from moorage.contracts.sms_opt_outs import OptOut, OptOutPage
    from moorage.contracts.verification import Verification
    from moorage.domain.secrets.secret import Secret

_LOOK_UP: Final[Requirements[SmsReceipt]] = Requirements()
_CANCEL: Final[Requirements[SmsReceipt]] = Requirements()
_BALANCE: Final[Requirements[Balance]] = Requirements()
_COUNTRY: Final = re.compile("[A-Za-z]{2}")


class SmsContract(Contract):
    """Sends text messages by the vendor that the configuration chooses."""

    kind = "sms"
    capabilities = SmsCapability
    event = SmsEvent
    values = (sms, sms_opt_outs, sms_templates, verification)
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

    @changes(needs=SmsCapability.TEMPLATES)
    def send_template(
        self,
        message: TemplateMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[SmsReceipt]:
        """Send a message by WhatsApp or RCS from a template that the vendor has approved.

        Args:
            message: message with its recipient and template.
            idempotency_key: identifies this message: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        check_kind(message, TemplateMessage, "message")
        return Requirements(
            needs=message.needs, country=country_of(message.to), recipients=(message.to,)
        )

    @reads(target=Target.REFERENCE, needs=SmsCapability.LOOK_UP)
    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[SmsReceipt]:
        """Get the current status of a message."""
        return _LOOK_UP

    @changes(target=Target.REFERENCE, needs=SmsCapability.CANCEL)
    def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[SmsReceipt]:
        """Cancel a message that is scheduled for later."""
        return _CANCEL

    @reads(needs=SmsCapability.VALIDATE_NUMBER)
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
        return Requirements(country=location)

    @reads(needs=SmsCapability.BALANCE)
    def check_balance(self, *, timeout: float | None = None) -> Requirements[Balance]:
        """Get the balance of the account."""
        return _BALANCE

    @reads(target=Target.PAGE, needs=SmsCapability.OPT_OUTS)
    def opt_outs(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[OptOutPage]:
        """Get a page of the numbers whose owners have opted out of messages.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        check_maybe(account, str, "account")
        start = None if after is None else Ref.parse(after, "after")
        return Requirements(arguments={"after": start})

    @reads(target=Target.ACCOUNT, needs=SmsCapability.OPT_OUTS)
    def find_opt_outs(
        self, number: str, *, account: str | None = None, timeout: float | None = None
    ) -> Requirements[tuple[OptOut, ...]]:
        """Get the opt-outs of a number; none if the vendor still sends messages to the number.

        Args:
            number: number in E.164 form.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        check_number(number, "number")
        check_maybe(account, str, "account")
        return Requirements()

    @changes(target=Target.ACCOUNT, needs=SmsCapability.OPT_OUTS)
    def remove_opt_out(
        self, number: str, *, account: str | None = None, timeout: float | None = None
    ) -> Requirements[None]:
        """Allow messages to a number again, after its owner has agreed to that.

        Args:
            number: number in E.164 form; a number that has not opted out stays unchanged.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: only the owner can opt in again, or it is too early.
        """
        check_number(number, "number")
        check_maybe(account, str, "account")
        return Requirements()

    @changes(deferrable=False, needs=SmsCapability.VERIFICATION)
    def start_verification(
        self,
        request: VerificationRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Verification]:
        """Send a verification code, which the vendor makes and keeps.

        Args:
            request: number that gets the code.
            idempotency_key: identifies this code: a repeat returns the same verification.
            timeout: seconds for the whole operation.
        """
        check_kind(request, VerificationRequest, "request")
        return Requirements(
            needs=request.needs, country=country_of(request.to), recipients=(request.to,)
        )

    @changes(target=Target.REFERENCE, deferrable=False, needs=SmsCapability.VERIFICATION)
    def check_verification(
        self, ref: Ref | str, code: Secret | str, *, to: str, timeout: float | None = None
    ) -> Requirements[Verification]:
        """Check a code that a person entered, which uses up an attempt.

        moorage never repeats a check: after a lost response, ask for the code again.

        Args:
            ref: reference of the verification.
            code: entered code.
            to: number that is to be verified; a code that was sent to another number is refused
                where the vendor states the number.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the code was sent to another number.
        """
        check_number(to, "to")
        return Requirements(arguments={"code": as_code(code)})


def _check_country(country: object) -> None:
    if not isinstance(country, str) or _COUNTRY.fullmatch(country) is None:
        raise InvalidData(
            "The country is not a valid country code.",
            field="country",
            remedy="Give the two letters of the country, such as 'DE', or leave the field out.",
        )
