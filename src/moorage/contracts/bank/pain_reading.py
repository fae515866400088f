"""Readers of the SEPA files that `pain_writing` writes, for comparison or display.

Elements without a corresponding field are skipped, so a file of another program may contain more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.bank.payment_orders import (
    BankParty,
    CreditTransfer,
    CreditTransferBatch,
    CreditTransferFile,
    DirectDebitBatch,
    DirectDebitFile,
    DirectDebitOrder,
    Mandate,
    MandateAmendment,
    PartyAddress,
)
from moorage.contracts.bank.references import CreditorReference
from moorage.contracts.bank.sources import LARGEST
from moorage.contracts.bank.xml_stream import read_iso_20022

if TYPE_CHECKING:
    from datetime import date, datetime

    from moorage.contracts.bank.sources import BankFile
    from moorage.contracts.bank.xml_stream import Node
    from moorage.domain.values.money import Money

_TRANSFERS: Final = frozenset({"pain.001.001.03", "pain.001.001.09"})
_DEBITS: Final = frozenset({"pain.008.001.02", "pain.008.001.08"})
_SCHEME_ID: Final = "Id/PrvtId/Othr/Id"


def read_credit_transfers(source: BankFile, *, largest: int = LARGEST) -> CreditTransferFile:
    """The payments of a `pain.001` file of version 03 or 09.

    Args:
        source: bytes of the file, or a file opened for reading bytes, which is read in pieces.
        largest: maximum number of bytes; a larger file is refused.

    Raises:
        InvalidData: the file is malformed, too large, not in euros, or its counts and sums are
            wrong; the field is the path of the element.
    """
    readers = {"CdtTrfTxInf": _transfer, "PmtInf": _transfer_batch}
    _, document = read_iso_20022(source, _TRANSFERS, readers, largest)
    message = document.needed("CstmrCdtTrfInitn")
    order = CreditTransferFile(
        message_id=message.needed_text("GrpHdr/MsgId"),
        created=_creation_time(message),
        initiator=message.needed_text("GrpHdr/InitgPty/Nm"),
        batches=[batch.value for batch in message.all("PmtInf")],
    )
    _check_sums(message.needed("GrpHdr"), order.count, order.total)
    return order


def read_direct_debits(source: BankFile, *, largest: int = LARGEST) -> DirectDebitFile:
    """The direct debits of a `pain.008` file of version 02 or 08.

    Args:
        source: bytes of the file, or a file opened for reading bytes, which is read in pieces.
        largest: maximum number of bytes; a larger file is refused.

    Raises:
        InvalidData: the file is malformed, too large, not in euros, or its counts and sums are
            wrong; the field is the path of the element.
    """
    readers = {"DrctDbtTxInf": _debit, "PmtInf": _debit_batch}
    _, document = read_iso_20022(source, _DEBITS, readers, largest)
    message = document.needed("CstmrDrctDbtInitn")
    order = DirectDebitFile(
        message_id=message.needed_text("GrpHdr/MsgId"),
        created=_creation_time(message),
        initiator=message.needed_text("GrpHdr/InitgPty/Nm"),
        batches=[batch.value for batch in message.all("PmtInf")],
    )
    _check_sums(message.needed("GrpHdr"), order.count, order.total)
    return order


def _creation_time(message: Node) -> datetime:
    created = message.time("GrpHdr/CreDtTm")
    if created is None:
        message.wrong("GrpHdr/CreDtTm", "is missing")
    return created


def _check_sums(node: Node, count: int, total: Money) -> None:
    if node.count("NbOfTxs") not in {None, count}:
        node.wrong("NbOfTxs", f"is not {count}, the number of payments")
    text = node.text("CtrlSum")
    if text is not None and node.sum("CtrlSum") != total.amount:
        node.wrong("CtrlSum", f"is not {total.amount}, the sum of the payments")


def _day(node: Node, *paths: str) -> date:
    day = node.day(*paths)
    if day is None:
        node.wrong(paths[0], "is missing")
    return day


def _amount(node: Node, path: str) -> Money:
    amount = node.amount(path)
    if amount is None:
        node.wrong(path, "is missing")
    return amount


def _bic(node: Node, tag: str) -> str | None:
    return node.text(f"{tag}/FinInstnId/BICFI", f"{tag}/FinInstnId/BIC")


def _party(node: Node, role: str) -> BankParty:
    address = node.node(f"{role}/PstlAdr")
    return BankParty(
        name=node.needed_text(f"{role}/Nm"),
        iban=node.needed_text(f"{role}Acct/Id/IBAN"),
        bic=_bic(node, f"{role}Agt"),
        address=None if address is None else _address(address),
    )


def _address(node: Node) -> PartyAddress:
    return PartyAddress(
        country=node.needed_text("Ctry"),
        town=node.text("TwnNm"),
        postal_code=node.text("PstCd"),
        street=node.text("StrtNm"),
        building=node.text("BldgNb"),
        lines=["".join(line.texts or ()) for line in node.all("AdrLine")],
    )


def _remittance(node: Node) -> str | CreditorReference | None:
    """The remittance: a text, or a creditor reference.

    A structured reference of a country's own form, such as a Swiss or Belgian one, is a text.
    """
    reference = node.text("RmtInf/Strd/CdtrRefInf/Ref")
    if reference is None:
        return node.text("RmtInf/Ustrd")
    return CreditorReference(reference) if reference.upper().startswith("RF") else reference


def _transfer(node: Node) -> CreditTransfer:
    return CreditTransfer(
        end_to_end_id=node.needed_text("PmtId/EndToEndId"),
        instruction_id=node.text("PmtId/InstrId"),
        amount=_amount(node, "Amt/InstdAmt"),
        creditor=_party(node, "Cdtr"),
        remittance=_remittance(node),
        purpose=node.text("Purp/Cd"),
        ultimate_debtor=node.text("UltmtDbtr/Nm"),
        ultimate_creditor=node.text("UltmtCdtr/Nm"),
    )


def _transfer_batch(node: Node) -> CreditTransferBatch:
    batch = CreditTransferBatch(
        id=node.needed_text("PmtInfId"),
        debtor=_party(node, "Dbtr"),
        execution_date=_day(node, "ReqdExctnDt/Dt", "ReqdExctnDt"),
        transfers=[transfer.value for transfer in node.all("CdtTrfTxInf")],
        single_booking=node.node("BtchBookg") is None or node.flag("BtchBookg"),
        instant=node.text("PmtTpInf/LclInstrm/Cd") == "INST",
        category=node.text("PmtTpInf/CtgyPurp/Cd"),
    )
    _check_sums(node, len(batch.transfers), batch.total)
    return batch


def _debit(node: Node) -> DirectDebitOrder:
    return DirectDebitOrder(
        end_to_end_id=node.needed_text("PmtId/EndToEndId"),
        instruction_id=node.text("PmtId/InstrId"),
        amount=_amount(node, "InstdAmt"),
        debtor=_party(node, "Dbtr"),
        mandate=_mandate(node.needed("DrctDbtTx/MndtRltdInf")),
        remittance=_remittance(node),
        purpose=node.text("Purp/Cd"),
        ultimate_debtor=node.text("UltmtDbtr/Nm"),
    )


def _mandate(node: Node) -> Mandate:
    amendment = node.node("AmdmntInfDtls")
    return Mandate(
        id=node.needed_text("MndtId"),
        signed=_day(node, "DtOfSgntr"),
        amendment=None if amendment is None else _amendment(amendment),
    )


def _amendment(node: Node) -> MandateAmendment:
    marks = (
        node.text("OrgnlDbtrAcct/Id/Othr/Id"),
        node.text("OrgnlDbtrAgt/FinInstnId/Othr/Id"),
    )
    return MandateAmendment(
        original_id=node.text("OrgnlMndtId"),
        original_creditor_id=node.text(f"OrgnlCdtrSchmeId/{_SCHEME_ID}"),
        original_creditor_name=node.text("OrgnlCdtrSchmeId/Nm"),
        original_iban=node.text("OrgnlDbtrAcct/Id/IBAN"),
        other_account="SMNDA" in marks,
    )


def _debit_batch(node: Node) -> DirectDebitBatch:
    batch = DirectDebitBatch(
        id=node.needed_text("PmtInfId"),
        creditor=_party(node, "Cdtr"),
        creditor_id=node.needed_text(f"CdtrSchmeId/{_SCHEME_ID}"),
        collection_date=_day(node, "ReqdColltnDt"),
        debits=[debit.value for debit in node.all("DrctDbtTxInf")],
        sequence=node.needed_text("PmtTpInf/SeqTp"),
        scheme=node.needed_text("PmtTpInf/LclInstrm/Cd"),
        single_booking=node.node("BtchBookg") is None or node.flag("BtchBookg"),
        category=node.text("PmtTpInf/CtgyPurp/Cd"),
    )
    _check_sums(node, len(batch.debits), batch.total)
    return batch
