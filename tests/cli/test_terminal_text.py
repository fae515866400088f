"""Characters that would control a terminal, in the command line's output."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.cli.answer import terminal_text
from moorage.testing import Behaviour, VendorServer
from tests.support.command import command

EVIL = "a\x1b]0;b\x07\x1b[2J\x9b31m\u202ec\x7f\0"
SHOWN = r"a\x1b]0;b\x07\x1b[2J\x9b31m\u202ec\x7f\x00"


@pytest.mark.parametrize(
    "text, shown",
    [
        (EVIL, SHOWN),
        ("a\tb\r\nc\n", "a\tb\r\nc\n"),
        ("secure\rforged", r"secure\rforged"),
        ("\ud800\u2028\u2067", r"\ud800\u2028\u2067"),
        ("Zo\xeb\xa0\U0001f469\u200d\U0001f4bb", "Zo\xeb\xa0\U0001f469\u200d\U0001f4bb"),
    ],
    ids=range(5),
)
def test_controls_are_escaped(text: str, shown: str) -> None:
    """Control characters and text-direction marks are escaped; all other text is unchanged."""
    assert shown == terminal_text(text)


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_cannot_control_the_terminal(status: int) -> None:
    """`moorage call` shows control characters in a vendor's response as escapes."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(status, {"Content-Type": "text/plain"}, EVIL.encode()))
        Path("moorage.toml").write_text(f'[services.vat]\nbase_url = "{vendor.url}"\n')
        result = command("call", "vat", "GET", "/")
    assert SHOWN.removesuffix(r"\x00") in result.out
    assert "\x1b" not in result.out + result.err


def test_an_argument_cannot_control_the_terminal() -> None:
    """An error message shows control characters in an argument as escapes."""
    result = command("\x1b[2J")
    assert 2 == result.code
    assert r"\x1b[2J" in result.err
    assert "\x1b" not in result.err
