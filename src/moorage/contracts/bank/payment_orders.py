"""Orders to a bank: SEPA credit transfers and direct debits, as values.

Nothing here has a clock: identifiers, dates and times are arguments, so that the same order is the
same value, and makes the same bytes.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.bank.bic import Bic
from moorage.contracts.bank.iban import Iban
from moorage.contracts.bank.references import CreditorId, CreditorReference
from moorage.contracts.validators import (
    OneOf,
    are_all,
    as_tuple,
    check_kind,
    check_text,
    is_a,
    is_day,
    is_maybe,
)
from moorage.domain.values.countries import COUNTRIES
from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.money import Money
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.contracts.validators import Check

NOT_PROVIDED: Final = "NOTPROVIDED"
"""The end-to-end identifier of a payment that has none."""

_IDENTIFIER: Final = late_pattern(r"[A-Za-z0-9?:().,'+ -]+(?:/[A-Za-z0-9?:().,'+ -]+)*")
_CODE: Final = late_pattern(r"[A-Z0-9]{4}")
_LARGEST_CENTS: Final = 99_999_999_999


class SequenceType(OneOf, field="sequence"):
    """The place of a direct debit among those of its mandate."""

    ONE_OFF = "OOFF"
    FIRST = "FRST"
    RECURRING = "RCUR"
    FINAL = "FNAL"


class DebitScheme(OneOf, field="scheme"):
    """The scheme of a direct debit: `CORE` for everybody, `B2B` between businesses."""

    CORE = "CORE"
    B2B = "B2B"


def _maybe_iban(value: Iban | str | None) -> Iban | None:
    return None if value is None else Iban(value)


def _maybe_bic(value: Bic | str | None) -> Bic | None:
    return None if value is None else Bic(value)


def _maybe_creditor_id(value: CreditorId | str | None) -> CreditorId | None:
    return None if value is None else CreditorId(value)


def _is_identifier(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_text(value, attribute.name)
    text = str(value)
    if len(text) > 35 or text != text.strip() or not _IDENTIFIER.fullmatch(text):
        raise InvalidData(
            f"The {attribute.name} is not an identifier that every bank accepts.",
            field=attribute.name,
            remedy="Give 1 to 35 letters, digits or signs of SEPA's Latin set, with no slash at"
            " the ends and no two slashes in a row.",
        )


def _is_maybe_identifier(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _is_identifier(_, attribute, value)


def _at_most(longest: int) -> Check:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        check_text(value, attribute.name)
        text = str(value)
        if not text.strip() or len(text) > longest:
            raise InvalidData(
                f"The {attribute.name} has {len(text)} characters; 1 to {longest} are allowed.",
                field=attribute.name,
                remedy="Shorten the text, or give None where it may be left out.",
            )

    return check


def _maybe_at_most(longest: int) -> Check:
    check = _at_most(longest)

    def maybe(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            check(_, attribute, value)

    return maybe


def _is_maybe_code(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (not isinstance(value, str) or not _CODE.fullmatch(value)):
        raise InvalidData(
            f"The {attribute.name} is not a code of four capitals.",
            field=attribute.name,
            remedy="Give a code of ISO 20022's external lists, such as 'SALA'.",
        )


def _is_payable(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_kind(value, Money, attribute.name)
    if isinstance(value, Money) and value.currency == "EUR" and 0 < value.minor <= _LARGEST_CENTS:
        return
    raise InvalidData(
        "A SEPA payment is in euros, from 0.01 to 999999999.99.",
        field=attribute.name,
        remedy="Give Money('149.90', 'EUR'); the kind of order says in which direction it goes.",
    )


def _is_country(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or value not in COUNTRIES:
        raise InvalidData(
            "The country is not a valid country code.",
            field=attribute.name,
            remedy="Give the two letters of ISO 3166, such as 'DE'.",
        )


def _is_remittance(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None or isinstance(value, CreditorReference):
        return
    if not isinstance(value, str):
        check_kind(value, str, attribute.name)
    _at_most(140)(_, attribute, value)


def _is_some(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if not value:
        raise InvalidData(
            f"There are no {attribute.name}.",
            field=attribute.name,
            remedy="Give at least one; banks refuse an empty file.",
        )


def _is_time(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, datetime):
        offset = value.utcoffset()
        if offset is None or offset % timedelta(minutes=1) == timedelta(0):
            return
    raise InvalidData(
        f"The {attribute.name} is not a time.",
        field=attribute.name,
        remedy="Give a datetime, such as datetime.now(UTC); keep it with the order.",
    )


def _whole_second(value: Any) -> Any:
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def _total(amounts: Iterable[Money]) -> Money:
    return Money.from_minor(sum(amount.minor for amount in amounts), "EUR")


def _check_identifiers(batches: list[str], payments: list[str]) -> None:
    for field, identifiers in (("id", batches), ("end_to_end_id", payments)):
        counts = Counter(identifiers)
        counts.pop(NOT_PROVIDED, None)
        repeated = [identifier for identifier, count in counts.items() if count > 1]
        if repeated:
            raise InvalidData(
                f"The {field} {repeated[0]!r} is used twice in the file.",
                field=field,
                remedy="Look for a payment that was listed twice; give each an id of its own.",
            )


@frozen(kw_only=True)
class PartyAddress:
    """A postal address in a SEPA file. The repr shows the country only.

    Attributes:
        country: ISO 3166 code of two letters.
        town, postal_code, street, building: the parts of a structured address; the town is at most
            35 characters, postal code and building 16, the street 70.
        lines: up to two lines of 70 characters for the rest. Banks accept lines without a town
            until November 2026.
    """

    country: str = attrs.field(validator=_is_country)
    town: str | None = attrs.field(default=None, repr=False, validator=_maybe_at_most(35))
    postal_code: str | None = attrs.field(default=None, repr=False, validator=_maybe_at_most(16))
    street: str | None = attrs.field(default=None, repr=False, validator=_maybe_at_most(70))
    building: str | None = attrs.field(default=None, repr=False, validator=_maybe_at_most(16))
    lines: tuple[str, ...] = attrs.field(
        default=(), repr=False, converter=as_tuple, validator=are_all(str)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse lines that are too many or too long."""
        if len(self.lines) > 2 or any(not 0 < len(line) <= 70 for line in self.lines):
            raise InvalidData(
                "An address has at most two lines of at most 70 characters.",
                field="lines",
                remedy="Give the town, postal code and street as fields of their own.",
            )


