"""Detection of card numbers, accounts, addresses and tokens in text.

Every pattern takes time linear in the text, even in hostile text: a repetition is bounded, or
starts only where no character of its own kind precedes it.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from moorage.domain.secrets.sensitive import MASK
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_EDGE = 4
_SHORTEST_MASKED = 4 * _EDGE
_MOST_GROUPS = 9
_GAP = late_pattern(r"([ -])")
_CARD_START = late_pattern(r"[2-6]")
_IBAN_START = late_pattern(r"[A-Z]{2}[0-9]{2}", re.ASCII | re.IGNORECASE)
_DOUBLED_DIGITS = str.maketrans("0123456789", "0246813579")


class Personal(StrEnum):
    """The kinds of personal data that can be recognised in any text."""

    CARD = "card"
    IBAN = "iban"
    EMAIL = "email"
    BEARER = "bearer"
    JWT = "jwt"


def mask(text: str) -> str:
    """Mask a text except for its first and last four characters.

    A short text is masked completely.
    """
    return f"{text[:_EDGE]}{MASK}{text[-_EDGE:]}" if len(text) >= _SHORTEST_MASKED else MASK


def mask_personal(text: str, kinds: Iterable[Personal]) -> str:
    """Return a text in which all personal data of these kinds is masked.

    Long card and account numbers keep their first and last characters.
    """
    for kind in kinds:
        pattern, replace = _RULES[kind]
        text = pattern.sub(replace, text)
    return text


def _is_card(number: str) -> bool:
    """Return whether a number has the length and check digit of a payment card number."""
    if not 13 <= len(number) <= 19:
        return False
    digits = number[-1::-2] + number[-2::-2].translate(_DOUBLED_DIGITS)
    return sum(map(int, digits)) % 10 == 0


def _is_iban(account: str) -> bool:
    """Return whether an account number has the length and check digits of an IBAN."""
    if not 15 <= len(account) <= 34:
        return False
    digits = "".join(str(int(letter, 36)) for letter in account[4:] + account[:4])
    return int(digits) % 97 == 1


def _mask_numbers(
    groups: str, start_pattern: re.Pattern[str], is_valid: Callable[[str], bool]
) -> str:
    """Mask each longest run of digit groups that, without its gaps, is a valid number."""
    parts = _GAP.split(groups)
    masked_parts: list[str] = []
    text_start = 0
    while text_start < len(parts):
        most_parts = 2 * _MOST_GROUPS if start_pattern.match(parts[text_start]) else 0
        for end in range(min(text_start + most_parts, len(parts) + 1) - 1, text_start, -2):
            number = "".join(parts[text_start:end:2])
            if is_valid(number):
                masked_parts += [mask(number), *parts[end : end + 1]]
                break
        else:
            end = text_start + 1
            masked_parts += parts[text_start : end + 1]
        text_start = end + 1
    return "".join(masked_parts)


_RULES: Final[dict[Personal, tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]]] = {
    Personal.CARD: (
        late_pattern(r"(?<![0-9])[0-9]{3,}(?:[ -][0-9]{3,})*"),
        lambda match: _mask_numbers(match[0], _CARD_START, _is_card),
    ),
    Personal.IBAN: (
        late_pattern(r"(?<![A-Z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,}", re.ASCII | re.IGNORECASE),
        lambda match: _mask_numbers(match[0], _IBAN_START, _is_iban),
    ),
    Personal.EMAIL: (
        late_pattern(r"(?<![\w.%+\-])[\w.%+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63})+"),
        MASK,
    ),
    Personal.BEARER: (
        late_pattern(r"\b(bearer)[ \t]{1,8}[\w\-.~+/=]{8,}", re.ASCII | re.IGNORECASE),
        rf"\1 {MASK}",
    ),
    Personal.JWT: (late_pattern(r"(?<![\w\-])eyJ[\w\-]{8,}(?:\.[\w\-]*){0,4}", re.ASCII), MASK),
}
