"""Orders to pay money: credit transfers, in batches and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from moorage.contracts.validators import are_all, as_tuple, is_a, is_day
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import date, datetime

    from moorage.contracts.bank.references import CreditorReference
    from moorage.domain.values.money import Money


@frozen(kw_only=True)
class CreditTransfer:
    """A payment to a creditor.

    Attributes:
        end_to_end_id: your identifier, which reaches the creditor and comes back in statements;
            `NOT_PROVIDED` for none. Any other identifier must be unique in a file.
        amount: euros above zero.
        creditor: the party that is paid.
        remittance: text of at most 140 characters, or a structured creditor reference.
        instruction_id: identifier for your bank only.
        purpose: code of ISO 20022's external list, such as `SALA`.
        ultimate_debtor, ultimate_creditor: names of parties for whom the payment is made.
    """

    end_to_end_id: str = field(validator=is_identifier)
    amount: Money = field(validator=is_payable)
    creditor: BankParty = field(validator=is_a(BankParty))
    remittance: str | CreditorReference | None = field(
        default=None, repr=False, validator=is_remittance
    )
    instruction_id: str | None = field(default=None, validator=is_maybe_identifier)
    purpose: str | None = field(default=None, validator=is_maybe_code)
    ultimate_debtor: str | None = field(default=None, repr=False, validator=maybe_at_most(70))
    ultimate_creditor: str | None = field(default=None, repr=False, validator=maybe_at_most(70))


@frozen(kw_only=True)
class CreditTransferBatch:
    """Payments from one account on one day.

    Attributes:
        id: your identifier of the batch, unique in a file.
        debtor: the party that pays.
        execution_date: day on which the bank is to carry them out.
        transfers: the payments.
        single_booking: True for one entry in the statement for the whole batch, False for one each.
        instant: True for SEPA instant payments.
        category: code of the category purpose, such as `SALA` for wages.
    """

    id: str = field(validator=is_identifier)
    debtor: BankParty = field(validator=is_a(BankParty))
    execution_date: date = field(validator=is_day)
    transfers: tuple[CreditTransfer, ...] = field(
        converter=as_tuple, validator=[are_all(CreditTransfer), has_items]
    )
    single_booking: bool = field(default=True, validator=is_a(bool))
    instant: bool = field(default=False, validator=is_a(bool))
    category: str | None = field(default=None, validator=is_maybe_code)

    @property
    def total(self) -> Money:
        """The sum of the payments."""
        return total_of(payment.amount for payment in self.transfers)


@frozen(kw_only=True)
class CreditTransferFile:
    """A file of payments (`pain.001`).

    Attributes:
        message_id: your identifier of the file. Banks refuse a second file with the same one, so
            keep it with your payment run and write the same file again if you do not know
            whether the bank received it.
        created: time at which the run was made, to the second.
        initiator: name of the party that sends the file.
        batches: payments by account and day.
    """

    message_id: str = field(validator=is_identifier)
    created: datetime = field(converter=whole_second, validator=is_time)
    initiator: str = field(repr=False, validator=at_most(70))
    batches: tuple[CreditTransferBatch, ...] = field(
        converter=as_tuple, validator=[are_all(CreditTransferBatch), has_items]
    )

    def __attrs_post_init__(self) -> None:
        """Refuse identifiers that are used twice."""
        check_identifiers(
            [batch.id for batch in self.batches],
            [transfer.end_to_end_id for batch in self.batches for transfer in batch.transfers],
        )

    @property
    def count(self) -> int:
        """The number of payments."""
        return sum(len(batch.transfers) for batch in self.batches)

    @property
    def total(self) -> Money:
        """The sum of all payments."""
        return total_of(batch.total for batch in self.batches)
