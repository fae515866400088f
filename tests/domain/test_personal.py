"""Recognising and masking personal data in texts."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.secrets.personal import Personal, mask, mask_personal


def luhn(digits: str) -> str:
    """Return a card number with its check digit appended."""
    total = sum(
        sum(divmod(int(digit) * (2 if index % 2 == 0 else 1), 10))
        for index, digit in enumerate(reversed(digits))
    )
    return digits + str(-total % 10)


cards = st.from_regex(r"[2-6][0-9]{11,17}", fullmatch=True).map(luhn)


@given(st.text())
def test_only_long_text_shows_its_first_and_last_characters(text: str) -> None:
    """A masked text shows its first and last four characters only if it has at least sixteen."""
    masked_value = mask(text)
    if len(text) < 16:
        assert "***" == masked_value
    else:
        assert f"{text[:4]}***{text[-4:]}" == masked_value


@given(
    cards, st.sampled_from(["", "12 ", "(", "card:", "0001-"]), st.sampled_from(["", " 99", "."])
)
def test_cards_are_found_among_other_numbers(card: str, before: str, after: str) -> None:
    """A card number in a text is masked with or without spaces, whatever the text around it is."""
    grouped_card = " ".join(card[index : index + 4] for index in range(0, 12, 4)) + card[12:]
    for written_card in (card, grouped_card, grouped_card.replace(" ", "-")):
        assert f"{before}{mask(card)}{after}" == mask_personal(
            f"{before}{written_card}{after}", [Personal.CARD]
        )


@given(cards)
def test_number_with_a_wrong_check_digit_is_not_masked(card: str) -> None:
    """A number with a wrong check digit is not masked as a card."""
    wrong_card = card[:-1] + str((int(card[-1]) + 1) % 10)
    assert wrong_card == mask_personal(wrong_card, [Personal.CARD])


@pytest.mark.parametrize(
    "text, expected",
    [
        ("pay 4111 1111 1111 1111 now", "pay 4111***1111 now"),
        ("378282246310005", "***"),
        ("DE89370400440532013000", "DE89***3000"),
        ("DE89 3704 0044 0532 0130 00 AND MORE", "DE89***3000 AND MORE"),
        ("ab12 GB82 WEST 1234 5698 7654 32.", "ab12 GB82***5432."),
        ("de89370400440532013000", "de89***3000"),
        ("DE89 3704 00 44 05 32 01 30 00", "DE89***3000"),
        ("NO9386011117947", "***"),
        ("GB75A1B2C3D4E5F6G7H8J9K0L1M2N3P4Q5", "GB75***P4Q5"),
        ("mail jane.doe+x@ex-ample.co.uk, now", "mail ***, now"),
        ("jürgen@münchen.example", "***"),
        ("Bearer abcdefgh.ijk-_~+/==", "Bearer ***"),
        ("bearer \tabcdefgh", "bearer ***"),
        ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig-_ y", "x *** y"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJz", "***"),
    ],
)
def test_each_kind_of_personal_data_is_masked(text: str, expected: str) -> None:
    """Card numbers, account numbers, addresses and tokens are masked in a text."""
    assert expected == mask_personal(text, Personal)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order 1770000000000000",
        "4111111111111112",
        "41111111111111111115",
        "41111111111111111111111",
        "call 030 1234567",
        "9111111111111110",
        "DE89 37 04 00 44 05 32 01 30 00",
        "DE88370400440532013000",
        "GB42A1B2C3D4E5F6G7H8J9K0L1M2N3P4Q5R",
        "2026-03-01 12:00:00",
        "Bearer of news",
        "a@b",
        "@example.com",
        "eyJ",
        "9400111899223197428490",
    ],
)
def test_text_that_only_resembles_personal_data_is_shown(text: str) -> None:
    """Text that only resembles personal data is not masked."""
    assert text == mask_personal(text, Personal)


def test_only_requested_kinds_of_personal_data_are_masked_in_text() -> None:
    """Only the requested kinds of personal data are masked in a text."""
    text = "4111111111111111 a@b.example"
    assert "4111***1111 a@b.example" == mask_personal(text, [Personal.CARD])
    assert "4111111111111111 ***" == mask_personal(text, [Personal.EMAIL])
    assert text == mask_personal(text, [])


UNITS = [
    "1", "4 ", "411 ", "4111 1111 1111 1112 ", "4-", "AA11", "AA11 ", "A1", "a", "a@", "a@a.",
    "a@b", ".b", ".", "@", "bearer ", " ", "eyJ", "eyJaaaaaaaa.", "eyJ.", "-", "\u0660", "%",
]  # fmt: skip


def seconds(text: str) -> float:
    """Return the seconds that are needed to mask a text."""
    start = process_time()
    mask_personal(text, Personal)
    return process_time() - start


@pytest.mark.untraced
@pytest.mark.parametrize("unit", UNITS)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    """Masking time grows in proportion to a hostile text's length, not to its square."""
    assert seconds(unit * (2**17 // len(unit))) < 24 * seconds(unit * (2**14 // len(unit))) + 0.5


@pytest.mark.untraced
def test_masking_a_megabyte_of_hostile_text_is_fast() -> None:
    """Masking a megabyte of mixed hostile text takes little time."""
    mixture = "".join(start + unit * 100 for unit in UNITS for start in UNITS)
    assert seconds((mixture * 9)[: 2**20]) < 30