@frozen(kw_only=True)
class BankParty:
    """A party with its account. The repr shows neither the name nor the address.

    Attributes:
        name: name of the account's owner, at most 70 characters.
        iban: account number; a text is parsed.
        bic: code of the bank; not needed in the SEPA area.
        address: postal address; needed for countries outside of the European Economic Area.
    """

    name: str = attrs.field(repr=False, validator=_at_most(70))
    iban: Iban = attrs.field(converter=Iban)
    bic: Bic | None = attrs.field(default=None, converter=_maybe_bic)
    address: PartyAddress | None = attrs.field(default=None, validator=is_maybe(PartyAddress))


@frozen(kw_only=True)
class CreditTransfer:
    """A payment to a creditor.

    Attributes:
        end_to_end_id: your identifier, which reaches the creditor and comes back in statements;
            `NOT_PROVIDED` for none. No other may be twice in a file.
        amount: euros above zero.
        creditor: the party that is paid.
        remittance: text of at most 140 characters, or a structured creditor reference.
        instruction_id: identifier for your bank only.
        purpose: code of ISO 20022's external list, such as `SALA`.
        ultimate_debtor, ultimate_creditor: names of parties for whom the payment is made.
    """

    end_to_end_id: str = attrs.field(validator=_is_identifier)
    amount: Money = attrs.field(validator=_is_payable)
    creditor: BankParty = attrs.field(validator=is_a(BankParty))
    remittance: str | CreditorReference | None = attrs.field(
        default=None, repr=False, validator=_is_remittance
    )
    instruction_id: str | None = attrs.field(default=None, validator=_is_maybe_identifier)
    purpose: str | None = attrs.field(default=None, validator=_is_maybe_code)
    ultimate_debtor: str | None = attrs.field(
        default=None, repr=False, validator=_maybe_at_most(70)
    )
    ultimate_creditor: str | None = attrs.field(
        default=None, repr=False, validator=_maybe_at_most(70)
    )


