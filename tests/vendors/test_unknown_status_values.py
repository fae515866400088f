"""No vendor module reads an unknown status word as a success."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import moorage.vendors

if TYPE_CHECKING:
    from collections.abc import Iterator

VENDORS: Final = Path(moorage.vendors.__file__).parent
SUCCESSES: Final = {
    "PaymentState": {"CAPTURED", "AUTHORIZED"},
    "MoveState": {"SUCCEEDED"},
    "DisputeState": {"WON"},
    "PayoutState": {"PAID"},
    "SmsStatus": {"DELIVERED"},
    "EmailStatus": {"DELIVERED"},
    "ShipmentState": {"PURCHASED"},
    "CancelState": {"CANCELED"},
    "TrackingStatus": {"DELIVERED"},
    "AddressVerdict": {"VALID"},
    "Verdict": {"PASS"},
    "LineType": {"MOBILE"},
    "TraderMatch": {"MATCH"},
    "EinvoiceStatus": {"DELIVERED"},
    "InvoiceState": {"PAID"},
    "JournalState": {"POSTED"},
    "ConsentStatus": {"GRANTED"},
    "BankPaymentStatus": {"SETTLED"},
}
"""For each set of words, the words that mean success."""


def is_success(node: ast.expr) -> bool:
    """Return whether a Python expression is a status that means success."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr in SUCCESSES.get(node.value.id, ())
    )


def default_success_lines(source: str) -> Iterator[int]:
    """Yield each line of source code whose default, or both conditional results, mean success."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="get"), args=[_, default], lineno=line):
                if is_success(default):
                    yield line
            case ast.IfExp(body=body, orelse=orelse, lineno=line):
                if is_success(body) and is_success(orelse):
                    yield line
            case _:
                pass


@pytest.mark.parametrize(
    "path", sorted(VENDORS.rglob("*.py")), ids=lambda path: f"{path.relative_to(VENDORS)}"
)
def test_unknown_status_never_means_success(path: Path) -> None:
    """No status table uses success as its default, and no condition always gives success."""
    assert [] == list(default_success_lines(path.read_text("utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "STATES.get(word, PayoutState.PAID)",
        "MoveState.SUCCEEDED if done else MoveState.SUCCEEDED",
    ],
)
def test_hasty_success_is_noticed(source: str) -> None:
    """The check finds a default, or a condition, that always means success."""
    assert [1] == list(default_success_lines(source))
