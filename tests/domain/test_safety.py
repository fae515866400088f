"""Safety settings that keep tests from reaching real people and services."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError, Safety
from moorage.domain.service.safety import Mode


@pytest.mark.parametrize(
    "pattern, allowed, refused",
    [
        (
            "qa@example.com",
            ["qa@example.com", "QA@Example.COM"],
            ["qb@example.com", "qa@example.co"],
        ),
        ("*@example.com", ["anybody@example.com"], ["a@sub.example.com", "a@notexample.com"]),
        ("example.com", ["a@example.com", "a@EXAMPLE.com"], ["a@sub.example.com", "example.com"]),
        ("*.example.com", ["a@sub.example.com", "a@a.b.example.com"], ["a@example.com"]),
        ("bücher.example", ["a@bücher.example", "a@xn--bcher-kva.example"], ["a@bucher.example"]),
        ("strasse.example", ["a@STRASSE.example"], ["a@straße.example", "a@STRAẞE.example"]),
        ("straße.example", ["a@STRAẞE.example"], ["a@strasse.example"]),
        ("weiss@ours.example", ["Weiss@ours.example"], ["weiß@ours.example"]),
        ("*.bücher.example", ["a@x.bücher.example"], ["a@bücher.example"]),
        ("+4915112345678", ["+4915112345678"], ["+49151123456789", "+491511234567"]),
        (
            "0208:be0123",
            ["0208:be0123", "0208:BE0123"],
            ["0208:be01234", "0208:be0123@example.com", "0106:be0123"],
        ),
        ("0208:*", ["0208:0123456789"], ["0209:0123456789", "+0208"]),
        ("token:fJ3", ["token:fJ3"], ["token:fj3", "token:fJ34", "topic:fJ3", "fJ3"]),
        ("topic:test-*", ["topic:test-a"], ["topic:Test-a", "token:test-a"]),
        (
            "https://push.example/a/*",
            ["https://push.example/a/B1"],
            ["https://push.example/b", "https://push.example/A/B1"],
        ),
        ("example.com", ["a@example.com"], ["token:a@example.com", "0208:a@example.com"]),
        ("+4930*", ["+493012345", "+4930"], ["+4931234", "+4940123", "+4930@example.com"]),
    ],
)
def test_recipient_pattern_is_an_address_a_domain_or_a_number_prefix(
    pattern: str, allowed: list[str], refused: list[str]
) -> None:
    """A recipient pattern is an address, a domain, its subdomains, or a phone number's start."""
    safety = Safety(recipients=[pattern])

    assert [True] * len(allowed) == [safety.allows(item) for item in allowed]
    assert [False] * len(refused) == [safety.allows(item) for item in refused]
    assert safety.refusal(allowed) is None


@given(st.text())
def test_every_recipient_is_allowed_without_patterns(recipient: str) -> None:
    """Without recipient patterns, every recipient is allowed."""
    assert Safety().allows(recipient)


@given(st.emails())
def test_pattern_allows_only_its_matches(address: str) -> None:
    """A recipient pattern allows only the addresses that it matches."""
    is_named = address.casefold().rpartition("@")[2] == "allowed.example"

    assert is_named is Safety(recipients=["allowed.example"]).allows(address)


@pytest.mark.parametrize(
    "pattern", ["", "*", "a b", "+49x", "a@", "@b", "*.*.com", 5, "a@*", "ü" * 64]
)
def test_useless_patterns_are_refused(pattern: Any) -> None:
    """A recipient pattern that matches nothing or everything is refused.

    The error has its path.
    """
    with pytest.raises(ConfigurationError) as excinfo:
        Safety(recipients=["example.com", pattern])

    assert "recipients[1]" == excinfo.value.path


@pytest.mark.parametrize("recipient", ["a@ü..example.com", "a@" + "ü" * 64, "\ud800"])
def test_invalid_domains_match_no_pattern(recipient: str) -> None:
    """A domain that cannot exist in the DNS matches no recipient pattern."""
    assert not Safety(recipients=["example.com", "*.example.com"]).allows(recipient)


def test_refusal_does_not_show_recipients() -> None:
    """The error for a refused recipient shows its position, and not its address."""
    refused_error = Safety(recipients="example.com").refusal(["a@example.com", "b@else.example"])

    assert refused_error is not None
    assert (1,) == refused_error.refused
    assert "else.example" not in str(refused_error)
    assert (
        "1 of its recipients must not be contacted from this environment." == refused_error.message
    )


@pytest.mark.parametrize(
    "live, mode, suits",
    [
        (None, Mode.LIVE, True),
        (None, None, True),
        (True, Mode.LIVE, True),
        (True, Mode.TEST, False),
        (False, Mode.LIVE, False),
        (False, Mode.TEST, True),
        (False, None, True),
    ],
)
def test_safety_setting_may_require_live_accounts(
    live: bool | None, mode: Mode | None, suits: bool
) -> None:
    """A safety setting may require live accounts, or accounts in test mode."""
    assert suits is Safety(live=live).suits(mode)


@pytest.mark.parametrize("value", [5, None, {"ada@erp.example": 1}, b"x"])
def test_recipients_of_another_type_are_refused(value: Any) -> None:
    """If recipients are not given as a list, a configuration error is raised."""
    with pytest.raises(ConfigurationError) as excinfo:
        Safety(recipients=value)

    assert "recipients" == excinfo.value.path


@pytest.mark.parametrize("value", ["false", "", "0", 0, 1, "yes"])
@pytest.mark.parametrize("name", ["dry_run", "live"])
def test_switches_that_are_texts_or_numbers_are_refused(name: str, value: Any) -> None:
    """A safety setting that is not a bool, but a text or a number, is refused.

    strings, such as those from environment variables, are refused.
    """
    with pytest.raises(ConfigurationError) as excinfo:
        Safety(**{name: value})

    assert name == excinfo.value.path
