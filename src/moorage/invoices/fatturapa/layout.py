"""The content of a FatturaPA file as classes, with fields in the order of the file's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.invoices.binding import BASE64, NUMBER
from moorage.invoices.layouts import (
    ASCII,
    CODEC,
    NEEDED,
    PATH,
    day_at,
    latin_text,
    number_at,
    part_at,
    parts_at,
    short_text,
    text_at,
)

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

AMOUNT2: Final = r"-?[0-9]{1,11}\.[0-9]{2}"
AMOUNT8: Final = r"-?[0-9]{1,11}\.[0-9]{2,8}"
RATE: Final = r"(?:100\.00|[0-9]{1,2}\.[0-9]{2})"
QUANTITY: Final = r"[0-9]{1,12}\.[0-9]{2,8}"
COUNTRY: Final = "[A-Z]{2}"
NATURE: Final = r"N1|N2(?:\.[12])?|N3(?:\.[1-6])?|N4|N5|N6(?:\.[1-9])?|N7"


@attrs.frozen(kw_only=True)
class PartyPlace:
    """The address of a party in a FatturaPA file."""

    street: str | None = latin_text("Indirizzo", 60, needed=True)
    house: str | None = short_text("NumeroCivico", 8)
    postal_code: str | None = text_at("CAP", "[0-9]{5}", needed=True)
    city: str | None = latin_text("Comune", 60, needed=True)
    province: str | None = text_at("Provincia", COUNTRY)
    country: str | None = text_at("Nazione", COUNTRY, needed=True)


@attrs.frozen(kw_only=True)
class TaxPerson:
    """A person or company with its tax identifiers, address and contact."""

    vat_country: str | None = text_at("DatiAnagrafici/IdFiscaleIVA/IdPaese", COUNTRY)
    vat_code: str | None = text_at("DatiAnagrafici/IdFiscaleIVA/IdCodice", f"{ASCII}{{1,28}}")
    fiscal_code: str | None = text_at("DatiAnagrafici/CodiceFiscale", "[A-Z0-9]{11,16}")
    name: str | None = latin_text("DatiAnagrafici/Anagrafica/Denominazione", 80)
    first_name: str | None = latin_text("DatiAnagrafici/Anagrafica/Nome", 60)
    last_name: str | None = latin_text("DatiAnagrafici/Anagrafica/Cognome", 60)
    regime: str | None = text_at("DatiAnagrafici/RegimeFiscale", "RF(?:0[124-9]|1[0-9])")
    place: PartyPlace | None = part_at("Sede", PartyPlace)
    phone: str | None = text_at("Contatti/Telefono", f"{ASCII}{{5,12}}")
    email: str | None = text_at("Contatti/Email", r"(?=.{7,256}$).+@.+\..+")
    reference: str | None = short_text("RiferimentoAmministrazione", 20)


@attrs.frozen(kw_only=True)
class WithheldTax:
    """Tax that the buyer withholds, in a FatturaPA file."""

    type: str | None = text_at("TipoRitenuta", "RT0[1-6]", needed=True)
    amount: Decimal | None = number_at("ImportoRitenuta", AMOUNT2, needed=True)
    rate: Decimal | None = number_at("AliquotaRitenuta", RATE, needed=True)
    reason: str | None = text_at("CausalePagamento", "[A-EG-IL-Z]|L1|M1|M2|O1|V1|ZO", needed=True)


@attrs.frozen(kw_only=True)
class PensionFund:
    """A contribution to the pension fund of a profession."""

    type: str | None = text_at("TipoCassa", "TC(?:0[1-9]|1[0-9]|2[0-2])", needed=True)
    percent: Decimal | None = number_at("AlCassa", RATE, needed=True)
    amount: Decimal | None = number_at("ImportoContributoCassa", AMOUNT2, needed=True)
    base: Decimal | None = number_at("ImponibileCassa", AMOUNT2)
    rate: Decimal | None = number_at("AliquotaIVA", RATE, needed=True)
    withheld: str | None = text_at("Ritenuta", "SI")
    nature: str | None = text_at("Natura", NATURE)


@attrs.frozen(kw_only=True)
class RelatedDocument:
    """A document that the invoice refers to, such as an order."""

    number: str | None = short_text("IdDocumento", 20, needed=True)
    day: date | None = day_at("Data")
    project: str | None = short_text("CodiceCUP", 15)
    tender: str | None = short_text("CodiceCIG", 15)


@attrs.frozen(kw_only=True)
class DeliveryNote:
    """The number and date of a delivery note that the invoice refers to."""

    number: str | None = short_text("NumeroDDT", 20, needed=True)
    day: date | None = day_at("DataDDT", needed=True)


@attrs.frozen(kw_only=True)
class ItemCode:
    """A code of an item, with its type."""

    type: str | None = short_text("CodiceTipo", 35, needed=True)
    code: str | None = text_at("CodiceValore", ".{1,35}", needed=True)


@attrs.frozen(kw_only=True)
class Discount:
    """A discount ('SC') or surcharge ('MG') on the price of one unit."""

    type: str | None = text_at("Tipo", "SC|MG", needed=True)
    percent: Decimal | None = number_at("Percentuale", RATE)
    amount: Decimal | None = number_at("Importo", AMOUNT8)


@attrs.frozen(kw_only=True)
class DetailLine:
    """A line of the invoice in a FatturaPA file."""

    number: Decimal | None = number_at("NumeroLinea", "[1-9][0-9]{0,3}", needed=True, codec=NUMBER)
    kind: str | None = text_at("TipoCessionePrestazione", "SC|PR|AB|AC")
    codes: tuple[ItemCode, ...] = parts_at("CodiceArticolo", ItemCode)
    description: str | None = latin_text("Descrizione", 1000, needed=True)
    quantity: Decimal | None = number_at("Quantita", QUANTITY)
    unit: str | None = short_text("UnitaMisura", 10)
    start: date | None = day_at("DataInizioPeriodo")
    end: date | None = day_at("DataFinePeriodo")
    price: Decimal | None = number_at("PrezzoUnitario", AMOUNT8, needed=True)
    discounts: tuple[Discount, ...] = parts_at("ScontoMaggiorazione", Discount)
    total: Decimal | None = number_at("PrezzoTotale", AMOUNT8, needed=True)
    rate: Decimal | None = number_at("AliquotaIVA", RATE, needed=True)
    withheld: str | None = text_at("Ritenuta", "SI")
    nature: str | None = text_at("Natura", NATURE)
    reference: str | None = short_text("RiferimentoAmministrazione", 20)


@attrs.frozen(kw_only=True)
class VatSummary:
    """The total VAT of one rate and one nature (reason for no VAT)."""

    rate: Decimal | None = number_at("AliquotaIVA", RATE, needed=True)
    nature: str | None = text_at("Natura", NATURE)
    costs: Decimal | None = number_at("SpeseAccessorie", AMOUNT2)
    rounding: Decimal | None = number_at("Arrotondamento", AMOUNT8)
    taxable: Decimal | None = number_at("ImponibileImporto", AMOUNT2, needed=True)
    tax: Decimal | None = number_at("Imposta", AMOUNT2, needed=True)
    due: str | None = text_at("EsigibilitaIVA", "[DIS]")
    law: str | None = latin_text("RiferimentoNormativo", 100)


@attrs.frozen(kw_only=True)
class Installment:
    """A single payment that is due on a date."""

    payee: str | None = latin_text("Beneficiario", 200)
    means: str | None = text_at("ModalitaPagamento", "MP(?:0[1-9]|1[0-9]|2[0-3])", needed=True)
    day: date | None = day_at("DataScadenzaPagamento")
    amount: Decimal | None = number_at("ImportoPagamento", AMOUNT2, needed=True)
    iban: str | None = text_at("IBAN", "[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{11,30}")
    bic: str | None = text_at("BIC", "[A-Z]{6}[A-Z2-9][A-NP-Z0-9](?:[A-Z0-9]{3})?")
    reference: str | None = short_text("CodicePagamento", 60)


@attrs.frozen(kw_only=True)
class PaymentTerms:
    """The payments of an invoice with the same condition, such as instalments."""

    condition: str | None = text_at("CondizioniPagamento", "TP0[1-3]", needed=True)
    installments: tuple[Installment, ...] = parts_at("DettaglioPagamento", Installment)


@attrs.frozen(kw_only=True)
class Attachment:
    """A document that is embedded in a FatturaPA file."""

    name: str | None = latin_text("NomeAttachment", 60, needed=True)
    format: str | None = short_text("FormatoAttachment", 10)
    description: str | None = latin_text("DescrizioneAttachment", 100)
    content: bytes | None = attrs.field(
        default=None, metadata={PATH: "Attachment", CODEC: BASE64, NEEDED: True}
    )


@attrs.frozen(kw_only=True)
class Cause:
    """A free text about the invoice (`Causale`)."""

    text: str | None = latin_text("", 200, needed=True)


_TRANSMISSION_PATH: Final = "FatturaElettronicaHeader/DatiTrasmissione"
_GENERAL_PATH: Final = "FatturaElettronicaBody/DatiGenerali"
_DOCUMENT: Final = f"{_GENERAL_PATH}/DatiGeneraliDocumento"
_GOODS: Final = "FatturaElettronicaBody/DatiBeniServizi"


@attrs.frozen(kw_only=True)
class Document:
    """The content of a FatturaPA file with one invoice."""

    sender_country: str | None = text_at(
        f"{_TRANSMISSION_PATH}/IdTrasmittente/IdPaese", COUNTRY, needed=True
    )
    sender_code: str | None = text_at(
        f"{_TRANSMISSION_PATH}/IdTrasmittente/IdCodice", f"{ASCII}{{1,28}}", needed=True
    )
    progressive: str | None = short_text(f"{_TRANSMISSION_PATH}/ProgressivoInvio", 10, needed=True)
    format: str | None = text_at(
        f"{_TRANSMISSION_PATH}/FormatoTrasmissione", "FP[AR]12", needed=True
    )
    recipient_code: str | None = text_at(
        f"{_TRANSMISSION_PATH}/CodiceDestinatario", "[A-Z0-9]{6,7}", needed=True
    )
    recipient_pec: str | None = text_at(
        f"{_TRANSMISSION_PATH}/PECDestinatario", "(?=.{3,256}$)[!-~]+@[!-~]+"
    )
    seller: TaxPerson | None = part_at(
        "FatturaElettronicaHeader/CedentePrestatore", TaxPerson, needed=True
    )
    representative: TaxPerson | None = part_at(
        "FatturaElettronicaHeader/RappresentanteFiscale", TaxPerson
    )
    buyer: TaxPerson | None = part_at(
        "FatturaElettronicaHeader/CessionarioCommittente", TaxPerson, needed=True
    )
    type: str | None = text_at(
        f"{_DOCUMENT}/TipoDocumento", "TD(?:0[1-6]|1[6-9]|2[0-9])", needed=True
    )
    currency: str | None = text_at(f"{_DOCUMENT}/Divisa", "[A-Z]{3}", needed=True)
    day: date | None = day_at(f"{_DOCUMENT}/Data", needed=True)
    number: str | None = short_text(f"{_DOCUMENT}/Numero", 20, needed=True)
    withholdings: tuple[WithheldTax, ...] = parts_at(f"{_DOCUMENT}/DatiRitenuta", WithheldTax)
    stamp: str | None = text_at(f"{_DOCUMENT}/DatiBollo/BolloVirtuale", "SI")
    stamp_duty: Decimal | None = number_at(f"{_DOCUMENT}/DatiBollo/ImportoBollo", AMOUNT2)
    funds: tuple[PensionFund, ...] = parts_at(f"{_DOCUMENT}/DatiCassaPrevidenziale", PensionFund)
    gross: Decimal | None = number_at(f"{_DOCUMENT}/ImportoTotaleDocumento", AMOUNT2)
    rounding: Decimal | None = number_at(f"{_DOCUMENT}/Arrotondamento", AMOUNT2)
    causes: tuple[Cause, ...] = parts_at(f"{_DOCUMENT}/Causale", Cause)
    orders: tuple[RelatedDocument, ...] = parts_at(
        f"{_GENERAL_PATH}/DatiOrdineAcquisto", RelatedDocument
    )
    contracts: tuple[RelatedDocument, ...] = parts_at(
        f"{_GENERAL_PATH}/DatiContratto", RelatedDocument
    )
    receipts: tuple[RelatedDocument, ...] = parts_at(
        f"{_GENERAL_PATH}/DatiRicezione", RelatedDocument
    )
    preceding: tuple[RelatedDocument, ...] = parts_at(
        f"{_GENERAL_PATH}/DatiFattureCollegate", RelatedDocument
    )
    delivery_notes: tuple[DeliveryNote, ...] = parts_at(f"{_GENERAL_PATH}/DatiDDT", DeliveryNote)
    lines: tuple[DetailLine, ...] = parts_at(f"{_GOODS}/DettaglioLinee", DetailLine)
    summaries: tuple[VatSummary, ...] = parts_at(f"{_GOODS}/DatiRiepilogo", VatSummary)
    payments: tuple[PaymentTerms, ...] = parts_at(
        "FatturaElettronicaBody/DatiPagamento", PaymentTerms
    )
    attachments: tuple[Attachment, ...] = parts_at("FatturaElettronicaBody/Allegati", Attachment)