@frozen(kw_only=True)
class CreditTransferBatch:
    """Payments from one account on one day.

    Attributes:
        id: your identifier of the batch, once in a file.
        debtor: the party that pays.
        execution_date: day on which the bank is to carry them out.
        transfers: the payments.
        single_booking: True for one entry in the statement for the whole batch, False for one each.
        instant: True for SEPA instant payments.
        category: code of the category purpose, such as `SALA` for wages.
    """

    id: str = attrs.field(validator=_is_identifier)
    debtor: BankParty = attrs.field(validator=is_a(BankParty))
    execution_date: date = attrs.field(validator=is_day)
    transfers: tuple[CreditTransfer, ...] = attrs.field(
        converter=as_tuple, validator=[are_all(CreditTransfer), _is_some]
    )
    single_booking: bool = attrs.field(default=True, validator=is_a(bool))
    instant: bool = attrs.field(default=False, validator=is_a(bool))
    category: str | None = attrs.field(default=None, validator=_is_maybe_code)

    @property
    def total(self) -> Money:
        """The sum of the payments."""
        return _total(payment.amount for payment in self.transfers)


@frozen(kw_only=True)
class CreditTransferFile:
    """A file of payments (`pain.001`).

    Attributes:
        message_id: your identifier of the file. Banks refuse a second file with the same one, so
            keep it with your payment run and write the same file again after a lost answer.
        created: time at which the run was made, to the second.
        initiator: name of the party that sends the file.
        batches: payments by account and day.
    """

    message_id: str = attrs.field(validator=_is_identifier)
    created: datetime = attrs.field(converter=_whole_second, validator=_is_time)
    initiator: str = attrs.field(repr=False, validator=_at_most(70))
    batches: tuple[CreditTransferBatch, ...] = attrs.field(
        converter=as_tuple, validator=[are_all(CreditTransferBatch), _is_some]
    )

    def __attrs_post_init__(self) -> None:
        """Refuse identifiers that are used twice."""
        _check_identifiers(
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
        return _total(batch.total for batch in self.batches)


@frozen(kw_only=True)
class MandateAmendment:
    """A change of a mandate since the last direct debit; at least one field is given.

    Attributes:
        original_id: the mandate's identifier before.
        original_creditor_id: the creditor's identifier before.
        original_creditor_name: the creditor's name before.
        original_iban: the debtor's account before.
        other_account: True if the debtor has an account at another bank now.
    """

    original_id: str | None = attrs.field(default=None, validator=_is_maybe_identifier)
    original_creditor_id: CreditorId | None = attrs.field(
        default=None, converter=_maybe_creditor_id
    )
    original_creditor_name: str | None = attrs.field(
        default=None, repr=False, validator=_maybe_at_most(70)
    )
    original_iban: Iban | None = attrs.field(default=None, converter=_maybe_iban)
    other_account: bool = attrs.field(default=False, validator=is_a(bool))

    def __attrs_post_init__(self) -> None:
        """Refuse an amendment without content, and two accounts."""
        values = attrs.astuple(self, recurse=False)
        if not any(values) or (self.original_iban is not None and self.other_account):
            raise InvalidData(
                "The amendment changes nothing, or names the account in two ways.",
                field="amendment",
                remedy="Give the values before the change, and None for a mandate as it was.",
            )


@frozen(kw_only=True)
class Mandate:
    """The debtor's permission for direct debits.

    Attributes:
        id: the mandate's identifier, at most 35 characters.
        signed: day of the signature.
        amendment: change since the last direct debit.
    """

    id: str = attrs.field(validator=_is_identifier)
    signed: date = attrs.field(validator=is_day)
    amendment: MandateAmendment | None = attrs.field(
        default=None, validator=is_maybe(MandateAmendment)
    )


@frozen(kw_only=True)
class DirectDebitOrder:
    """A payment to collect from a debtor.

    Attributes:
        end_to_end_id: your identifier, which comes back in statements and returns; `NOT_PROVIDED`
            for none. No other may be twice in a file.
        amount: euros above zero.
        debtor: the party that pays.
        mandate: its permission.
        remittance: text of at most 140 characters, or a structured creditor reference.
        instruction_id: identifier for your bank only.
        purpose: code of ISO 20022's external list.
        ultimate_debtor: name of the party for whom the debtor pays.
    """

    end_to_end_id: str = attrs.field(validator=_is_identifier)
    amount: Money = attrs.field(validator=_is_payable)
    debtor: BankParty = attrs.field(validator=is_a(BankParty))
    mandate: Mandate = attrs.field(validator=is_a(Mandate))
    remittance: str | CreditorReference | None = attrs.field(
        default=None, repr=False, validator=_is_remittance
    )
    instruction_id: str | None = attrs.field(default=None, validator=_is_maybe_identifier)
    purpose: str | None = attrs.field(default=None, validator=_is_maybe_code)
    ultimate_debtor: str | None = attrs.field(
        default=None, repr=False, validator=_maybe_at_most(70)
    )


@frozen(kw_only=True)
class DirectDebitBatch:
    """Direct debits to one account on one day, of one scheme and sequence type.

    Attributes:
        id: your identifier of the batch, once in a file.
        creditor: the party that collects.
        creditor_id: its SEPA creditor identifier; a text is parsed.
        collection_date: day on which the debtors' banks are to pay.
        debits: the direct debits.
        sequence: place of the direct debits among those of their mandates.
        scheme: `CORE` or `B2B`.
        single_booking: True for one entry in the statement for the whole batch, False for one each.
        category: code of the category purpose.
    """

    id: str = attrs.field(validator=_is_identifier)
    creditor: BankParty = attrs.field(validator=is_a(BankParty))
    creditor_id: CreditorId = attrs.field(converter=CreditorId)
    collection_date: date = attrs.field(validator=is_day)
    debits: tuple[DirectDebitOrder, ...] = attrs.field(
        converter=as_tuple, validator=[are_all(DirectDebitOrder), _is_some]
    )
    sequence: SequenceType = attrs.field(converter=SequenceType)
    scheme: DebitScheme = attrs.field(default=DebitScheme.CORE, converter=DebitScheme)
    single_booking: bool = attrs.field(default=True, validator=is_a(bool))
    category: str | None = attrs.field(default=None, validator=_is_maybe_code)

    @property
    def total(self) -> Money:
        """The sum of the direct debits."""
        return _total(debit.amount for debit in self.debits)


@frozen(kw_only=True)
class DirectDebitFile:
    """A file of direct debits (`pain.008`).

    Attributes:
        message_id: your identifier of the file. Banks refuse a second file with the same one, so
            keep it with your collection run and write the same file again after a lost answer.
        created: time at which the run was made, to the second.
        initiator: name of the party that sends the file.
        batches: direct debits by account, day, scheme and sequence type.
    """

    message_id: str = attrs.field(validator=_is_identifier)
    created: datetime = attrs.field(converter=_whole_second, validator=_is_time)
    initiator: str = attrs.field(repr=False, validator=_at_most(70))
    batches: tuple[DirectDebitBatch, ...] = attrs.field(
        converter=as_tuple, validator=[are_all(DirectDebitBatch), _is_some]
    )

    def __attrs_post_init__(self) -> None:
        """Refuse identifiers that are used twice."""
        _check_identifiers(
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
        return _total(batch.total for batch in self.batches)
