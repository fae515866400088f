"""The way to pay an invoice."""

from __future__ import annotations

import attrs

from moorage.invoices.values.fields import part_field, parts_field, text_field


@attrs.frozen(kw_only=True)
class PayeeAccount:
    """The account to which a credit transfer goes (BG-17).

    Attributes:
        iban: IBAN or another account number (BT-84).
        name: name of the account (BT-85).
        bic: BIC or another identifier of the bank (BT-86).
    """

    iban: str | None = text_field(private=True)
    name: str | None = text_field(private=True)
    bic: str | None = text_field()


@attrs.frozen(kw_only=True)
class InvoiceCard:
    """The card with which the invoice was paid (BG-18).

    Attributes:
        last_digits: the last four to six digits of the card number (BT-87).
        network: the card's network, which only UBL documents contain.
        holder: name of the card's holder (BT-88).
    """

    last_digits: str | None = text_field(private=True)
    network: str | None = text_field()
    holder: str | None = text_field(private=True)


@attrs.frozen(kw_only=True)
class DirectDebit:
    """A direct debit of the buyer's account (BG-19).

    Attributes:
        mandate: reference of the mandate (BT-89).
        account: account that is debited (BT-91).
    """

    mandate: str | None = text_field(private=True)
    account: str | None = text_field(private=True)


@attrs.frozen(kw_only=True)
class PaymentInstructions:
    """The means by which the invoice is to be paid (BG-16).

    Attributes:
        code: a code of UNTDID 4461, such as '58' for a SEPA credit transfer (BT-81).
        text: description of the payment means (BT-82).
        accounts: the accounts of a credit transfer; the buyer chooses one (BG-17).
        card: the card of a card payment (BG-18).
        direct_debit: a direct debit (BG-19).
    """

    code: str | None = text_field()
    text: str | None = text_field()
    accounts: tuple[PayeeAccount, ...] = parts_field(PayeeAccount)
    card: InvoiceCard | None = part_field(InvoiceCard)
    direct_debit: DirectDebit | None = part_field(DirectDebit)
