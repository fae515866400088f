"""SEPA orders for tests: examples with every field, and strategies that generate orders."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from moorage.contracts.bank import (
    NOT_PROVIDED,
    BankParty,
    CreditorReference,
    CreditTransfer,
    CreditTransferBatch,
    CreditTransferFile,
    DebitScheme,
    DirectDebitBatch,
    DirectDebitFile,
    DirectDebitOrder,
    Mandate,
    MandateAmendment,
    Money,
    PartyAddress,
    SequenceType,
)

IBANS = (
    "DE89370400440532013000",
    "AT611904300234573201",
    "NL91ABNA0417164300",
    "FR1420041010050500013M02606",
    "MT84MALT011000012345MTLCAST001S",
    "NO9386011117947",
)
BICS = ("COBADEFFXXX", "ABNANL2A", "BKAUATWW")
CREDITOR_ID = "DE98ZZZ09999999999"
CREATED = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
DAY = date(2026, 11, 26)

_LATIN = "ABCXYZabcxyz0123456789/-?:().,'+"
_SIGNS = "ABCXYZabcxyz0123456789-?:().,'+"


def transfers_with_everything(**changes: Any) -> CreditTransferFile:
    """Return a transfer file whose payments have every field, for the newest version."""
    address = PartyAddress(
        country="CH", town="Zug", postal_code="6300", street="Bahnhofstrasse", building="1"
    )
    full = CreditTransfer(
        end_to_end_id="PAY-1",
        instruction_id="INS-1",
        amount=Money("1190.00", "EUR"),
        creditor=BankParty(
            name="Lieferant AG", iban="CH9300762011623852957", bic="UBSWCHZH80A", address=address
        ),
        remittance="Invoice 4711",
        purpose="SUPP",
        ultimate_debtor="Acme Holding",
        ultimate_creditor="Lieferant Holding",
    )
    short = CreditTransfer(
        end_to_end_id=NOT_PROVIDED,
        amount=Money("0.01", "EUR"),
        creditor=BankParty(name="Bakker BV", iban=IBANS[2]),
        remittance=CreditorReference("RF18539007547034"),
    )
    batch = CreditTransferBatch(
        id="B-1",
        debtor=BankParty(
            name="Acme GmbH",
            iban=IBANS[0],
            bic=BICS[0],
            address=PartyAddress(country="DE", town="Bonn", lines=["Haus 2"]),
        ),
        execution_date=DAY,
        transfers=[full, short],
        single_booking=False,
        instant=True,
        category="SUPP",
    )
    other = CreditTransferBatch(
        id="B-2",
        debtor=BankParty(name="Acme GmbH", iban=IBANS[1]),
        execution_date=DAY,
        transfers=[
            CreditTransfer(
                end_to_end_id="PAY-3",
                amount=Money("999999999.99", "EUR"),
                creditor=BankParty(name="Dupont", iban=IBANS[3]),
            )
        ],
    )
    fields: dict[str, Any] = {
        "message_id": "RUN-1",
        "created": CREATED,
        "initiator": "Acme GmbH",
        "batches": [batch, other],
        **changes,
    }
    return CreditTransferFile(**fields)


def debits_with_everything(**changes: Any) -> DirectDebitFile:
    """Return a direct-debit file whose payments have every field."""
    amendment = MandateAmendment(
        original_id="M-0",
        original_creditor_id=CREDITOR_ID,
        original_creditor_name="Acme alt",
        original_iban=IBANS[1],
    )
    full = DirectDebitOrder(
        end_to_end_id="INV-1",
        instruction_id="INS-1",
        amount=Money("59.90", "EUR"),
        debtor=BankParty(
            name="Erika Mustermann",
            iban=IBANS[0],
            bic=BICS[0],
            address=PartyAddress(country="DE", town="Bonn"),
        ),
        mandate=Mandate(id="M-1", signed=date(2025, 3, 1), amendment=amendment),
        remittance="Invoice INV-1",
        purpose="SUBS",
        ultimate_debtor="Max Mustermann",
    )
    moved = DirectDebitOrder(
        end_to_end_id="INV-2",
        amount=Money("10.00", "EUR"),
        debtor=BankParty(name="Bakker BV", iban=IBANS[2]),
        mandate=Mandate(
            id="M-2", signed=date(2025, 3, 2), amendment=MandateAmendment(other_account=True)
        ),
        remittance=CreditorReference("RF18539007547034"),
    )
    plain_order = DirectDebitOrder(
        end_to_end_id="INV-3",
        amount=Money("20.00", "EUR"),
        debtor=BankParty(name="Dupont", iban=IBANS[3]),
        mandate=Mandate(id="M-3", signed=date(2025, 3, 3)),
    )
    creditor = BankParty(name="Acme GmbH", iban=IBANS[0], bic=BICS[0])
    batches = [
        DirectDebitBatch(
            id="D-1",
            creditor=creditor,
            creditor_id=CREDITOR_ID,
            collection_date=DAY,
            debits=[full, moved],
            sequence="RCUR",
            scheme="B2B",
            single_booking=False,
            category="SUPP",
        ),
        DirectDebitBatch(
            id="D-2",
            creditor=BankParty(name="Acme GmbH", iban=IBANS[1]),
            creditor_id=CREDITOR_ID,
            collection_date=DAY,
            debits=[plain_order],
            sequence="OOFF",
        ),
    ]
    fields: dict[str, Any] = {
        "message_id": "DD-1",
        "created": CREATED,
        "initiator": "Acme GmbH",
        "batches": batches,
        **changes,
    }
    return DirectDebitFile(**fields)


def texts(longest: int) -> st.SearchStrategy[str]:
    """Return a strategy for texts of SEPA's Latin set without spaces at the ends."""
    inner = st.text(_LATIN + " ", max_size=longest - 2)
    end_letters = st.sampled_from(_LATIN)
    return st.one_of(
        end_letters, st.builds(lambda a, b, c: a + b + c, end_letters, inner, end_letters)
    )


