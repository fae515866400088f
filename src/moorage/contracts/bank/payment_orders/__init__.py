"""Orders to a bank: SEPA credit transfers and direct debits, and payments in pounds, as values.

Nothing here reads a clock: identifiers, dates and times are arguments, so the same arguments
always give the same file.

`transfers` contains orders to pay, `debits` orders to collect, `parties` the parties of both,
`sterling` orders to pay pounds, and `fields` the validators of their fields.
"""

from __future__ import annotations

from moorage.contracts.bank.payment_orders.debits import (
    DebitScheme,
    DirectDebitBatch,
    DirectDebitFile,
    DirectDebitOrder,
    Mandate,
    MandateAmendment,
    SequenceType,
)
from moorage.contracts.bank.payment_orders.fields import NOT_PROVIDED
from moorage.contracts.bank.payment_orders.parties import BankParty, PartyAddress
from moorage.contracts.bank.payment_orders.sterling import SterlingTransfer
from moorage.contracts.bank.payment_orders.transfers import (
    CreditTransfer,
    CreditTransferBatch,
    CreditTransferFile,
)

__all__ = [
    "NOT_PROVIDED",
    "BankParty",
    "CreditTransfer",
    "CreditTransferBatch",
    "CreditTransferFile",
    "DebitScheme",
    "DirectDebitBatch",
    "DirectDebitFile",
    "DirectDebitOrder",
    "Mandate",
    "MandateAmendment",
    "PartyAddress",
    "SequenceType",
    "SterlingTransfer",
]
