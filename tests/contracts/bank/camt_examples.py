"""Bank files (ISO 20022 camt) for tests, in several versions."""

from __future__ import annotations

IBAN = "DE89370400440532013000"


def document(content: str, *, message: str = "camt.053.001.08", kind: str = "Stmt") -> bytes:
    """Return an XML document with the content of one statement, report or notification."""
    name = {
        "Stmt": "BkToCstmrStmt",
        "Rpt": "BkToCstmrAcctRpt",
        "Ntfctn": "BkToCstmrDbtCdtNtfctn",
    }[kind]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{message}"><{name}>\n'
        "<GrpHdr><MsgId>M-1</MsgId><CreDtTm>2026-11-25T20:00:00+01:00</CreDtTm></GrpHdr>\n"
        f"<{kind}>{content}</{kind}>\n</{name}></Document>\n"
    ).encode()


def head(number: str = "231") -> str:
    """Return the XML of a statement's header."""
    return (
        f"<Id>ST-{number}</Id><ElctrncSeqNb>{number}</ElctrncSeqNb>"
        "<CreDtTm>2026-11-25T20:00:00+01:00</CreDtTm>"
        f"<Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>\n"
    )


def balance(code: str, amount: str, sign: str = "CRDT", *, currency: str = "EUR") -> str:
    """Return the XML of a balance."""
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>'
        "<Dt><Dt>2026-11-25</Dt></Dt></Bal>\n"
    )


def entry(
    amount: str,
    sign: str = "CRDT",
    *,
    details: str = "",
    more: str = "",
    status: str = "<Cd>BOOK</Cd>",
    text: str = "",
) -> str:
    """Return the XML of an entry (version 08), with the XML in `more` before its status."""
    return (
        f'<Ntry><NtryRef>N-1</NtryRef><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>'
        f"{more}<Sts>{status}</Sts><BookgDt><Dt>2026-11-25</Dt></BookgDt>"
        "<ValDt><DtTm>2026-11-26T00:00:00</DtTm></ValDt><AcctSvcrRef>BANK-1</AcctSvcrRef>"
        "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn>"
        "<Prtry><Cd>NTRF+166</Cd><Issr>DK</Issr></Prtry></BkTxCd>"
        f"{details}{text}</Ntry>\n"
    )


PAYMENT = (
    "<TxDtls><Refs><InstrId>INS-1</InstrId><EndToEndId>PAY-1</EndToEndId><MndtId>MND-1</MndtId>"
    '</Refs><Amt Ccy="EUR">59.90</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
    "<RltdPties><Dbtr><Pty><Nm>Erika Mustermann</Nm></Pty></Dbtr>"
    "<DbtrAcct><Id><IBAN>DE02120300000000202051</IBAN></Id></DbtrAcct>"
    "<UltmtDbtr><Pty><Nm>Max Mustermann</Nm></Pty></UltmtDbtr>"
    "<Cdtr><Pty><Nm>Acme GmbH</Nm></Pty></Cdtr></RltdPties>"
    "<RltdAgts><DbtrAgt><FinInstnId><BICFI>BYLADEM1001</BICFI></FinInstnId></DbtrAgt></RltdAgts>"
    "<RmtInf><Ustrd>Rechnung</Ustrd><Ustrd>2026-0815</Ustrd><Strd>"
    "<RfrdDocInf><Nb>INV-7</Nb></RfrdDocInf>"
    "<CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>"
)

STATEMENT = document(
    head()
    + balance("OPBD", "5000.00")
    + balance("CLBD", "3869.90")
    + entry("59.90", details=f"<NtryDtls>{PAYMENT}</NtryDtls>")
    + entry("1190.00", "DBIT", text="<AddtlNtryInf>Rent</AddtlNtryInf>")
    + entry("7.00", status="<Cd>PDNG</Cd>")
)

OLD_STATEMENT = document(
    head()
    + balance("PRCD", "10.00", "DBIT")
    + balance("CLBD", "49.90")
    + '<Ntry><Amt Ccy="EUR">59.90</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>'
    "<BookgDt><DtTm>2026-11-25T08:00:00</DtTm></BookgDt><BkTxCd><Prtry><Cd>166</Cd></Prtry>"
    "</BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>"
    '<AmtDtls><TxAmt><Amt Ccy="EUR">59.90</Amt></TxAmt></AmtDtls>'
    "<RltdPties><Dbtr><Nm>Erika Mustermann</Nm></Dbtr>"
    "<DbtrAcct><Id><Othr><Id>4711</Id></Othr></Id></DbtrAcct></RltdPties>"
    "<RltdAgts><DbtrAgt><FinInstnId><BIC>BYLADEM1001</BIC></FinInstnId></DbtrAgt></RltdAgts>"
    "<RmtInf><Ustrd>Danke</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>\n",
    message="camt.053.001.02",
)
