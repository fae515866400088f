"""Writers of SEPA files: credit transfers (`pain.001`) and direct debits (`pain.008`).

Equal values give identical files. Element order, lengths and codes follow ISO 20022, as restricted
by the European Payments Council's guidelines for customers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from moorage.contracts.bank.payment_orders import CreditTransferFile, DirectDebitFile
from moorage.contracts.bank.references import CreditorReference
from moorage.contracts.bank.sepa_text import Characters, sepa_text
from moorage.contracts.validators import OneOf, check_kind
from moorage.domain.values.frozen_values import frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.contracts.bank.bic import Bic
    from moorage.contracts.bank.iban import Iban
    from moorage.contracts.bank.payment_orders import (
        BankParty,
        CreditTransfer,
        CreditTransferBatch,
        DirectDebitBatch,
        DirectDebitOrder,
        Mandate,
        MandateAmendment,
        PartyAddress,
    )
    from moorage.contracts.bank.references import CreditorId
    from moorage.domain.values.money import Money

_OLD_BIC: Final = re.compile(r"[A-Z]{6}[A-Z2-9][A-NP-Z0-9](?:[A-Z0-9]{3})?")


class CreditTransferVersion(OneOf, field="version"):
    """The version of a file of credit transfers; your bank states which version it accepts."""

    PAIN_001_001_03 = "pain.001.001.03"
    PAIN_001_001_09 = "pain.001.001.09"


class DirectDebitVersion(OneOf, field="version"):
    """The version of a file of direct debits; your bank states which version it accepts."""

    PAIN_008_001_02 = "pain.008.001.02"
    PAIN_008_001_08 = "pain.008.001.08"


def write_credit_transfers(
    order: CreditTransferFile,
    *,
    version: CreditTransferVersion | str = CreditTransferVersion.PAIN_001_001_09,
    characters: Characters | str = Characters.REFUSE,
) -> bytes:
    """Return the `pain.001` file of a payment run, in UTF-8.

    Args:
        order: the payments.
        version: version that your bank accepts.
        characters: treatment of characters that are not in SEPA's Latin set.

    Raises:
        InvalidData: a string has other characters and `characters` refuses them, or it is too
            long after their replacement.
    """
    check_kind(order, CreditTransferFile, "order")
    kind = CreditTransferVersion(version)
    writer = _Writer(
        modern=kind is CreditTransferVersion.PAIN_001_001_09, characters=Characters(characters)
    )
    return writer.document(
        kind,
        "CstmrCdtTrfInitn",
        writer.header(order),
        *(
            writer.transfer_batch(batch, f"batches[{number}]")
            for number, batch in enumerate(order.batches)
        ),
    )


def write_direct_debits(
    order: DirectDebitFile,
    *,
    version: DirectDebitVersion | str = DirectDebitVersion.PAIN_008_001_08,
    characters: Characters | str = Characters.REFUSE,
) -> bytes:
    """Return the `pain.008` file of a collection run, in UTF-8.

    Args:
        order: the direct debits.
        version: version that your bank accepts.
        characters: treatment of characters that are not in SEPA's Latin set.

    Raises:
        InvalidData: a string has other characters and `characters` refuses them, or it is too
            long after their replacement.
    """
    check_kind(order, DirectDebitFile, "order")
    kind = DirectDebitVersion(version)
    writer = _Writer(
        modern=kind is DirectDebitVersion.PAIN_008_001_08, characters=Characters(characters)
    )
    return writer.document(
        kind,
        "CstmrDrctDbtInitn",
        writer.header(order),
        *(
            writer.debit_batch(batch, f"batches[{number}]")
            for number, batch in enumerate(order.batches)
        ),
    )


def _element(name: str, *content: str | None) -> str:
    """An XML element with these children; children that are None are left out."""
    return f"<{name}>{''.join(filter(None, content))}</{name}>"


def _leaf(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _optional_leaf(name: str, text: str | None) -> str | None:
    return None if text is None else _leaf(name, text)


def _code(name: str, code: str | None) -> str | None:
    return None if code is None else _element(name, _leaf("Cd", code))


def _other_identification(text: str) -> str:
    return _element("Othr", _leaf("Id", text))


def _account(name: str, iban: Iban) -> str:
    return _element(name, _element("Id", _leaf("IBAN", iban.value)))


def _count_and_total(payments: Iterable[object], total: Money) -> str:
    return _leaf("NbOfTxs", str(len(list(payments)))) + _leaf("CtrlSum", str(total.amount))


def _instructed_amount(amount: Money) -> str:
    return f'<InstdAmt Ccy="{amount.currency}">{amount.amount}</InstdAmt>'


def _identifiers(payment: CreditTransfer | DirectDebitOrder) -> str:
    return _element(
        "PmtId",
        _optional_leaf("InstrId", payment.instruction_id),
        _leaf("EndToEndId", payment.end_to_end_id),
    )


def _scheme_id(creditor_id: CreditorId) -> str:
    return _element(
        "Id",
        _element(
            "PrvtId",
            _element(
                "Othr",
                _leaf("Id", creditor_id.value),
                _element("SchmeNm", _leaf("Prtry", "SEPA")),
            ),
        ),
    )


@frozen(kw_only=True)
class _Writer:
    """Writes the XML of a SEPA file in one version, with one treatment of special characters."""

    modern: bool
    characters: Characters

    def document(self, version: str, name: str, *content: str) -> bytes:
        namespace = f"urn:iso:std:iso:20022:tech:xsd:{version}"
        body = _element(name, *content)
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{namespace}">{body}'
            "</Document>\n"
        ).encode()

    def header(self, order: CreditTransferFile | DirectDebitFile) -> str:
        return _element(
            "GrpHdr",
            _leaf("MsgId", order.message_id),
            _leaf("CreDtTm", order.created.isoformat()),
            _count_and_total(range(order.count), order.total),
            self.named("InitgPty", order.initiator, "initiator"),
        )

    def transfer_batch(self, batch: CreditTransferBatch, place: str) -> str:
        day = batch.execution_date.isoformat()
        return _element(
            "PmtInf",
            _leaf("PmtInfId", batch.id),
            _leaf("PmtMtd", "TRF"),
            _leaf("BtchBookg", str(batch.single_booking).lower()),
            _count_and_total(batch.transfers, batch.total),
            _element(
                "PmtTpInf",
                _element("SvcLvl", _leaf("Cd", "SEPA")),
                _code("LclInstrm", "INST" if batch.instant else None),
                _code("CtgyPurp", batch.category),
            ),
            _element("ReqdExctnDt", _leaf("Dt", day)) if self.modern else _leaf("ReqdExctnDt", day),
            self.party("Dbtr", batch.debtor, f"{place}.debtor"),
            _account("DbtrAcct", batch.debtor.iban),
            self.bank("DbtrAgt", batch.debtor.bic, f"{place}.debtor.bic"),
            _leaf("ChrgBr", "SLEV"),
            *(
                self.transfer(transfer, f"{place}.transfers[{number}]")
                for number, transfer in enumerate(batch.transfers)
            ),
        )

    def transfer(self, transfer: CreditTransfer, place: str) -> str:
        bic = transfer.creditor.bic
        return _element(
            "CdtTrfTxInf",
            _identifiers(transfer),
            _element("Amt", _instructed_amount(transfer.amount)),
            self.maybe_named("UltmtDbtr", transfer.ultimate_debtor, f"{place}.ultimate_debtor"),
            None if bic is None else self.bank("CdtrAgt", bic, f"{place}.creditor.bic"),
            self.party("Cdtr", transfer.creditor, f"{place}.creditor"),
            _account("CdtrAcct", transfer.creditor.iban),
            self.maybe_named("UltmtCdtr", transfer.ultimate_creditor, f"{place}.ultimate_creditor"),
            _code("Purp", transfer.purpose),
            self.remittance(transfer.remittance, f"{place}.remittance"),
        )

    def debit_batch(self, batch: DirectDebitBatch, place: str) -> str:
        return _element(
            "PmtInf",
            _leaf("PmtInfId", batch.id),
            _leaf("PmtMtd", "DD"),
            _leaf("BtchBookg", str(batch.single_booking).lower()),
            _count_and_total(batch.debits, batch.total),
            _element(
                "PmtTpInf",
                _element("SvcLvl", _leaf("Cd", "SEPA")),
                _code("LclInstrm", batch.scheme),
                _leaf("SeqTp", batch.sequence),
                _code("CtgyPurp", batch.category),
            ),
            _leaf("ReqdColltnDt", batch.collection_date.isoformat()),
            self.party("Cdtr", batch.creditor, f"{place}.creditor"),
            _account("CdtrAcct", batch.creditor.iban),
            self.bank("CdtrAgt", batch.creditor.bic, f"{place}.creditor.bic"),
            _leaf("ChrgBr", "SLEV"),
            _element("CdtrSchmeId", _scheme_id(batch.creditor_id)),
            *(
                self.debit(debit, f"{place}.debits[{number}]")
                for number, debit in enumerate(batch.debits)
            ),
        )

    def debit(self, debit: DirectDebitOrder, place: str) -> str:
        return _element(
            "DrctDbtTxInf",
            _identifiers(debit),
            _instructed_amount(debit.amount),
            _element("DrctDbtTx", self.mandate(debit.mandate, f"{place}.mandate")),
            self.bank("DbtrAgt", debit.debtor.bic, f"{place}.debtor.bic"),
            self.party("Dbtr", debit.debtor, f"{place}.debtor"),
            _account("DbtrAcct", debit.debtor.iban),
            self.maybe_named("UltmtDbtr", debit.ultimate_debtor, f"{place}.ultimate_debtor"),
            _code("Purp", debit.purpose),
            self.remittance(debit.remittance, f"{place}.remittance"),
        )

    def mandate(self, mandate: Mandate, place: str) -> str:
        amendment = mandate.amendment
        return _element(
            "MndtRltdInf",
            _leaf("MndtId", mandate.id),
            _leaf("DtOfSgntr", mandate.signed.isoformat()),
            None if amendment is None else _leaf("AmdmntInd", "true"),
            None if amendment is None else self.amendment(amendment, f"{place}.amendment"),
        )

    def amendment(self, amendment: MandateAmendment, place: str) -> str:
        name, creditor = amendment.original_creditor_name, amendment.original_creditor_id
        iban = amendment.original_iban
        old_creditor = _element(
            "OrgnlCdtrSchmeId",
            None if name is None else self.name(name, f"{place}.original_creditor_name"),
            None if creditor is None else _scheme_id(creditor),
        )
        other_account = _element("OrgnlDbtrAcct", _element("Id", _other_identification("SMNDA")))
        return _element(
            "AmdmntInfDtls",
            _optional_leaf("OrgnlMndtId", amendment.original_id),
            old_creditor if name is not None or creditor is not None else None,
            None if iban is None else _account("OrgnlDbtrAcct", iban),
            other_account if amendment.other_account else None,
        )

    def text(self, tag: str, text: str, place: str, longest: int) -> str:
        return _leaf(tag, sepa_text(text, place, longest, self.characters))

    def name(self, name: str, place: str) -> str:
        return self.text("Nm", name, place, 70)

    def named(self, tag: str, name: str, place: str) -> str:
        return _element(tag, self.name(name, place))

    def maybe_named(self, tag: str, name: str | None, place: str) -> str | None:
        return None if name is None else self.named(tag, name, place)

    def party(self, tag: str, party: BankParty, place: str) -> str:
        address = party.address
        return _element(
            tag,
            self.name(party.name, f"{place}.name"),
            None if address is None else self.address(address, f"{place}.address"),
        )

    def address(self, address: PartyAddress, place: str) -> str:
        """A postal address; old versions of the file contain it as lines."""
        if not self.modern:
            parts = (
                " ".join(filter(None, (address.street, address.building))),
                " ".join(filter(None, (address.postal_code, address.town))),
            )
            lines = [*filter(None, parts), *address.lines]
            if len(lines) > 2:
                raise InvalidData(
                    "The address needs more than two lines, but this version of the file format"
                    " allows only two.",
                    field=place,
                    remedy="Write the newer version of the format, or give fewer parts of the"
                    " address.",
                )
            return _element(
                "PstlAdr",
                _leaf("Ctry", address.country),
                *(self.text("AdrLine", line, f"{place}.lines", 70) for line in lines),
            )
        parts_by_tag = (
            ("StrtNm", address.street, "street", 70),
            ("BldgNb", address.building, "building", 16),
            ("PstCd", address.postal_code, "postal_code", 16),
            ("TwnNm", address.town, "town", 35),
        )
        return _element(
            "PstlAdr",
            *(
                self.text(tag, text, f"{place}.{field}", max_length)
                for tag, text, field, max_length in parts_by_tag
                if text is not None
            ),
            _leaf("Ctry", address.country),
            *(self.text("AdrLine", line, f"{place}.lines", 70) for line in address.lines),
        )

    def bank(self, tag: str, bic: Bic | None, place: str) -> str:
        """The element of a bank with its BIC, or with `NOTPROVIDED` if there is only an IBAN."""
        if bic is None:
            return _element(tag, _element("FinInstnId", _other_identification("NOTPROVIDED")))
        if not self.modern and not _OLD_BIC.fullmatch(bic.value):
            raise InvalidData(
                "The BIC has digits at a position where this version of the file format allows"
                " only letters.",
                field=place,
                remedy="Leave the BIC out, or write the newer version of the format.",
            )
        name = "BICFI" if self.modern else "BIC"
        return _element(tag, _element("FinInstnId", _leaf(name, bic.value)))

    def remittance(self, remittance: str | CreditorReference | None, place: str) -> str | None:
        if remittance is None:
            return None
        if isinstance(remittance, CreditorReference):
            kind = _element("Tp", _element("CdOrPrtry", _leaf("Cd", "SCOR")), _leaf("Issr", "ISO"))
            reference = _element("CdtrRefInf", kind, _leaf("Ref", remittance.value))
            return _element("RmtInf", _element("Strd", reference))
        return _element("RmtInf", self.text("Ustrd", remittance, place, 140))
