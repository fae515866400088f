"""Reader of MT940's field 86 (details of a transaction), which has several structures.

The German structure has numbered parts (`166?00GUTSCHRIFT?20EREF+...`). The structure of ISO
keywords has names between slashes (`/EREF/.../REMI/...`). Anything else is text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from moorage.contracts.bank.bic import maybe_bic
from moorage.contracts.bank.iban import maybe_iban
from moorage.contracts.bank.payment_orders import NOT_PROVIDED
from moorage.contracts.bank.statements import Counterparty, Transaction
from moorage.domain.values.frozen_values import frozen

if TYPE_CHECKING:
    from moorage.domain.values.money import Money

_NUMBERED_PART: Final = re.compile(r"\s*([0-9]{3})([^0-9A-Za-z\s])(?=[0-9]{2})")
_FULL_PART: Final = 27
_RETURN_CODE: Final = re.compile("9[0-9]{2}")
_TEXT_PARTS: Final = (*range(20, 30), *range(60, 64))
_KEYWORD: Final = re.compile(
    r"(?:^|(?<=[\x00 ]))(EREF|KREF|MREF|CRED|DEBT|COAM|OAMT|SVWZ|ABWA|ABWE|IBAN|BIC|PURP)\+"
)
_ISO_KEYWORDS: Final = (
    "ADDR BENM BIC BUSP CDTRREF CDTRREFTP CHGS CNTP CSID EREF EXCH IBAN ID INIT ISDT KREF MARF"
    " NAME OCMT ORDP PREF PURP REMI RTRN RTYP SVCL SWOC TRCD TRTP ULTB ULTC ULTD"
)
_ISO_KEYWORD: Final = re.compile(f"/({_ISO_KEYWORDS.replace(' ', '|')})/")
_STRUCTURED: Final = re.compile(r"/*(?:STRD)?/*(?:CUR|ISO)/(.+)")
_SPACES: Final = re.compile(r"\s+")


@frozen
class Details:
    """The content of an MT940 field 86.

    Attributes:
        transaction: payment that the field describes.
        code: the bank's code of the transaction, such as Germany's of three digits.
        title: text of the booking.
    """

    transaction: Transaction
    code: str | None = None
    title: str = ""


def read_details(lines: list[str], amount: Money) -> Details:
    """Parse the lines of a field 86."""
    text = "".join(lines)
    match = _NUMBERED_PART.match(text)
    if match is not None:
        return _german_details(match[1], text[match.end(1) :], amount)
    if text.lstrip().startswith("/") and _ISO_KEYWORD.search(text):
        return _keywords(text, amount)
    return Details(Transaction(amount=amount, remittance=_plain_details(" ".join(lines))))


def _plain_details(text: str | None) -> str:
    return _SPACES.sub(" ", text or "").strip()


def _text_or_none(text: str | None) -> str | None:
    return _plain_details(text) or None


def _identifier(text: str | None) -> str | None:
    plain_text = _text_or_none(text)
    return None if plain_text in {NOT_PROVIDED, "NONREF"} else plain_text


def _german_details(code: str, text: str, amount: Money) -> Details:
    """Parse the German structure, whose parts are separated by the text's first character."""
    pieces = re.split(re.escape(text[0]) + "([0-9]{2})", text)
    contents: defaultdict[int, list[str]] = defaultdict(list)
    for number, content in zip(pieces[1::2], pieces[2::2], strict=True):
        contents[int(number)].append(content)
    parts = {number: "".join(text_parts) for number, text_parts in contents.items()}
    texts = [parts[number] for number in _TEXT_PARTS if number in parts]
    sections = _sections("\0".join(texts))
    reason = _plain_details(parts.get(34))
    account = (
        _text_or_none(sections.get("IBAN"))
        or _text_or_none(parts.get(38))
        or _text_or_none(parts.get(31))
    )
    transaction = Transaction(
        amount=amount,
        counterparty=Counterparty(
            name=_text_or_none(parts.get(32, "") + parts.get(33, "")),
            iban=maybe_iban(account),
            account=account,
            bic=maybe_bic(_text_or_none(sections.get("BIC")) or _text_or_none(parts.get(30))),
            ultimate=_text_or_none(sections.get("ABWA")) or _text_or_none(sections.get("ABWE")),
        ),
        end_to_end_id=_identifier(sections.get("EREF")),
        customer_reference=_identifier(sections.get("KREF")),
        mandate_id=_identifier(sections.get("MREF")),
        creditor_id=_identifier(sections.get("CRED")),
        remittance=_plain_details(_remittance(texts, sections)),
        return_reason=reason if _RETURN_CODE.fullmatch(reason) else None,
    )
    return Details(transaction, code, _plain_details(parts.get(0)))


def _remittance(texts: list[str], sections: dict[str, str]) -> str:
    """Join the parts of a remittance text, with a space after each part below full length."""
    full_text = "".join(f"{text}\0" if len(text) >= _FULL_PART else f"{text} \0" for text in texts)
    return _sections(full_text)["SVWZ" if "SVWZ" in sections else ""]


def _sections(text: str) -> dict[str, str]:
    """Split a text at SEPA keywords such as `EREF+`; the key "" has the text before them."""
    pieces = _KEYWORD.split(text)
    contents: defaultdict[str, list[str]] = defaultdict(list, {"": [pieces[0]]})
    for keyword, content in zip(pieces[1::2], pieces[2::2], strict=True):
        contents[keyword].append(content)
    return {
        keyword: "".join(contents_of_keyword).replace("\0", "")
        for keyword, contents_of_keyword in contents.items()
    }


def _keywords(text: str, amount: Money) -> Details:
    """Parse a text in which ISO keywords stand between slashes."""
    pieces = _ISO_KEYWORD.split(text)
    sections: dict[str, str] = {}
    for keyword, content in zip(pieces[1::2], pieces[2::2], strict=True):
        sections.setdefault(keyword, content.strip("/"))
    party = sections.get("CNTP", "").split("/")
    account, bic, name = [*(party if "CNTP" in sections else []), "", "", ""][:3]
    account = _plain_details(sections.get("IBAN")) or _plain_details(account)
    remittance = sections.get("REMI", "")
    remittance = remittance.removeprefix("USTD").lstrip("/")
    structured = _STRUCTURED.fullmatch(remittance)
    reference = _text_or_none(sections.get("CDTRREF")) or (structured and structured[1].strip("/"))
    transaction = Transaction(
        amount=amount,
        counterparty=Counterparty(
            name=_text_or_none(sections.get("NAME")) or _text_or_none(name),
            iban=maybe_iban(account or None),
            account=account or None,
            bic=maybe_bic(_text_or_none(sections.get("BIC")) or _text_or_none(bic)),
            ultimate=_text_or_none(sections.get("ULTD"))
            or _text_or_none(sections.get("ULTC"))
            or _text_or_none(sections.get("ULTB")),
        ),
        end_to_end_id=_identifier(sections.get("EREF")),
        customer_reference=_identifier(sections.get("KREF") or sections.get("PREF")),
        mandate_id=_identifier(sections.get("MARF")),
        creditor_id=_identifier(sections.get("CSID")),
        references=[reference] if reference else [],
        remittance="" if structured else _plain_details(remittance),
        return_reason=_text_or_none(sections.get("RTRN")),
    )
    return Details(
        transaction, _text_or_none(sections.get("TRCD")) or _text_or_none(sections.get("TRTP"))
    )
