"""The content of an FA(3) file as classes, with fields in the order of the file's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.invoices.binding import NUMBER
from moorage.invoices.layouts import day_at, number_at, part_at, parts_at, text_at

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

_AMOUNT: Final = r"-?(?:[1-9]\d{0,15}|0)(?:\.\d{1,2})?"
_PRICE: Final = r"-?(?:[1-9]\d{0,13}|0)(?:\.\d{1,8})?"
_QUANTITY: Final = r"-?(?:[1-9]\d{0,15}|0)(?:\.\d{1,6})?"
_COUNTRY: Final = "[A-Z]{2}"
_NIP: Final = r"[1-9](?:\d[1-9]|[1-9]\d)\d{7}"
_RATE: Final = "23|22|8|7|5|4|3|0 KR|0 WDT|0 EX|zw|oo|np I|np II"
_KSEF_NUMBER: Final = (
    r"(?:[1-9]\d{9}|M\d{9}|[A-Z]{3}\d{7})-\d{8}-[0-9A-F]{6}-?[0-9A-F]{6}-[0-9A-F]{2}"
)
_ONE_PATTERN: Final = "1"
_ONE_OR_TWO_PATTERN: Final = "[12]"


def _token(path: str, most: int, *, needed: bool = False) -> Any:
    """Make a field for a text of words that are separated by single spaces."""
    return text_at(path, rf"(?=.{{1,{most}}}$)\S+(?: \S+)*", needed=needed)


def _amount(path: str, *, needed: bool = False) -> Any:
    return number_at(path, _AMOUNT, needed=needed)


@attrs.frozen(kw_only=True)
class FaContact:
    """The email address and telephone number of a party."""

    email: str | None = text_at("Email", r"(?=.{3,255}$)\S+@\S+")
    phone: str | None = _token("Telefon", 16)


@attrs.frozen(kw_only=True)
class FaPerson:
    """The seller or the buyer in an FA(3) file."""

    prefix: str | None = text_at("PrefiksPodatnika", _COUNTRY)
    nip: str | None = text_at("DaneIdentyfikacyjne/NIP", _NIP)
    eu_country: str | None = text_at("DaneIdentyfikacyjne/KodUE", _COUNTRY)
    eu_number: str | None = text_at("DaneIdentyfikacyjne/NrVatUE", r"[0-9A-Z+*]{1,12}")
    id_country: str | None = text_at("DaneIdentyfikacyjne/KodKraju", _COUNTRY)
    other_id: str | None = _token("DaneIdentyfikacyjne/NrID", 50)
    has_no_id: str | None = text_at("DaneIdentyfikacyjne/BrakID", _ONE_PATTERN)
    name: str | None = _token("DaneIdentyfikacyjne/Nazwa", 512)
    country: str | None = text_at("Adres/KodKraju", _COUNTRY)
    address: str | None = _token("Adres/AdresL1", 512)
    city: str | None = _token("Adres/AdresL2", 512)
    contacts: tuple[FaContact, ...] = parts_at("DaneKontaktowe", FaContact)
    local_unit: str | None = text_at("JST", _ONE_OR_TWO_PATTERN)
    group_member: str | None = text_at("GV", _ONE_OR_TWO_PATTERN)


@attrs.frozen(kw_only=True)
class CorrectedInvoice:
    """An earlier invoice that this one corrects."""

    day: date | None = day_at("DataWystFaKorygowanej", needed=True)
    number: str | None = _token("NrFaKorygowanej", 256, needed=True)
    in_ksef: str | None = text_at("NrKSeF", _ONE_PATTERN)
    ksef_number: str | None = text_at("NrKSeFFaKorygowanej", _KSEF_NUMBER)
    outside_ksef: str | None = text_at("NrKSeFN", _ONE_PATTERN)


@attrs.frozen(kw_only=True)
class FaLine:
    """A line of the invoice in an FA(3) file."""

    number: Decimal | None = number_at("NrWierszaFa", r"[1-9]\d{0,13}", needed=True, codec=NUMBER)
    name: str | None = _token("P_7", 512)
    item_id: str | None = _token("Indeks", 50)
    gtin: str | None = _token("GTIN", 20)
    unit: str | None = _token("P_8A", 256)
    quantity: Decimal | None = number_at("P_8B", _QUANTITY, codec=NUMBER)
    price: Decimal | None = number_at("P_9A", _PRICE)
    gross_price: Decimal | None = number_at("P_9B", _PRICE)
    discount: Decimal | None = number_at("P_10", _PRICE)
    net: Decimal | None = _amount("P_11")
    gross: Decimal | None = _amount("P_11A")
    rate: str | None = text_at("P_12", _RATE)
    exchange_rate: Decimal | None = number_at("KursWaluty", _QUANTITY, codec=NUMBER)
    before: str | None = text_at("StanPrzed", _ONE_PATTERN)


@attrs.frozen(kw_only=True)
class FaSettlement:
    """An amount that is added to the total or deducted from it, beside the invoice."""

    amount: Decimal | None = _amount("Kwota", needed=True)
    reason: str | None = _token("Powod", 256, needed=True)


@attrs.frozen(kw_only=True)
class FaAccount:
    """A bank account that the buyer may pay to."""

    number: str | None = text_at("NrRB", ".{10,34}", needed=True)
    bic: str | None = text_at("SWIFT", "[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
    name: str | None = _token("OpisRachunku", 256)


@attrs.frozen(kw_only=True)
class FaTerm:
    """The date on which a payment is due."""

    day: date | None = day_at("Termin")


@attrs.frozen(kw_only=True)
class FaContract:
    """The number of a contract that the invoice refers to."""

    number: str | None = _token("NrUmowy", 256)


@attrs.frozen(kw_only=True)
class FaOrder:
    """The number of an order that the invoice refers to."""

    number: str | None = _token("NrZamowienia", 256)


@attrs.frozen(kw_only=True)
class FaReference:
    """The number of another document that the invoice refers to."""

    number: str | None = _token("", 256, needed=True)


@attrs.frozen(kw_only=True)
class FaFooter:
    """A free text at the end of the invoice."""

    text: str | None = text_at("StopkaFaktury", r"(?s)(?=\S).{1,3500}(?<=\S)", needed=True)


_FA: Final = "Fa"
_NOTES: Final = f"{_FA}/Adnotacje"
_PAYMENT: Final = f"{_FA}/Platnosc"
_TERMS: Final = f"{_FA}/WarunkiTransakcji"


@attrs.frozen(kw_only=True)
class FaDocument:
    """The content of an FA(3) file, without its heading."""

    seller: FaPerson | None = part_at("Podmiot1", FaPerson, needed=True)
    buyer: FaPerson | None = part_at("Podmiot2", FaPerson, needed=True)
    currency: str | None = text_at(f"{_FA}/KodWaluty", "[A-Z]{3}", needed=True)
    day: date | None = day_at(f"{_FA}/P_1", needed=True)
    place: str | None = _token(f"{_FA}/P_1M", 256)
    number: str | None = _token(f"{_FA}/P_2", 256, needed=True)
    delivery_notes: tuple[FaReference, ...] = parts_at(f"{_FA}/WZ", FaReference)
    supplied: date | None = day_at(f"{_FA}/P_6")
    start: date | None = day_at(f"{_FA}/OkresFa/P_6_Od")
    end: date | None = day_at(f"{_FA}/OkresFa/P_6_Do")
    net_1: Decimal | None = _amount(f"{_FA}/P_13_1")
    tax_1: Decimal | None = _amount(f"{_FA}/P_14_1")
    tax_pln_1: Decimal | None = _amount(f"{_FA}/P_14_1W")
    net_2: Decimal | None = _amount(f"{_FA}/P_13_2")
    tax_2: Decimal | None = _amount(f"{_FA}/P_14_2")
    tax_pln_2: Decimal | None = _amount(f"{_FA}/P_14_2W")
    net_3: Decimal | None = _amount(f"{_FA}/P_13_3")
    tax_3: Decimal | None = _amount(f"{_FA}/P_14_3")
    tax_pln_3: Decimal | None = _amount(f"{_FA}/P_14_3W")
    net_4: Decimal | None = _amount(f"{_FA}/P_13_4")
    tax_4: Decimal | None = _amount(f"{_FA}/P_14_4")
    tax_pln_4: Decimal | None = _amount(f"{_FA}/P_14_4W")
    net_5: Decimal | None = _amount(f"{_FA}/P_13_5")
    tax_5: Decimal | None = _amount(f"{_FA}/P_14_5")
    net_zero: Decimal | None = _amount(f"{_FA}/P_13_6_1")
    net_eu: Decimal | None = _amount(f"{_FA}/P_13_6_2")
    net_export: Decimal | None = _amount(f"{_FA}/P_13_6_3")
    net_exempt: Decimal | None = _amount(f"{_FA}/P_13_7")
    net_abroad: Decimal | None = _amount(f"{_FA}/P_13_8")
    net_eu_services: Decimal | None = _amount(f"{_FA}/P_13_9")
    net_reversed: Decimal | None = _amount(f"{_FA}/P_13_10")
    net_margin: Decimal | None = _amount(f"{_FA}/P_13_11")
    gross: Decimal | None = _amount(f"{_FA}/P_15", needed=True)
    exchange_rate: Decimal | None = number_at(f"{_FA}/KursWalutyZ", _QUANTITY, codec=NUMBER)
    cash_method: str | None = text_at(f"{_NOTES}/P_16", _ONE_OR_TWO_PATTERN, needed=True)
    self_billed: str | None = text_at(f"{_NOTES}/P_17", _ONE_OR_TWO_PATTERN, needed=True)
    reverse_charge: str | None = text_at(f"{_NOTES}/P_18", _ONE_OR_TWO_PATTERN, needed=True)
    split_payment: str | None = text_at(f"{_NOTES}/P_18A", _ONE_OR_TWO_PATTERN, needed=True)
    exempt: str | None = text_at(f"{_NOTES}/Zwolnienie/P_19", _ONE_PATTERN)
    exemption_law: str | None = _token(f"{_NOTES}/Zwolnienie/P_19A", 256)
    exemption_directive: str | None = _token(f"{_NOTES}/Zwolnienie/P_19B", 256)
    exemption_basis: str | None = _token(f"{_NOTES}/Zwolnienie/P_19C", 256)
    not_exempt: str | None = text_at(f"{_NOTES}/Zwolnienie/P_19N", _ONE_PATTERN)
    vehicles: str | None = text_at(f"{_NOTES}/NoweSrodkiTransportu/P_22", _ONE_PATTERN)
    no_vehicles: str | None = text_at(f"{_NOTES}/NoweSrodkiTransportu/P_22N", _ONE_PATTERN)
    triangular: str | None = text_at(f"{_NOTES}/P_23", _ONE_OR_TWO_PATTERN, needed=True)
    margin: str | None = text_at(f"{_NOTES}/PMarzy/P_PMarzy", _ONE_PATTERN)
    no_margin: str | None = text_at(f"{_NOTES}/PMarzy/P_PMarzyN", _ONE_PATTERN)
    kind: str | None = text_at(
        f"{_FA}/RodzajFaktury", "VAT|KOR|ZAL|ROZ|UPR|KOR_ZAL|KOR_ROZ", needed=True
    )
    correction_reason: str | None = _token(f"{_FA}/PrzyczynaKorekty", 256)
    corrected: tuple[CorrectedInvoice, ...] = parts_at(f"{_FA}/DaneFaKorygowanej", CorrectedInvoice)
    lines: tuple[FaLine, ...] = parts_at(f"{_FA}/FaWiersz", FaLine)
    charges: tuple[FaSettlement, ...] = parts_at(f"{_FA}/Rozliczenie/Obciazenia", FaSettlement)
    charged: Decimal | None = _amount(f"{_FA}/Rozliczenie/SumaObciazen")
    deductions: tuple[FaSettlement, ...] = parts_at(f"{_FA}/Rozliczenie/Odliczenia", FaSettlement)
    deducted: Decimal | None = _amount(f"{_FA}/Rozliczenie/SumaOdliczen")
    due: Decimal | None = _amount(f"{_FA}/Rozliczenie/DoZaplaty")
    overpaid: Decimal | None = _amount(f"{_FA}/Rozliczenie/DoRozliczenia")
    paid: str | None = text_at(f"{_PAYMENT}/Zaplacono", _ONE_PATTERN)
    paid_on: date | None = day_at(f"{_PAYMENT}/DataZaplaty")
    terms: tuple[FaTerm, ...] = parts_at(f"{_PAYMENT}/TerminPlatnosci", FaTerm)
    means: str | None = text_at(f"{_PAYMENT}/FormaPlatnosci", "[1-7]")
    other_means: str | None = text_at(f"{_PAYMENT}/PlatnoscInna", _ONE_PATTERN)
    means_text: str | None = _token(f"{_PAYMENT}/OpisPlatnosci", 256)
    accounts: tuple[FaAccount, ...] = parts_at(f"{_PAYMENT}/RachunekBankowy", FaAccount)
    contracts: tuple[FaContract, ...] = parts_at(f"{_TERMS}/Umowy", FaContract)
    orders: tuple[FaOrder, ...] = parts_at(f"{_TERMS}/Zamowienia", FaOrder)
    footers: tuple[FaFooter, ...] = parts_at("Stopka/Informacje", FaFooter)
