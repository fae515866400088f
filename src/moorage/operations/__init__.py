"""The operations of the contracts for users, synchronous and asynchronous.

They contain no logic: their methods run the flows in `services`. A contract is loaded when its
operations are first used.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from moorage.domain.values.loading import LOADING_ERRORS, not_loaded_error

if TYPE_CHECKING:
    from moorage.operations.accounting import Accounting as Accounting
    from moorage.operations.accounting import AsyncAccounting as AsyncAccounting
    from moorage.operations.bank import AsyncBank as AsyncBank
    from moorage.operations.bank import Bank as Bank
    from moorage.operations.calendars import AsyncCalendars as AsyncCalendars
    from moorage.operations.calendars import Calendars as Calendars
    from moorage.operations.chat import AsyncChat as AsyncChat
    from moorage.operations.chat import Chat as Chat
    from moorage.operations.crm import AsyncCrm as AsyncCrm
    from moorage.operations.crm import Crm as Crm
    from moorage.operations.currencies import AsyncCurrencies as AsyncCurrencies
    from moorage.operations.currencies import Currencies as Currencies
    from moorage.operations.einvoices import AsyncEinvoices as AsyncEinvoices
    from moorage.operations.einvoices import Einvoices as Einvoices
    from moorage.operations.email import AsyncEmail as AsyncEmail
    from moorage.operations.email import Email as Email
    from moorage.operations.inference import AsyncInference as AsyncInference
    from moorage.operations.inference import Inference as Inference
    from moorage.operations.payments import AsyncPayments as AsyncPayments
    from moorage.operations.payments import Payments as Payments
    from moorage.operations.people import AsyncPeople as AsyncPeople
    from moorage.operations.people import People as People
    from moorage.operations.push import AsyncPush as AsyncPush
    from moorage.operations.push import Push as Push
    from moorage.operations.shipping import AsyncShipping as AsyncShipping
    from moorage.operations.shipping import Shipping as Shipping
    from moorage.operations.shops import AsyncShops as AsyncShops
    from moorage.operations.shops import Shops as Shops
    from moorage.operations.signatures import AsyncSignatures as AsyncSignatures
    from moorage.operations.signatures import Signatures as Signatures
    from moorage.operations.sms import AsyncSms as AsyncSms
    from moorage.operations.sms import Sms as Sms
    from moorage.operations.storage import AsyncStorage as AsyncStorage
    from moorage.operations.storage import Storage as Storage
    from moorage.operations.tax import AsyncTax as AsyncTax
    from moorage.operations.tax import Tax as Tax

_CONTRACTS: Final = (
    "Accounting",
    "Bank",
    "Calendars",
    "Chat",
    "Crm",
    "Currencies",
    "Einvoices",
    "Email",
    "Inference",
    "Payments",
    "People",
    "Push",
    "Shipping",
    "Shops",
    "Signatures",
    "Sms",
    "Storage",
    "Tax",
)

if not TYPE_CHECKING:  # a type checker would take every name for exported

    def __getattr__(name: str) -> object:
        contract = name.removeprefix("Async")
        if contract not in _CONTRACTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            module = import_module(f"{__name__}.{contract.lower()}")
        except LOADING_ERRORS as error:
            failure = error
        else:
            value = globals()[name] = getattr(module, name)
            return value
        raise not_loaded_error(f"The contract of {contract}", failure)


def __dir__() -> list[str]:
    return sorted({*globals(), *_CONTRACTS, *(f"Async{name}" for name in _CONTRACTS)})
