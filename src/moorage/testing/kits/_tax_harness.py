"""A VAT number vendor under test, and a hub with an account there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.tax import TaxCapability, Trader, VatNumber
from moorage.testing.kits._recorded_harness import RecordedHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.base import Sandbox

ACCOUNT: Final = "register"
TRADER: Final = Trader(name="Nobody & Sons", city="Nowhere")
NUMBERS: Final = {
    TaxCapability.EU_NUMBERS: VatNumber.parse("DE136695976"),
    TaxCapability.UK_NUMBERS: VatNumber.parse("GB553557881"),
    TaxCapability.NORWEGIAN_NUMBERS: VatNumber.parse("NO999999991MVA"),
}
"""A number of each register, by the capability that it needs."""


def no_proofs() -> list[str]:
    """Return no proofs, for a vendor without proofs."""
    return []


@attrs.frozen(kw_only=True)
class TaxSubject:
    """A VAT number vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox.
        number: a number that the sandbox's register has.
        business: the fields of `VatCheck` that the register tells about that number, such as
            `{"name": "Harbour Ltd"}`.
        unknown: numbers that are not in use according to the register.
        other: a successful response about another number, which must not be taken for a
            response about `number`.
        outages: responses by which the vendor says that it cannot check a number now, with the
            error that each must become, which may be retried.
        refusals: error responses of the vendor, each with the error that it must raise, and
            the vendor's code that the error must keep.
        requester: a number that gets proofs, if the vendor gives any.
        foreign_requester: a number that gets none, because it is registered elsewhere.
        proofs: the proofs that the sandbox gave, in order.
        secret: a text that neither the account's repr nor an error may show; None without
            credentials.
        requests: arguments of a check, each with the path of its request, or the values that its
            JSON body must have, by name; None for a name that it must not have.
        answers: successful responses about `number`, each with arguments of the check, and the
            fields of `VatCheck` that must be read from it.
    """

    vendor: Vendor
    sandbox: Sandbox
    number: VatNumber
    business: Mapping[str, Any]
    unknown: tuple[VatNumber, ...]
    other: Response
    outages: tuple[tuple[Response, type[ConnectorError]], ...] = ()
    refusals: tuple[tuple[Response, type[ConnectorError], str | None], ...] = ()
    requester: VatNumber | None = None
    foreign_requester: VatNumber | None = None
    proofs: Callable[[], list[str]] = no_proofs
    secret: str | None = attrs.field(default=None, repr=False)
    requests: tuple[tuple[Mapping[str, Any], str | Mapping[str, Any]], ...] = ()
    answers: tuple[tuple[Response, Mapping[str, Any], Mapping[str, Any]], ...] = ()


class Harness(RecordedHarness[TaxSubject]):
    """A VAT number vendor under test, with its hub and sandbox."""

    contract = "tax"
    account_name = ACCOUNT

    async def check(self, number: VatNumber | None = None, **options: Any) -> Any:
        """Check a VAT number, by default the registered one."""
        return await self("check_vat_number", number or self.subject.number, **options)

    def hidden(self) -> tuple[str, ...]:
        numbers = [self.subject.number, *self.subject.unknown]
        if self.subject.requester is not None:
            numbers.append(self.subject.requester)
        digits = [number.number.removesuffix("MVA") for number in numbers]
        secrets = [] if self.subject.secret is None else [self.subject.secret]
        return (*digits, *secrets, *self.details())

    def details(self) -> list[str]:
        """Return the registered name and address of the business."""
        values = (self.subject.business.get(name) for name in ("name", "address"))
        return [value for value in values if value]


def unsupported_options(harness: Harness) -> dict[TaxCapability, dict[str, Any]]:
    """Return arguments of a VAT check for each capability that the vendor lacks."""
    options: dict[TaxCapability, dict[str, Any]] = {
        **{register: {"number": number} for register, number in NUMBERS.items()},
        TaxCapability.PROOF: {"requester": harness.subject.requester or harness.subject.number},
        TaxCapability.TRADER_MATCH: {"trader": TRADER},
    }
    return {name: fields for name, fields in options.items() if name not in harness.capabilities}
