"""Orders to collect money: direct debits with their mandates, in batches and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.contracts.bank.iban import Iban
from moorage.contracts.bank.payment_orders.fields import (
    at_most,
    check_identifiers,
    has_items,
    is_identifier,
    is_maybe_code,
    is_maybe_identifier,
    is_payable,
    is_remittance,
    is_time,
    maybe_at_most,
    total_of,
    whole_second,
)
from moorage.contracts.bank.payment_orders.parties import BankParty
from moorage.contracts.bank.references import CreditorId, CreditorReference
from moorage.contracts.validators import OneOf, are_all, as_tuple, is_a, is_day, is_maybe
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import date, datetime

    from moorage.domain.values.money import Money


class SequenceType(OneOf, field="sequence"):
    """The position of a direct debit in its mandate's series: one-off, first, recurring, final."""

    ONE_OFF = "OOFF"
    FIRST = "FRST"
    RECURRING = "RCUR"
    FINAL = "FNAL"


class DebitScheme(OneOf, field="scheme"):
    """The scheme of a direct debit: `CORE` for everybody, `B2B` between businesses."""

    CORE = "CORE"
    B2B = "B2B"


@frozen(kw_only=True)
class MandateAmendment:
    """A change of a mandate since the last direct debit; at least one field is set.

    Attributes:
        original_id: the mandate's previous identifier.
        original_creditor_id: the creditor's previous identifier.
        original_creditor_name: the creditor's previous name.
        original_iban: the debtor's previous account.
        other_account: True if the debtor now uses an account at another bank.
    """

    original_id: str | None = field(default=None, validator=is_maybe_identifier)
    original_creditor_id: CreditorId | None = field(default=None, converter=optional(CreditorId))
    original_creditor_name: str | None = field(
        default=None, repr=False, validator=maybe_at_most(70)
    )
    original_iban: Iban | None = field(default=None, converter=optional(Iban))
    other_account: bool = field(default=False, validator=is_a(bool))

    def __attrs_post_init__(self) -> None:
        """Refuse an amendment without a change, or with both original_iban and other_account."""
        values = attrs.astuple(self, recurse=False)
        if not any(values) or (self.original_iban is not None and self.other_account):
            raise InvalidData(
                "The mandate amendment changes nothing, or names the previous account in two ways.",
                field="amendment",
                remedy="Give the values before the change; for an unchanged mandate, give None"
                " instead of an amendment.",
            )


@frozen(kw_only=True)
class Mandate:
    """The debtor's permission for direct debits.

    Attributes:
        id: the mandate's identifier, at most 35 characters.
        signed: day of the signature.
        amendment: change since the last direct debit.
    """

    id: str = field(validator=is_identifier)
    signed: date = field(validator=is_day)
    amendment: MandateAmendment | None = field(default=None, validator=is_maybe(MandateAmendment))


@frozen(kw_only=True)
class DirectDebitOrder:
    """A payment to collect from a debtor.

    Attributes:
        end_to_end_id: your identifier, which comes back in statements and returns; `NOT_PROVIDED`
            for none. Any other identifier must be unique in a file.
        amount: euros above zero.
        debtor: the party that pays.
        mandate: its permission.
        remittance: text of at most 140 characters, or a structured creditor reference.
        instruction_id: identifier for your bank only.
        purpose: code of ISO 20022's external list.
        ultimate_debtor: name of the party for whom the debtor pays.
    """

    end_to_end_id: str = field(validator=is_identifier)
    amount: Money = field(validator=is_payable)
    debtor: BankParty = field(validator=is_a(BankParty))
    mandate: Mandate = field(validator=is_a(Mandate))
    remittance: str | CreditorReference | None = field(
        default=None, repr=False, validator=is_remittance
    )
    instruction_id: str | None = field(default=None, validator=is_maybe_identifier)
    purpose: str | None = field(default=None, validator=is_maybe_code)
    ultimate_debtor: str | None = field(default=None, repr=False, validator=maybe_at_most(70))


@frozen(kw_only=True)
class DirectDebitBatch:
    """Direct debits to one account on one day, of one scheme and sequence type.

    Attributes:
        id: your identifier of the batch, unique in a file.
        creditor: the party that collects.
        creditor_id: its SEPA creditor identifier; a string is parsed.
        collection_date: day on which the debtors' banks are to pay.
        debits: the direct debits.
        sequence: position of the direct debits under their mandates.
        scheme: `CORE` or `B2B`.
        single_booking: True for one entry in the statement for the whole batch, False for one each.
        category: code of the category purpose.
    """

    id: str = field(validator=is_identifier)
    creditor: BankParty = field(validator=is_a(BankParty))
    creditor_id: CreditorId = field(converter=CreditorId)
    collection_date: date = field(validator=is_day)
    debits: tuple[DirectDebitOrder, ...] = field(
        converter=as_tuple, validator=[are_all(DirectDebitOrder), has_items]
    )
    sequence: SequenceType = field(converter=SequenceType)
    scheme: DebitScheme = field(default=DebitScheme.CORE, converter=DebitScheme)
    single_booking: bool = field(default=True, validator=is_a(bool))
    category: str | None = field(default=None, validator=is_maybe_code)

    @property
    def total(self) -> Money:
        """The sum of the direct debits."""
        return total_of(debit.amount for debit in self.debits)


@frozen(kw_only=True)
class DirectDebitFile:
    """A file of direct debits (`pain.008`).

    Attributes:
        message_id: your identifier of the file. Banks refuse a second file with the same one, so
            keep it with your collection run and write the same file again if you do not know
            whether the bank received it.
        created: time at which the run was made, to the second.
        initiator: name of the party that sends the file.
        batches: direct debits by account, day, scheme and sequence type.
    """

    message_id: str = field(validator=is_identifier)
    created: datetime = field(converter=whole_second, validator=is_time)
    initiator: str = field(repr=False, validator=at_most(70))
    batches: tuple[DirectDebitBatch, ...] = field(
        converter=as_tuple, validator=[are_all(DirectDebitBatch), has_items]
    )

    def __attrs_post_init__(self) -> None:
        """Refuse identifiers that are used twice."""
        check_identifiers(
            [batch.id for batch in self.batches],
            [debit.end_to_end_id for batch in self.batches for debit in batch.debits],
        )

    @property
    def count(self) -> int:
        """The number of direct debits."""
        return sum(len(batch.debits) for batch in self.batches)

    @property
    def total(self) -> Money:
        """The sum of all direct debits."""
        return total_of(batch.total for batch in self.batches)
