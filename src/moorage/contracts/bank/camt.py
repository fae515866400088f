"""Reader of ISO 20022 account statements: `camt.052`, `camt.053` and `camt.054`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.bank.bic import maybe_bic
from moorage.contracts.bank.iban import maybe_iban
from moorage.contracts.bank.payment_orders import NOT_PROVIDED
from moorage.contracts.bank.sources import LARGEST
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
    check_balances,
    check_payments,
)
from moorage.contracts.bank.xml_stream import read_iso_20022
from moorage.domain.values.frozen_values import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.contracts.bank.bic import Bic
    from moorage.contracts.bank.sources import BankFile
    from moorage.contracts.bank.xml_stream import Node
    from moorage.domain.values.money import Money

_VERSIONS: Final = tuple(f"{version:02}" for version in range(2, 15))
_KINDS: Final = {
    "Rpt": StatementKind.REPORT,
    "Stmt": StatementKind.STATEMENT,
    "Ntfctn": StatementKind.NOTIFICATION,
}
_MESSAGES: Final = frozenset(
    f"camt.{message}.001.{version}" for message in ("052", "053", "054") for version in _VERSIONS
)
_STATUSES: Final = {
    "BOOK": EntryStatus.BOOKED,
    "PDNG": EntryStatus.PENDING,
    "INFO": EntryStatus.INFORMATION,
}


def read_camt(
    source: BankFile, *, largest: int = LARGEST, check_sums: bool = True
) -> tuple[Statement, ...]:
    """The statements of a `camt.053`, reports of a `camt.052` or notifications of a `camt.054`.

    Versions 02 to 14 are read. A statement whose entries do not lead from its opening to its
    closing balance, or whose payments do not add up to their entry, is refused.

    Args:
        source: bytes of the file, or a file opened for reading bytes, which is read in pieces.
        largest: maximum number of bytes; a larger file is refused.
        check_sums: False to accept a statement whose sums differ; `Statement.difference` is
            the amount.

    Raises:
        InvalidData: the file is truncated, malformed, too large, another message, or its sums
            differ; the field is the path of the element.
    """
    readers = {"TxDtls": _details, "Ntry": _entry, "Bal": _balance, **dict.fromkeys(_KINDS, _part)}
    _, document = read_iso_20022(source, _MESSAGES, readers, largest)
    parts = [part for message in document.children or () for part in message.children or ()]
    statements = [(part.name, part.value) for part in parts if isinstance(part.value, Statement)]
    if not statements:
        document.wrong("Stmt", "is missing: the file has no statement")
    if check_sums:
        for number, (name, statement) in enumerate(statements, 1):
            if statement.kind is StatementKind.STATEMENT:
                check_balances(statement, f"{name}[{number}]/Bal")
                check_payments(statement, f"{name}[{number}]/Ntry")
    return tuple(statement for _, statement in statements)


def _signed_amount(node: Node, amount: Money, *, default: bool | None = None) -> Money:
    """An amount, negative or positive according to its credit or debit indicator."""
    indicator = node.text("CdtDbtInd")
    if indicator is None and default is not None:
        return amount if default else -amount
    if indicator not in {"CRDT", "DBIT"}:
        node.wrong("CdtDbtInd", "is neither CRDT nor DBIT")
    return amount if indicator == "CRDT" else -amount


def _needed_amount(node: Node, path: str) -> Money:
    amount = node.amount(path)
    if amount is None:
        node.wrong(path, "is missing")
    return amount


def _balance(node: Node) -> AccountBalance:
    return AccountBalance(
        code=node.text("Tp/CdOrPrtry/Cd", "Tp/CdOrPrtry/Prtry") or "",
        amount=_signed_amount(node, _needed_amount(node, "Amt")),
        day=node.day("Dt/Dt", "Dt/DtTm"),
    )


def _values(nodes: Iterable[Node]) -> Iterator[object]:
    return (node.value for node in nodes)


def _part(node: Node) -> Statement:
    """Return the statement, report or notification that an XML element describes."""
    balances = [item for item in _values(node.all("Bal")) if isinstance(item, AccountBalance)]
    opening, closing = _opening_and_closing(balances)
    number = node.needed("Acct").text("Id/IBAN", "Id/Othr/Id", "Id/PrtryAcct/Id")
    if number is None:
        node.wrong("Acct/Id", "has no account number")
    return Statement(
        id=node.needed_text("Id"),
        kind=_KINDS[node.name],
        account=StatementAccount(
            number=number,
            iban=maybe_iban(number),
            bic=_bank(node, "Acct/Svcr"),
        ),
        currency=node.text("Acct/Ccy") or (opening.amount.currency if opening else None),
        number=node.count("ElctrncSeqNb"),
        page=node.count(f"{node.name}Pgntn/PgNb"),
        created=node.time("CreDtTm"),
        opening=opening,
        closing=closing,
        balances=balances,
        entries=[item for item in _values(node.all("Ntry")) if isinstance(item, StatementEntry)],
    )


def _opening_and_closing(
    balances: list[AccountBalance],
) -> tuple[AccountBalance | None, AccountBalance | None]:
    """Return the opening and closing balances; interim ones if this is a page of a statement."""
    first_balances: dict[str, AccountBalance] = {}
    for balance in balances:
        first_balances.setdefault(balance.code, balance)
    interim = [balance for balance in balances if balance.code == "ITBD"]
    opening = first_balances.get("OPBD") or first_balances.get("PRCD")
    closing = first_balances.get("CLBD")
    if opening is None and interim and (closing is not None or len(interim) > 1):
        opening = interim.pop(0)
    if closing is None and interim and opening is not None:
        closing = interim[-1]
    return opening, closing


def _bank(node: Node, path: str) -> Bic | None:
    return maybe_bic(node.text(f"{path}/FinInstnId/BICFI", f"{path}/FinInstnId/BIC"))


def _entry(node: Node) -> StatementEntry:
    amount = _signed_amount(node, _needed_amount(node, "Amt"))
    code = node.text("Sts/Cd", "Sts/Prtry", "Sts")
    text = node.text("AddtlNtryInf") or ""
    details = [
        item
        for detail in node.all("NtryDtls")
        for item in _values(detail.all("TxDtls"))
        if isinstance(item, _Details)
    ]
    reversal = node.flag("RvslInd")
    return StatementEntry(
        amount=amount,
        status=EntryStatus.UNKNOWN if code is None else _STATUSES.get(code, EntryStatus.UNKNOWN),
        status_word=code,
        booked_on=node.day("BookgDt/Dt", "BookgDt/DtTm"),
        value_on=node.day("ValDt/Dt", "ValDt/DtTm"),
        bank_reference=node.text("AcctSvcrRef"),
        entry_reference=node.text("NtryRef"),
        has_charges=node.node("Chrgs") is not None or any(item.has_charges for item in details),
        code=_transaction_code(node),
        bank_code=node.text("BkTxCd/Prtry/Cd"),
        reversal=reversal,
        text=text,
        batch=_batch(node, details, credit=amount.minor >= 0),
        transactions=[
            _transaction(item, amount, len(details), reversal=reversal) for item in details
        ]
        or [Transaction(amount=amount, remittance=text, bank_reference=node.text("AcctSvcrRef"))],
    )


def _transaction_code(node: Node) -> str | None:
    parts = [node.text(f"BkTxCd/Domn/{path}") for path in ("Cd", "Fmly/Cd", "Fmly/SubFmlyCd")]
    return "/".join(part for part in parts if part) or None


def _batch(node: Node, details: list[_Details], *, credit: bool) -> EntryBatch | None:
    batch = node.node("NtryDtls/Btch")
    if batch is not None:
        total = batch.amount("TtlAmt")
        return EntryBatch(
            message_id=batch.text("MsgId"),
            batch_id=batch.text("PmtInfId"),
            count=batch.count("NbOfTxs"),
            total=None if total is None else _signed_amount(batch, total, default=credit),
        )
    batches = {(item.message_id, item.batch_id) for item in details if item.batch_id}
    if len(batches) != 1:
        return None
    message_id, batch_id = batches.pop()
    return EntryBatch(message_id=message_id, batch_id=batch_id)


@frozen(kw_only=True)
class _Details:
    """A transaction that gets its sign and counterparty only when its entry has been read."""

    transaction: Transaction
    amount: Money | None
    credit: bool | None
    debtor: Counterparty
    creditor: Counterparty
    message_id: str | None
    batch_id: str | None
    has_charges: bool


def _transaction(item: _Details, total: Money, count: int, *, reversal: bool) -> Transaction:
    credit = total.minor >= 0 if item.credit is None else item.credit
    amount = item.amount
    if amount is not None:
        signed_amount: Money | None = amount if credit else -amount
    else:
        signed_amount = total if count == 1 else None
    # A returned payment states the parties of the original payment.
    is_return = reversal or item.transaction.return_reason is not None
    counterparty = item.debtor if credit is not is_return else item.creditor
    return evolve(item.transaction, amount=signed_amount, counterparty=counterparty)


def _details(node: Node) -> _Details:
    direction = node.text("CdtDbtInd")
    if direction not in {None, "CRDT", "DBIT"}:
        node.wrong("CdtDbtInd", "is neither CRDT nor DBIT")
    end_to_end_id = node.text("Refs/EndToEndId")
    remittance = node.node("RmtInf") or node
    structured = list(remittance.all("Strd"))
    transaction = Transaction(
        amount=None,
        end_to_end_id=None if end_to_end_id == NOT_PROVIDED else end_to_end_id,
        customer_reference=node.text("Refs/ChqNb"),
        instruction_id=node.text("Refs/InstrId"),
        mandate_id=node.text("Refs/MndtId"),
        creditor_id=node.text("RltdPties/Cdtr/Id/PrvtId/Othr/Id")
        or node.text("RltdPties/Cdtr/Pty/Id/PrvtId/Othr/Id"),
        bank_reference=node.text("Refs/AcctSvcrRef"),
        references=[text for part in structured if (text := part.text("CdtrRefInf/Ref"))],
        documents=[
            text
            for part in structured
            for document in part.all("RfrdDocInf")
            if (text := document.text("Nb"))
        ],
        remittance=" ".join(filter(None, map(_joined_text, remittance.all("Ustrd")))),
        return_reason=node.text("RtrInf/Rsn/Cd", "RtrInf/Rsn/Prtry"),
    )
    return _Details(
        transaction=transaction,
        amount=node.amount("Amt") or node.amount("AmtDtls/TxAmt/Amt"),
        credit=None if direction is None else direction == "CRDT",
        debtor=_party(node, "Dbtr"),
        creditor=_party(node, "Cdtr"),
        message_id=node.text("Refs/MsgId"),
        batch_id=node.text("Refs/PmtInfId"),
        has_charges=node.node("Chrgs") is not None,
    )


def _joined_text(node: Node) -> str:
    return "".join(node.texts or ()).strip()


def _party(node: Node, role: str) -> Counterparty:
    path = f"RltdPties/{role}"
    account = node.text(f"{path}Acct/Id/IBAN", f"{path}Acct/Id/Othr/Id")
    ultimate_path = f"RltdPties/Ultmt{role}"
    return Counterparty(
        name=node.text(f"{path}/Pty/Nm", f"{path}/Nm", f"{path}/Agt/FinInstnId/Nm"),
        iban=maybe_iban(account),
        account=account,
        bic=_bank(node, f"RltdAgts/{role}Agt"),
        ultimate=node.text(f"{ultimate_path}/Pty/Nm", f"{ultimate_path}/Nm"),
    )
