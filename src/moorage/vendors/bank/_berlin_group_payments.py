"""The body of a SEPA credit transfer in NextGenPSD2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from moorage import vendor_sdk as sdk
from moorage.contracts.bank import NOT_PROVIDED, CreditorReference, CreditTransfer, PaymentOrder

if TYPE_CHECKING:
    from moorage.contracts.bank import Iban

_NOT_CARRIED: Final = ("instruction_id", "purpose", "ultimate_debtor", "ultimate_creditor")
"""Fields of a payment that the interface does not have for SEPA credit transfers."""


def payment_body(order: PaymentOrder) -> dict[str, Any]:
    """The JSON body of a payment.

    Raises:
        InvalidData: the payment has a field that the bank's interface does not support.
    """
    # Payments in pounds need a capability that this vendor does not have.
    transfer, debtor = cast("CreditTransfer", order.transfer), cast("Iban", order.debtor)
    for name in _NOT_CARRIED:
        if getattr(transfer, name) is not None:
            raise sdk.InvalidData(
                f"The bank's interface has no field for the {name} of a SEPA credit transfer.",
                field=name,
                remedy=f"Leave the {name} out, or upload the payment as a file.",
            )
    remittance = transfer.remittance
    if isinstance(remittance, CreditorReference):
        remittance = remittance.value
    creditor = transfer.creditor
    fields = {
        "endToEndIdentification": _end_to_end_id(transfer),
        "debtorAccount": {"iban": debtor.value},
        "instructedAmount": {"currency": "EUR", "amount": str(transfer.amount.amount)},
        "creditorAccount": {"iban": creditor.iban.value},
        "creditorAgent": creditor.bic and creditor.bic.value,
        "creditorName": creditor.name,
        "creditorAddress": _address(transfer),
        "remittanceInformationUnstructured": remittance,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _end_to_end_id(transfer: CreditTransfer) -> str | None:
    return None if transfer.end_to_end_id == NOT_PROVIDED else transfer.end_to_end_id


def _address(transfer: CreditTransfer) -> dict[str, str] | None:
    address = transfer.creditor.address
    if address is None:
        return None
    if address.lines:
        raise sdk.InvalidData(
            "The bank's interface has no field for unstructured address lines.",
            field="lines",
            remedy="Set the address's town, postal code and street separately.",
        )
    fields = {
        "streetName": address.street,
        "buildingNumber": address.building,
        "townName": address.town,
        "postCode": address.postal_code,
        "country": address.country,
    }
    return {name: value for name, value in fields.items() if value is not None}
