"""VAT numbers: how they are written, and the format of each country."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.contracts.declared.tax import TaxContract
from moorage.contracts.tax import TaxCapability, Trader, VatNumber
from moorage.contracts.vat_forms import VAT_COUNTRIES, VAT_FORMS
from moorage.domain.values.countries import COUNTRIES
from moorage.errors import InvalidData
from moorage.packing import pack, unpack

EXAMPLES = {
    "AT": ["ATU12345678"],
    "BE": ["BE0123456789", "BE1234567890"],
    "BG": ["BG123456789", "BG1234567890"],
    "CY": ["CY12345678X"],
    "CZ": ["CZ12345678", "CZ123456789", "CZ1234567890"],
    "DE": ["DE136695976"],
    "DK": ["DK12345678"],
    "EE": ["EE123456789"],
    "EL": ["EL123456789"],
    "ES": ["ESX1234567X", "ESX12345678", "ES12345678X"],
    "FI": ["FI12345678"],
    "FR": ["FR12345678901", "FRXX123456789", "FRX1123456789"],
    "GB": ["GB123456789", "GB123456789012", "GBGD123", "GBHA567"],
    "HR": ["HR12345678901"],
    "HU": ["HU12345678"],
    "IE": ["IE1234567X", "IE1X23456X", "IE1234567XY", "IE1+23456X"],
    "IT": ["IT12345678901"],
    "LT": ["LT123456789", "LT123456789012"],
    "LU": ["LU12345678"],
    "LV": ["LV12345678901"],
    "MT": ["MT12345678"],
    "NL": ["NL123456789B01"],
    "NO": ["NO974760673MVA"],
    "PL": ["PL1234567890"],
    "PT": ["PT123456789"],
    "RO": ["RO12", "RO1234567890"],
    "SE": ["SE123456789001"],
    "SI": ["SI12345678"],
    "SK": ["SK1234567890"],
    "XI": ["XI123456789", "XIGD123"],
}
WRONG = [
    *("", "DE", "136695976", "US123456789", "CHE123456789", "DE13669597", "DE1366959760"),
    *("ATX12345678", "BE2123456789", "ES123456789", "NL123456789C01", "NO97476067MVA"),
    *("NO974760673MVX", "RO1", "RO12345678901", "GBXX123", "DE13669597٣", "DEU12345678"),
    *("LT1234567890", "GB1234567890", "DE136,695976", "EL12345678A"),
]


@pytest.mark.parametrize("text", [text for texts in EXAMPLES.values() for text in texts])
def test_numbers_of_each_country_are_read(text: str) -> None:
    """A VAT number in its country's format is read, and is written in the compact form."""
    number = VatNumber.parse(text)
    assert text == str(number)
    assert text[:2] == number.prefix


def test_each_country_has_an_example() -> None:
    """Each country's format is tested with an example."""
    assert list(VAT_FORMS) == list(EXAMPLES)


@pytest.mark.parametrize(
    "text, compact",
    [
        ("de 136.695-976", "DE136695976"),
        ("DE\u00a0136 695/976", "DE136695976"),
        ("gr123456789", "EL123456789"),
        ("NO 974 760 673 MVA", "NO974760673MVA"),
        ("974 760 673 mva", "NO974760673MVA"),
        ("no974760673", "NO974760673MVA"),
        (" IE 1+23456X ", "IE1+23456X"),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, compact: str) -> None:
    """VAT numbers with separators, lower case or other prefixes for Greece or Norway are read."""
    assert compact == str(VatNumber.parse(text))


@pytest.mark.parametrize("text", WRONG)
def test_wrong_numbers_are_refused(text: str) -> None:
    """A text that is not a VAT number is refused, and the error does not repeat it."""
    with pytest.raises(InvalidData) as excinfo:
        VatNumber.parse(text)
    assert "number" == excinfo.value.field
    assert not text[2:] or text[2:] not in str(excinfo.value)


@pytest.mark.parametrize("value", [None, 5, b"DE136695976", ["DE136695976"]])
def test_only_a_string_or_a_vat_number_can_be_parsed(value: Any) -> None:
    """Only a str or a VAT number can be parsed."""
    with pytest.raises(InvalidData) as excinfo:
        VatNumber.parse(value, field="requester")
    assert "requester" == excinfo.value.field


def test_vat_number_must_have_the_format_of_its_country() -> None:
    """A VAT number that is constructed from its parts must also have its country's format."""
    assert VatNumber.parse("DE136695976") == VatNumber("DE", "136695976")
    for prefix, number, field in (("XX", "1", "prefix"), ("DE", "1", "number")):
        with pytest.raises(InvalidData) as excinfo:
            VatNumber(prefix, number)
        assert field == excinfo.value.field


def test_countries_are_those_of_iso() -> None:
    """The prefixes of VAT numbers of Greece and Northern Ireland differ from their ISO codes."""
    assert ("GR", "GB", "DE") == tuple(
        VatNumber.parse(text).country for text in ("EL123456789", "XI123456789", "DE123456789")
    )
    assert VAT_COUNTRIES < COUNTRIES
    assert "EL" not in VAT_COUNTRIES


def test_each_number_needs_its_register_capability() -> None:
    """A VAT number needs its register's capability; Northern Ireland's register is the EU's."""
    assert {
        "DE": TaxCapability.EU_NUMBERS,
        "XI": TaxCapability.EU_NUMBERS,
        "GB": TaxCapability.UK_NUMBERS,
        "NO": TaxCapability.NORWEGIAN_NUMBERS,
    } == {prefix: VatNumber.parse(EXAMPLES[prefix][0]).needs for prefix in ("DE", "XI", "GB", "NO")}


def test_numbers_are_hidden_and_can_be_stored() -> None:
    """The repr of a VAT number hides it, and a packed number is read back unchanged."""
    number = VatNumber.parse("DE136695976")
    assert "136695976" not in repr(number)
    assert number == unpack(pack(number))


def test_trader_needs_a_detail_and_hides_it() -> None:
    """A trader needs at least one detail, and the repr of a trader shows none."""
    with pytest.raises(InvalidData):
        Trader()
    with pytest.raises(InvalidData):
        Trader(name="", city="")
    assert "Ada" not in repr(Trader(name="Ada", street="Ada", postal_code="Ada", city="Ada"))


def test_requirements_follow_from_the_arguments() -> None:
    """A requester, a trader and the register of a number each need a capability of their own."""
    plan: Any = TaxContract.operations()["check_vat_number"].plan
    trader = Trader(city="Ulm")
    requirements = plan(TaxContract(), "el 123456789", requester="DE136695976", trader=trader)
    assert {"eu_numbers", "proof", "trader_match"} == set(requirements.needs)
    assert "GR" == requirements.country
    assert {
        "number": VatNumber("EL", "123456789"),
        "requester": VatNumber("DE", "136695976"),
    } == requirements.arguments
    assert {"uk_numbers"} == set(plan(TaxContract(), "GB123456789").needs)
