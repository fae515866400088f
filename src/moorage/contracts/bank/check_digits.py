"""The check digits of ISO 7064 (mod 97-10), which IBANs and references have."""

from __future__ import annotations


def remainder(text: str) -> int:
    """The remainder of a string divided by 97; the letters A to Z count as the numbers 10 to 35."""
    return int("".join(str(int(character, 36)) for character in text)) % 97


def check_digits(prefix: str, body: str) -> str:
    """The two check digits between a two-letter prefix and the rest of an identifier."""
    return f"{98 - remainder(f'{body}{prefix}00'):02d}"


def are_right(text: str) -> bool:
    """True if the check digits, the third and fourth characters of a string, are right."""
    return remainder(text[4:] + text[:4]) == 1
