"""The list of contracts; the declaration of each is loaded when it is first needed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts import declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.declaration import Contract

CONTRACTS: Final[Mapping[str, str]] = {
    "email": "Mail",
    "sms": "Text messages",
    "chat": "Chat messages",
    "push": "Notifications",
    "payments": "Payments",
    "storage": "Files",
    "shipping": "Shipments",
    "bank": "Bank accounts",
    "currencies": "Exchange rates",
    "tax": "Taxes",
    "einvoices": "E-invoices",
    "people": "People",
    "calendars": "Calendars",
    "accounting": "Accounting",
    "shops": "Shops",
    "signatures": "Signatures",
    "inference": "Language models",
    "crm": "Customers",
}
"""The title of each contract, by its name in configurations."""


@cache
def contract(kind: str) -> type[Contract]:
    """Return the declaration of a contract, such as email."""
    module: Any = import_module(f"{declared.__name__}.{kind}")
    contract_class: type[Contract] = getattr(module, f"{kind.capitalize()}Contract")
    return contract_class
