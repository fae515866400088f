"""The mistakes that the tool `tools.plants` inserts into vendors' code."""

from __future__ import annotations

import pytest

from tools.plants import plants_in

SOURCE = '''
from typing import TYPE_CHECKING, Final
from datetime import UTC

if TYPE_CHECKING:
    from elsewhere import Thing

_KEY: Final = 64
_WORDS = {"done": State.DONE, "open": MoveState.PENDING}
_CONSENTS = {"new": ConsentStatus.UNKNOWN, "valid": ConsentStatus.GRANTED}
_LINES = same(LineType, "mobile voip")
_ENDED = frozenset({"failed", "canceled"})

class Vendor:
    """A vendor."""

    token: Secret = attrs.field(repr=False)

    async def pay(self, wire: Wire, amount: "Money", /, *, key: str) -> "Payment":
        """Pay."""
        required(amount, "an amount")
        state = _WORDS.get(answer.text("state") or "", State.UNKNOWN)
        body = {"value": str(amount.amount), "cents": amount.minor, "in": amount.currency}
        vendor_key = key_for_vendor(wire, key, _KEY)
        answer = await wire.send(Request.post("/pay", json=body), key=vendor_key)
        if answer.text("id") is None or answer.text("status") == "failed":
            words = masked_words(answer.text("message"))
            raise InvalidData("There is no id.", field="id", remedy="Look.", words=words)
        moments = [at.astimezone(UTC).replace(microsecond=0) for at in answer.times("at")]
        return Payment(ref=wire.ref(answer.id), at=moments, total=as_money(body, "EUR"))
'''


@pytest.mark.parametrize(
    "kind, old_source, new_source",
    [
        ("word", "State.DONE", "MoveState.PENDING"),
        ("word", '"mobile voip"', "'voip'"),
        ("word", '{"failed", "canceled"}', '{"canceled"}'),
        ("reported as done", "MoveState.PENDING", "MoveState.SUCCEEDED"),
        ("field", '"id"', "'idx'"),
        ("number", "64", "65"),
        ("reported as done", "ConsentStatus.UNKNOWN", "ConsentStatus.GRANTED"),
        ("secret", "False", "True"),
        ("secret", 'masked_words(answer.text("message"))', 'answer.text("message")'),
        ("unit", "amount.minor", "int(amount.amount * 100)"),
        ("unit", "amount.amount", 'f"{amount.amount:.2f}"'),
        ("unit", "amount.currency", '"EUR"'),
        ("unit", 'as_money(body, "EUR")', '(as_money(body, "EUR") or 0) * 100'),
        ("key lost", "vendor_key", "None"),
        ("key changed", "vendor_key", "vendor_key + str(__import__('time').monotonic_ns())"),
        ("key too long", "_KEY", "100000"),
        ("reference", "answer.id", 'f"{answer.id}x"'),
        ("batch", 'answer.times("at")', 'tuple(answer.times("at"))[:-1]'),
        ("time", "at.astimezone(UTC).replace(microsecond=0)", "at.astimezone(UTC)"),
        (
            "own retry",
            'await wire.send(Request.post("/pay", json=body), key=vendor_key)',
            (
                '(await wire.send(Request.post("/pay", json=body), key=None),'
                ' await wire.send(Request.post("/pay", json=body), key=vendor_key))[1]'
            ),
        ),
    ],
)
def test_a_mistake_is_planted(kind: str, old_source: str, new_source: str) -> None:
    """Each kind of planted mistake replaces one piece of source code."""
    plants = [mutation for mutation in plants_in("vendor.py", SOURCE) if mutation.kind == kind]

    assert (old_source, new_source) in {(mutation.was, mutation.becomes) for mutation in plants}
    for mutation in plants:
        assert len(mutation.applied(SOURCE)) - len(SOURCE) == len(mutation.becomes) - len(
            mutation.was
        )


def test_mistakes_are_planted_in_errors_time_zones_and_conditions() -> None:
    """Mistakes can be planted in raised errors, time zones and parts of conditions."""
    plants = plants_in("vendor.py", SOURCE)

    assert ["pass"] == [mutation.becomes for mutation in plants if mutation.kind == "swallowed"]
    assert 1 == len([mutation for mutation in plants if mutation.kind == "zone"])
    assert {
        'not (answer.text("id") is None or answer.text("status") == "failed")',
        '(answer.text("status") == "failed")',
        '(answer.text("id") is None)',
        '("")',
    } == {mutation.becomes for mutation in plants if mutation.kind == "condition"}


def test_no_mistake_is_planted_in_types_or_messages() -> None:
    """No mistake is planted into types, docstrings or error messages."""
    texts = {
        mutation.was for mutation in plants_in("vendor.py", SOURCE) if mutation.kind == "field"
    }

    assert texts.isdisjoint({'"Money"', '"Payment"', '"""Pay."""', '"Look."', '"an amount"'})


def test_planted_mistake_prints_file_line_kind_and_edit() -> None:
    """A planted mistake prints as one line with file, line, kind and edit."""
    (mutation,) = plants_in("vendor.py", "limit = 64\n")

    assert "vendor.py:1 [number] 64 -> 65" == str(mutation)
    assert range(0) == mutation.inside
    assert range(2, 4) == next(
        mutation.inside
        for mutation in plants_in("vendor.py", "\ndef pay():\n    return 64\n")
        if mutation.kind == "number"
    )
