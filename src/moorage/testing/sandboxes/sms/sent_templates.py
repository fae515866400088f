"""The messages from templates that a sandbox has accepted, in a common form for all vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(kw_only=True)
class SentTemplate:
    """A message from a template that a sandbox has accepted.

    Attributes:
        id: the vendor's id of the message.
        to: number of the recipient in E.164 form.
        channel: "whatsapp" or "rcs".
        template: name or id of the template.
        language: language of the template; None if the request states none.
        variables: values for the placeholders, by name.
        sender: the sender on the channel, without the vendor's prefix; None for a pool of senders.
        sms_fallback: text of the SMS that is sent if the channel does not reach the recipient.
    """

    id: str
    to: str
    channel: str
    template: str
    language: str | None
    variables: Mapping[str, str]
    sender: str | None
    sms_fallback: str | None = None
