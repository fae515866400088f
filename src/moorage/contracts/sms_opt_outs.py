"""Numbers whose owners want no more text messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.ref import Ref


@frozen(kw_only=True)
class OptOut:
    """A number that the vendor sends nothing to, because its owner has opted out.

    Attributes:
        number: number in E.164 form.
        sender: sender that the number has opted out of; None if the opt-out applies to all
            senders of the account.
        vendor_reason: the vendor's own word for the reason.
        at: time of the opt-out, if the vendor states it.
        raw: the vendor's complete entry.
    """

    number: str = field(repr=False)
    sender: str | None = None
    vendor_reason: str | None = None
    at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class OptOutPage:
    """A page of opt-outs.

    Attributes:
        items: opt-outs of this page.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[OptOut, ...]
    next: Ref | None = None
