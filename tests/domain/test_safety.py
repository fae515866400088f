"""What keeps tests away from the world."""

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
        ("+4930*", ["+493012345", "+4930"], ["+4931234", "+4940123", "+4930@example.com"]),
    ],
)
def test_who_may_be_written_to(pattern: str, allowed: list[str], refused: list[str]) -> None:
    """A pattern names an address, a domain, what is below one, a number, or how numbers begin."""
    safety = Safety(recipients=[pattern])

    assert [True] * len(allowed) == [safety.allows(one) for one in allowed]
    assert [False] * len(refused) == [safety.allows(one) for one in refused]
    assert safety.refusal(allowed) is None


@given(st.text())
def test_nobody_is_refused_where_nobody_is_named(recipient: str) -> None:
    """Without patterns everybody may be written to."""
    assert Safety().allows(recipient)


@given(st.emails())
def test_a_pattern_lets_nobody_else_through(address: str) -> None:
    """Of all addresses a pattern lets through those that it names."""
    named = address.casefold().rpartition("@")[2] == "allowed.example"

    assert named is Safety(recipients=["allowed.example"]).allows(address)


@pytest.mark.parametrize(
    "pattern", ["", "*", "a b", "+49x", "a@", "@b", "*.*.com", 5, "a@*", "ü" * 64]
)
def test_what_names_nobody_is_refused(pattern: Any) -> None:
    """A pattern that fits nobody, or everybody, is refused with its place."""
    with pytest.raises(ConfigurationError) as caught:
        Safety(recipients=["example.com", pattern])

    assert "recipients.1" == caught.value.path


@pytest.mark.parametrize("recipient", ["a@ü..example.com", "a@" + "ü" * 64, "\ud800"])
def test_what_is_no_address_is_nobodys(recipient: str) -> None:
    """A domain that the DNS cannot know fits no pattern."""
    assert not Safety(recipients=["example.com", "*.example.com"]).allows(recipient)


def test_whom_it_was_to_is_not_shown() -> None:
    """A refusal tells which of the recipients it is about, and not who they are."""
    refused = Safety(recipients="example.com").refusal(["a@example.com", "b@else.example"])

    assert refused is not None
    assert (1,) == refused.refused
    assert "else.example" not in str(refused)
    assert "1 of its recipients must not be written to from here." == refused.message


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
def test_credentials_suit_a_place(live: bool | None, mode: Mode | None, suits: bool) -> None:
    """What is live and what is a test are kept apart where it is said which is wanted."""
    assert suits is Safety(live=live).suits(mode)
