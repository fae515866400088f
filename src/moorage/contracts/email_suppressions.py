"""Suppressed addresses, to which an email vendor sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.email_outcomes import RejectReason
    from moorage.contracts.ref import Ref


@frozen(kw_only=True)
class Suppression:
    """An address on the vendor's list of suppressed addresses, and the reason.

    Attributes:
        email: the address.
        reason: reason in the words of all vendors; `blocked` for an address that a person or
            program added.
        vendor_reason: the vendor's own word for the reason, or the name of its list.
        at: time since when the address is suppressed, if the vendor states it.
        raw: the vendor's complete entry.
    """

    email: str = field(repr=False)
    reason: RejectReason
    vendor_reason: str | None = None
    at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class SuppressionPage:
    """A page of suppressed addresses.

    Attributes:
        items: suppressed addresses of this page, which may be none even if others follow.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[Suppression, ...]
    next: Ref | None = None