identifiers = st.text(_SIGNS, min_size=1, max_size=35)
amounts = st.integers(1, 99_999_999_999).map(lambda minor: Money.from_minor(minor, "EUR"))
references = st.text("ABCXYZ0123456789", min_size=1, max_size=21).map(CreditorReference.of)
days = st.dates(date(1990, 1, 1), date(2100, 1, 1))
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
addresses = st.builds(
    PartyAddress,
    country=st.sampled_from(["DE", "CH", "GB"]),
    town=st.none() | texts(35),
    postal_code=st.none() | texts(16),
    street=st.none() | texts(70),
    building=st.none() | texts(16),
    lines=st.lists(texts(70), max_size=2),
)
parties = st.builds(
    BankParty,
    name=texts(70),
    iban=st.sampled_from(IBANS),
    bic=st.none() | st.sampled_from(BICS),
    address=st.none() | addresses,
)
remittances = st.none() | texts(140) | references
codes = st.none() | st.sampled_from(["SALA", "SUPP"])
transfers = st.builds(
    CreditTransfer,
    end_to_end_id=identifiers,
    amount=amounts,
    creditor=parties,
    remittance=remittances,
    instruction_id=st.none() | identifiers,
    purpose=codes,
    ultimate_debtor=st.none() | texts(70),
    ultimate_creditor=st.none() | texts(70),
)
transfer_files = st.lists(
    st.builds(
        CreditTransferBatch,
        id=identifiers,
        debtor=parties,
        execution_date=days,
        transfers=st.lists(
            transfers, min_size=1, max_size=3, unique_by=lambda payment: payment.end_to_end_id
        ),
        single_booking=st.booleans(),
        instant=st.booleans(),
        category=codes,
    ),
    min_size=1,
    max_size=1,
).flatmap(
    lambda batches: st.builds(
        CreditTransferFile,
        message_id=identifiers,
        created=times,
        initiator=texts(70),
        batches=st.just(batches),
    )
)
amendments = st.one_of(
    st.builds(MandateAmendment, original_id=identifiers, other_account=st.booleans()),
    st.builds(
        MandateAmendment,
        original_creditor_id=st.none() | st.just(CREDITOR_ID),
        original_creditor_name=texts(70),
        original_iban=st.none() | st.sampled_from(IBANS),
    ),
)
debits = st.builds(
    DirectDebitOrder,
    end_to_end_id=identifiers,
    amount=amounts,
    debtor=parties,
    mandate=st.builds(Mandate, id=identifiers, signed=days, amendment=st.none() | amendments),
    remittance=remittances,
    instruction_id=st.none() | identifiers,
    purpose=codes,
    ultimate_debtor=st.none() | texts(70),
)
debit_files = st.lists(
    st.builds(
        DirectDebitBatch,
        id=identifiers,
        creditor=parties,
        creditor_id=st.just(CREDITOR_ID),
        collection_date=days,
        debits=st.lists(
            debits, min_size=1, max_size=3, unique_by=lambda payment: payment.end_to_end_id
        ),
        sequence=st.sampled_from(SequenceType),
        scheme=st.sampled_from(DebitScheme),
        single_booking=st.booleans(),
        category=codes,
    ),
    min_size=1,
    max_size=1,
).flatmap(
    lambda batches: st.builds(
        DirectDebitFile,
        message_id=identifiers,
        created=times,
        initiator=texts(70),
        batches=st.just(batches),
    )
)
