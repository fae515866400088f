# ruff: noqa: RUF001 - digits of other alphabets are refused
"""Account numbers, bank codes, references and identifiers are checked and formatted."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.contracts.bank import Bic, CreditorId, CreditorReference, Iban, iban_length
from moorage.contracts.bank.check_digits import check_digits
from moorage.errors import InvalidData

# The examples of SWIFT's IBAN registry.
REGISTERED = """
    AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741
    AT611904300234573201 AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034
    BG80BNBG96611020345678 BH67BMAG00001299123456 BR1800360305000010009795493C1
    BY13NBRB3600900000002Z00AB00 CH9300762011623852957 CR05015202001026284066
    CY17002001280000001200527600 CZ6508000000192000145399 DE89370400440532013000
    DK5000400440116243 DO28BAGR00000001212453611324 EE382200221020145685
    EG380019000500000000263180002 ES9121000418450200051332 FI2112345600000785
    FO6264600001631634 FR1420041010050500013M02606 GB29NWBK60161331926819
    GE29NB0000000101904917 GI75NWBK000000007099453 GL8964710001000206
    GR1601101250000000012300695 GT82TRAJ01020000001210029690 HR1210010051863000160
    HU42117730161111101800000000 IE29AIBK93115212345678 IL620108000000099999999
    IQ98NBIQ850123456789012 IS140159260076545510730339 IT60X0542811101000000123456
    JO94CBJO0010000000000131000302 KW81CBKU0000000000001234560101 KZ86125KZT5004100100
    LB62099900000001001901229114 LC55HEMM000100010012001200023015 LI21088100002324013AA
    LT121000011101001000 LU280019400644750000 LV80BANK0000435195001
    LY83002048000020100120361 MC5811222000010123456789030 MD24AG000225100013104168
    ME25505000012345678951 MK07250120000058984 MR1300020001010000123456753
    MT84MALT011000012345MTLCAST001S MU17BOMM0101101030300200000MUR NL91ABNA0417164300
    NO9386011117947 PK36SCBL0000001123456702 PL61109010140000071219812874
    PS92PALS000000000400123456702 PT50000201231234567890154 QA58DOHB00001234567890ABCDEFG
    RO49AAAA1B31007593840000 RS35260005601001611379 SA0380000000608010167519
    SC18SSCB11010000000000001497USD SE4550000000058398257466 SI56263300012039086
    SK3112000000198742637541 SM86U0322509800000000270100 ST68000100010051845310112
    SV62CENR00000000000000700025 TL380080012345678910157 TN5910006035183598478831
    TR330006100519786457841326 UA213223130000026007233566001 VA59001123000012345678
    VG96VPVG0000012345678901 XK051212012345678906
""".split()  # noqa: SIM905 - a list would take two pages


@pytest.mark.parametrize("text", REGISTERED)
def test_registered_examples_are_accepted(text: str) -> None:
    """The example numbers of the IBAN registry are valid, also with spaces and in lower case."""
    iban = Iban(text)

    assert text == iban.value
    assert text[:2] == iban.country
    assert iban_length(text[:2]) == len(text)
    assert iban == Iban(iban.spaced) == Iban(text.lower()) == Iban(f"\u00a0{text} ")
    assert text.startswith(iban.spaced.replace(" ", "")[:8])


@given(st.sampled_from(REGISTERED), st.data())
def test_account_number_with_a_replaced_character_is_invalid(
    text: str, data: st.DataObject
) -> None:
    """If a character is replaced by another of its class, the account number becomes invalid."""
    place = data.draw(st.integers(2, len(text) - 1))
    letters = string.digits if text[place].isdigit() else string.ascii_uppercase
    other = data.draw(st.sampled_from(letters).filter(lambda letter: letter != text[place]))

    with pytest.raises(InvalidData) as excinfo:
        Iban(text[:place] + other + text[place + 1 :])

    assert "iban" == excinfo.value.field
    assert text[4:] not in str(excinfo.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "country"),
        ("12345678", "country"),
        ("US89370400440532013000", "country"),
        ("DE8937040044053201300", "has 22 characters"),
        ("DE89 3704 0044 0532 0130 000", "has 22 characters"),
        ("DE8937040044053201300O", "a letter or a digit"),
        ("DEXX370400440532013000", "a letter or a digit"),
        ("DE88370400440532013000", "check digits"),
        ("DE８９370400440532013000", "a letter or a digit"),
        ("ｄe89370400440532013000", "country"),
        (None, "must be a string"),
        (b"DE89370400440532013000", "must be a string"),
    ],
)
def test_wrong_account_numbers_are_refused(text: Any, message: str) -> None:
    """A wrong account number is refused with the reason, the field and a remedy."""
    with pytest.raises(InvalidData, match=message) as excinfo:
        Iban(text)

    assert "iban" == excinfo.value.field
    assert excinfo.value.remedy


@given(st.text() | st.binary() | st.none() | st.integers())
def test_any_value_is_accepted_as_an_account_number_or_refused(value: Any) -> None:
    """Each value is either accepted as an account number or refused as invalid."""
    for kind in (Iban, Bic, CreditorReference, CreditorId):
        try:
            kind(value)
        except InvalidData as error:
            assert error.field  # noqa: PT017 - either end is right


def test_repr_hides_the_number() -> None:
    """An account number's repr and str show only the country and the last four characters."""
    assert "Iban('DE…3000')" == repr(Iban("DE89370400440532013000"))
    assert "Iban('DE…3000')" == str(Iban("DE89370400440532013000"))


