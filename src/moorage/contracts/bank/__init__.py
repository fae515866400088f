"""Bank accounts: checked values, SEPA files, statements, matching, and access to accounts.

`iban`, `bic`, `sort_codes` and `references` contain the checked values. `payment_orders` contains
the orders to a bank; `pain_writing` and `pain_reading` write and read their files. `statements`
contains statements of account; `camt` and `mt940` read their files. `matching` matches payments
with open items. `access` contains the consent of an account's owner, accounts and balances;
`account_entries` their transactions; `initiation` payments at a bank; and `vendor` the operations
of a vendor.
Nothing here opens a file, reads a clock, or calls a bank.
"""

from __future__ import annotations

from moorage.contracts.bank.access import (
    BalanceKind,
    BankAccount,
    BankConsent,
    ConsentRequest,
    ConsentStatus,
    CurrentBalance,
)
from moorage.contracts.bank.account_entries import (
    AccountTransaction,
    TransactionPage,
    TransactionQuery,
)
from moorage.contracts.bank.bic import Bic, maybe_bic
from moorage.contracts.bank.camt import read_camt
from moorage.contracts.bank.iban import Iban, iban_length, maybe_iban
from moorage.contracts.bank.initiation import BankPayment, BankPaymentStatus, PaymentOrder
from moorage.contracts.bank.matching import MatchReason, MatchResult, OpenItem, PaymentMatch, match
from moorage.contracts.bank.mt940 import read_mt940
from moorage.contracts.bank.pain_reading import read_credit_transfers, read_direct_debits
from moorage.contracts.bank.pain_writing import (
    CreditTransferVersion,
    DirectDebitVersion,
    write_credit_transfers,
    write_direct_debits,
)
from moorage.contracts.bank.payment_orders import (
    NOT_PROVIDED,
    BankParty,
    CreditTransfer,
    CreditTransferBatch,
    CreditTransferFile,
    DebitScheme,
    DirectDebitBatch,
    DirectDebitFile,
    DirectDebitOrder,
    Mandate,
    MandateAmendment,
    PartyAddress,
    SequenceType,
    SterlingTransfer,
)
from moorage.contracts.bank.references import CreditorId, CreditorReference
from moorage.contracts.bank.sepa_text import Characters, is_latin, transliterate
from moorage.contracts.bank.sort_codes import SortCodeAccount
from moorage.contracts.bank.sources import LARGEST, BankFile, ReadableFile
from moorage.contracts.bank.statements import (
    AccountBalance,
    Counterparty,
    EntryBatch,
    EntryStatus,
    Statement,
    StatementAccount,
    StatementEntry,
    StatementKind,
    Transaction,
)
from moorage.contracts.bank.vendor import KIND, BankCapability, BankVendor
from moorage.domain.values.money import Money

__all__ = [
    "KIND",
    "LARGEST",
    "NOT_PROVIDED",
    "AccountBalance",
    "AccountTransaction",
    "BalanceKind",
    "BankAccount",
    "BankCapability",
    "BankConsent",
    "BankFile",
    "BankParty",
    "BankPayment",
    "BankPaymentStatus",
    "BankVendor",
    "Bic",
    "Characters",
    "ConsentRequest",
    "ConsentStatus",
    "Counterparty",
    "CreditTransfer",
    "CreditTransferBatch",
    "CreditTransferFile",
    "CreditTransferVersion",
    "CreditorId",
    "CreditorReference",
    "CurrentBalance",
    "DebitScheme",
    "DirectDebitBatch",
    "DirectDebitFile",
    "DirectDebitOrder",
    "DirectDebitVersion",
    "EntryBatch",
    "EntryStatus",
    "Iban",
    "Mandate",
    "MandateAmendment",
    "MatchReason",
    "MatchResult",
    "Money",
    "OpenItem",
    "PartyAddress",
    "PaymentMatch",
    "PaymentOrder",
    "ReadableFile",
    "SequenceType",
    "SortCodeAccount",
    "Statement",
    "StatementAccount",
    "StatementEntry",
    "StatementKind",
    "SterlingTransfer",
    "Transaction",
    "TransactionPage",
    "TransactionQuery",
    "iban_length",
    "is_latin",
    "match",
    "maybe_bic",
    "maybe_iban",
    "read_camt",
    "read_credit_transfers",
    "read_direct_debits",
    "read_mt940",
    "transliterate",
    "write_credit_transfers",
    "write_direct_debits",
]
