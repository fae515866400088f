"""Journal entries. The debits of an entry equal its credits."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.accounting.amounts import ZERO, is_positive_or_zero
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import are_all, as_tuple, is_a, is_day, is_filled, is_maybe_filled
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal

    from moorage.contracts.ref import Ref


class JournalState(StrEnum):
    """The state of a journal entry in the books."""

    DRAFT = "draft"
    POSTED = "posted"
    VOID = "void"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class JournalLine:
    """A line of a journal entry, with either a debit or a credit.

    Attributes:
        account: the account, by the `id` of a `LedgerAccount`.
        debit: amount on the debit side, in the currency of the books.
        credit: amount on the credit side, in the currency of the books.
        description: text of the line.
    """

    account: str = field(validator=is_filled)
    debit: Decimal = field(default=ZERO, validator=is_positive_or_zero)
    credit: Decimal = field(default=ZERO, validator=is_positive_or_zero)
    description: str | None = field(default=None, repr=False, validator=is_maybe_filled)

    def __attrs_post_init__(self) -> None:
        """Refuse a line that has both a debit and a credit, or neither of them."""
        if bool(self.debit) is bool(self.credit):
            raise InvalidData(
                "The journal line must have either a debit or a credit.",
                field="debit",
                remedy="Give the amount in one of the two fields, and leave the other out.",
            )


@frozen(kw_only=True)
class Journal:
    """A journal entry. Its debits equal its credits.

    Attributes:
        date: date of the entry.
        narration: text of the entry.
        lines: the entry's lines; at least two.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    date: dt.date = field(validator=is_day)
    narration: str = field(repr=False, validator=is_filled)
    lines: tuple[JournalLine, ...] = field(converter=as_tuple, validator=are_all(JournalLine))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an entry whose debits and credits differ."""
        debits = sum([line.debit for line in self.lines], ZERO)
        credits_ = sum([line.credit for line in self.lines], ZERO)
        if debits != credits_ or not self.lines:
            raise InvalidData(
                f"The journal entry is not balanced: its debits are {debits}, and its credits are"
                f" {credits_}.",
                field="lines",
                remedy="Give lines whose debits and credits are equal.",
            )


@frozen(kw_only=True)
class JournalRecord:
    """A journal entry in the books.

    Attributes:
        ref: reference of the entry.
        state: state of the entry.
        vendor_state: the vendor's own word for the state, if it has one.
        number: number of the entry, if the vendor gives one.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: JournalState
    vendor_state: str | None = None
    number: str | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)