@pytest.mark.parametrize("text", ["COBADEFF", "COBADEFFXXX", "cobade ff 060", "A2B4DE22"])
def test_codes_of_banks_are_accepted(text: str) -> None:
    """A BIC has eight or eleven characters; the fifth and sixth are a country code."""
    bic = Bic(text)

    assert text.replace(" ", "").upper() == bic.value
    assert "DE" == bic.country
    assert bic == Bic(bic.value) == Bic(bic)
    assert bic.value[:4] not in repr(bic)


@pytest.mark.parametrize("text", ["", "COBADEF", "COBADEFFXX", "COBAXXFF", "COBADEFF-XX", 5])
def test_wrong_codes_of_banks_are_refused(text: Any) -> None:
    """A wrong BIC is refused with its field."""
    with pytest.raises(InvalidData) as excinfo:
        Bic(text)

    assert "bic" == excinfo.value.field


def test_creditor_reference_of_the_standard() -> None:
    """The example of ISO 11649 is computed, parsed and printed in groups."""
    reference = CreditorReference.of("539007547034")

    assert "RF18539007547034" == reference.value
    assert "RF18 5390 0754 7034" == reference.spaced
    assert reference == CreditorReference("rf18 5390 0754 7034")
    assert reference == CreditorReference(reference)


@given(st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=21))
def test_computed_references_are_valid(number: str) -> None:
    """A computed reference is valid, and becomes invalid if two digits are exchanged."""
    reference = CreditorReference.of(number)

    assert reference == CreditorReference(reference.value)
    first, second = reference.value[2], reference.value[3]
    if first != second:
        with pytest.raises(InvalidData):
            CreditorReference(f"RF{second}{first}{number}")


@pytest.mark.parametrize("text", ["RF19539007547034", "RF18", "XX18539007547034", "", None])
def test_wrong_references_are_refused(text: Any) -> None:
    """A reference with wrong or missing check digits is refused."""
    with pytest.raises(InvalidData) as excinfo:
        CreditorReference(text)

    assert "reference" == excinfo.value.field


@pytest.mark.parametrize("number", ["", "1" * 22, "12-34", "ä", None])
def test_numbers_without_a_reference_are_refused(number: Any) -> None:
    """A number that does not fit in a reference is refused."""
    with pytest.raises(InvalidData) as excinfo:
        CreditorReference.of(number)

    assert "number" == excinfo.value.field


def test_business_code_does_not_affect_creditor_check_digits() -> None:
    """The business code, characters five to seven, does not affect the check digits."""
    identifier = CreditorId("de98 ZZZ 09999999999")

    assert "DE98ZZZ09999999999" == identifier.value
    assert CreditorId("DE98ABC09999999999") != identifier
    for text in ("DE97ZZZ09999999999", "DE98ZZZ", "XX98ZZZ09999999999", "DE98ZZZ++", 5):
        with pytest.raises(InvalidData) as excinfo:
            CreditorId(text)
        assert "creditor_id" == excinfo.value.field


def test_check_digits_have_two_digits() -> None:
    """Check digits below ten get a leading zero."""
    digits = {check_digits("RF", str(number)) for number in range(300)}

    assert {2} == {len(text) for text in digits}
    assert any(text.startswith("0") for text in digits)
