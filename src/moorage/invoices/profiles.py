"""Profiles: identifiers and rules by which trading partners use EN 16931."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.invoices import peppol, xrechnung
from moorage.invoices.core_rules import CORE_RULES
from moorage.invoices.vat_rules import VAT_RULES

if TYPE_CHECKING:
    from moorage.invoices.rules import Rule


@attrs.frozen
class Profile:
    """A set of identifiers and business rules for invoices.

    Attributes:
        name: name of the profile.
        specification: identifier of its specification (BT-24).
        process: identifier of its business process (BT-23).
        rules: the profile's business rules.
    """

    name: str
    specification: str
    process: str | None
    rules: tuple[Rule, ...] = attrs.field(repr=False)


EN16931: Final = Profile(
    "EN 16931",
    "urn:cen.eu:en16931:2017",
    None,
    CORE_RULES + VAT_RULES,
)
"""The European norm itself."""

PEPPOL: Final = Profile(
    "Peppol BIS Billing 3.0",
    peppol.SPECIFICATION,
    peppol.PROCESS,
    CORE_RULES + VAT_RULES + peppol.PEPPOL_RULES,
)
"""Invoices in the Peppol network."""

XRECHNUNG: Final = Profile(
    "XRechnung 3.0",
    xrechnung.SPECIFICATION,
    peppol.PROCESS,
    CORE_RULES + VAT_RULES + xrechnung.XRECHNUNG_RULES,
)
"""Invoices to public bodies in Germany."""
