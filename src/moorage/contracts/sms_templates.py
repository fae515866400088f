"""Messages by WhatsApp and RCS from templates that the vendor has approved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.sms import SmsCapability, check_number
from moorage.contracts.validators import (
    OneOf,
    are_texts,
    as_table,
    as_tuple,
    is_a,
    is_filled,
    is_maybe,
    is_maybe_filled,
    is_tuple,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

_NAME: Final = late_pattern(r"[0-9A-Za-z_]{1,64}")


class TemplateChannel(OneOf, field="channel"):
    """The way by which a message from a template reaches its recipient."""

    WHATSAPP = "whatsapp"
    RCS = "rcs"


_CHANNEL_CAPABILITIES: Final = {
    TemplateChannel.WHATSAPP: SmsCapability.WHATSAPP,
    TemplateChannel.RCS: SmsCapability.RCS,
}
_NEEDED_CAPABILITIES: Final = {
    "sender_pool": SmsCapability.SENDER_POOL,
    "sms_fallback": SmsCapability.SMS_FALLBACK,
    "callback_url": SmsCapability.CALLBACK,
}
"""The capability that each optional field of a message needs."""


def _is_number(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    check_number(value, attribute.name)


def _as_variables(value: Any) -> Any:
    """Variables as a table; values in a series are named by their positions, from "1" on."""
    if isinstance(value, (set, frozenset)):
        raise InvalidData(
            "The variables of the template are a set, which has no order.",
            field="variables",
            remedy="Give a list in the order of the placeholders, or a dict with their names.",
        )
    variables = as_tuple(value)
    if is_tuple(variables):
        return {str(position): text for position, text in enumerate(variables, 1)}
    return as_table(variables)


def _check_variables(_: object, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    are_texts(_, attribute, value)
    for name, text in value.items():
        if _NAME.fullmatch(name) is None or not text.strip():
            raise InvalidData(
                "A variable of the template has an invalid name or an empty value.",
                field=attribute.name,
                remedy="Use only letters, digits and '_' in the name, and give a value that is"
                " not empty.",
            )


@frozen(kw_only=True)
class TemplateMessage:
    """A message to one recipient, from a template that the vendor has approved.

    Attributes:
        to: number in E.164 form.
        channel: way by which the message is sent.
        template: the vendor's name or id of the template.
        language: language of the template, such as "en" or "pt_BR"; required by vendors whose
            template has several languages.
        variables: values for the placeholders of the template by their names, or in the order of
            their positions.
        sender: your sender on this channel; by default the account's own.
        sender_pool: the vendor's name of a pool of senders, given instead of a sender.
        sms_fallback: text of the SMS that is sent if the channel does not reach the recipient.
        callback_url: URL that the vendor reports the status to.
        reference: text of your own that the vendor stores with the message, if it can.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    to: str = field(validator=_is_number, repr=False)
    channel: TemplateChannel = field(converter=TemplateChannel)
    template: str = field(validator=is_filled)
    language: str | None = field(default=None, validator=is_maybe_filled)
    variables: Mapping[str, str] = field(
        factory=dict, converter=_as_variables, validator=_check_variables, repr=False
    )
    sender: str | None = field(default=None, validator=is_maybe(str))
    sender_pool: str | None = field(default=None, validator=is_maybe(str))
    sms_fallback: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    callback_url: str | None = field(default=None, repr=False, validator=is_maybe(str))
    reference: str | None = field(default=None, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to send this message."""
        optional_capabilities = [
            capability for name, capability in _NEEDED_CAPABILITIES.items() if getattr(self, name)
        ]
        channel_capability = _CHANNEL_CAPABILITIES[self.channel]
        return frozenset({SmsCapability.TEMPLATES, channel_capability, *optional_capabilities})
