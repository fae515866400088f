"""Safety settings that keep tests from having real effects.

In a *dry run*, no request is sent that changes anything. A list of recipients limits who receives
messages. Credentials have a mode, because a vendor's live credentials do not belong in a test, nor
test credentials in production.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from moorage.domain.values.durations import if_given, is_true_or_false
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, Problem, RecipientRefused

_NUMBER: Final = late_pattern(r"\+[0-9]+\*?")
_DOMAIN: Final = late_pattern(r"(?:\*\.)?[^\s@*.+]+(?:\.[^\s@*.]+)*")
_DEVIANT_CHARACTERS: Final = frozenset("ßς\u200c\u200d")
"""Characters that Python's IDNA 2003 converts to other letters, unlike IDNA 2008."""
_BUSINESS: Final = late_pattern(r"[0-9]{4}:\S+")
"""The electronic address of a business, such as 0208:0123456789."""
_CASE_SENSITIVE_RECIPIENT: Final = late_pattern(r"(?:token:|topic:|https://)[^\s]+")
"""The token of a device, a topic, or the endpoint of a browser; upper and lower case differ."""
_PERSON: Final = late_pattern(r"(?:\*|[^\s@*]+)@[^\s@*]+")


class Mode(StrEnum):
    """The kind of system, live or test, that credentials belong to."""

    LIVE = "live"
    TEST = "test"


def _patterns(value: str | Iterable[str]) -> tuple[str, ...]:
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise ConfigurationError(
            "The recipients are not a list of strings.",
            path="recipients",
            remedy="Set a list such as ['*@example.com']. An empty list allows all recipients.",
        )
    patterns = (value,) if isinstance(value, str) else tuple(value)
    problems = [
        Problem(
            f"recipients[{number}]",
            "The text is not an address, a domain, a phone number, a business or a device.",
            "Use an address, a domain (also '*.example.com' for its subdomains), a number"
            " such as '+4915112345678', an electronic address such as '0208:0123456789',"
            " 'topic:news', 'token:' with a device's token, or the https:// endpoint of a"
            " browser. Each of the last five can also be a beginning that ends with *, such"
            " as '+4930*'.",
        )
        for number, pattern in enumerate(patterns)
        if not _is_pattern(pattern)
    ]
    if problems:
        raise ConfigurationError.of(problems)
    return tuple(map(_normal_address, patterns))


def _is_pattern(pattern: object) -> bool:
    if not isinstance(pattern, str):
        return False
    forms = _NUMBER, _BUSINESS, _CASE_SENSITIVE_RECIPIENT, _DOMAIN, _PERSON
    is_recognised = any(form.fullmatch(pattern) for form in forms)
    return is_recognised and _is_foldable(pattern)


@frozen(kw_only=True)
class Safety:
    """The limits on the effects that this process may have at vendors.

    Attributes:
        dry_run: whether no request that changes anything is sent.
        recipients: addresses, domains, numbers, businesses, devices and topics that may receive
            messages; empty allows everybody.
        live: whether the credentials must be those of the vendors' live systems; None allows both.
    """

    dry_run: bool = field(default=False, validator=is_true_or_false)
    recipients: tuple[str, ...] = field(default=(), converter=_patterns)
    live: bool | None = field(default=None, validator=if_given(is_true_or_false))

    def allows(self, recipient: str) -> bool:
        """Return whether messages may be sent to this recipient.

        Args:
            recipient: an email address, a telephone number, the electronic address of a business,
                or the `recipient_entry` of a recipient of notifications.
        """
        if not self.recipients:
            return True
        if not _is_foldable(recipient):
            return False
        normal_address = _normal_address(recipient)
        return any(_is_allowed_recipient(normal_address, pattern) for pattern in self.recipients)

    def refusal(self, recipients: Iterable[str]) -> RecipientRefused | None:
        """Return the error for a message if any of these recipients is not allowed.

        The error does not name the recipient.
        """
        if not self.recipients:
            return None
        refused_numbers = [
            number for number, item in enumerate(recipients) if not self.allows(item)
        ]
        if not refused_numbers:
            return None
        return RecipientRefused(
            f"{len(refused_numbers)} of its recipients must not be contacted from this"
            " environment.",
            refused=tuple(refused_numbers),
        )

    def suits(self, mode: Mode | None) -> bool:
        """Return whether this process may use credentials of this mode.

        None, an unknown mode, is allowed.
        """
        return self.live is None or mode is None or self.live is (mode is Mode.LIVE)


def _normal_address(text: str) -> str:
    """Return an address in lower case with an ASCII domain; a device or a topic as it is."""
    if _CASE_SENSITIVE_RECIPIENT.fullmatch(text):
        return text
    person, at, place = text.strip().lower().rpartition("@")
    if not place.isascii() and _DEVIANT_CHARACTERS.isdisjoint(place):
        place = place.encode("idna").decode()
    return f"{person}{at}{place}"


def _is_foldable(text: str) -> bool:
    """Return whether the domain of an email address can be converted to ASCII."""
    try:
        _normal_address(text)
    except UnicodeError:
        return False
    return True


def _is_same_or_begins(recipient: str, pattern: str) -> bool:
    """Return whether a recipient equals a pattern, or begins like a pattern that ends in *."""
    return recipient == pattern or (pattern.endswith("*") and recipient.startswith(pattern[:-1]))


def _is_allowed_recipient(recipient: str, pattern: str) -> bool:
    person, _, place = recipient.rpartition("@")
    if any(
        form.match(item)
        for form in (_BUSINESS, _CASE_SENSITIVE_RECIPIENT)
        for item in (recipient, pattern)
    ):
        return _is_same_or_begins(recipient, pattern)
    if pattern.startswith("+"):
        return not person and _is_same_or_begins(recipient, pattern)
    if not person:
        return False
    if "@" in pattern:
        return pattern in {recipient, f"*@{place}"}
    return place.endswith(pattern[1:]) if pattern.startswith("*.") else place == pattern
