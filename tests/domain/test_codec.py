"""Encoding of stored states as bytes: exact, versioned, and read from any bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    CircuitBreakerConfig,
    InvalidData,
    RateLimitConfig,
    StateUnavailable,
    StorageUnavailable,
)
from moorage.domain.resilience.admission import Gates
from moorage.domain.resilience.circuit import CircuitRule, Outcome
from moorage.domain.state import codec
from moorage.domain.state.codec import VERSION, pack, unpack
from moorage.testing.kits._state_commands import are_equal_values, plain_value
from moorage.testing.kits._state_walk import RandomCommands

T0 = 1_800_000_000_000_000

NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)


@given(NUMBERS, st.integers(0, 2**32))
def test_state_round_trip(numbers: list[int], seed: int) -> None:
    """Any state that was encoded as bytes is decoded with the same values and types."""
    generator = random.Random(seed)
    state = (*numbers, *(plain_value(generator) for _ in range(generator.randrange(4))))
    assert are_equal_values(unpack(pack(state)), state)


@pytest.mark.parametrize("first", [True, None, "1", b"", 1.0, (1,)])
def test_boolean_in_a_state_is_not_read_as_an_integer(first: object) -> None:
    """A boolean in a stored state is read back as a boolean, and not as an integer."""
    assert are_equal_values(unpack(pack((first, 1))), (first, 1))


def test_packed_states_decide_like_tuples() -> None:
    """A command makes the same decision from encoded states and from decoded states."""
    for seed in range(20):
        generator = random.Random(seed)
        drawn_commands = RandomCommands(generator, "{codec:it}")
        fields: dict[str, bytes] = {}
        model: dict[str, object] = {}
        now = T0
        for _ in range(100):
            now += generator.choice((0, 1_000, 20_000, 90_000_000))
            command = drawn_commands.draw()
            result = tuple(
                None if key not in fields else unpack(fields[key]) for key in command.keys
            )
            states, answer = command.apply(result, now)
            expected, entry = command.apply(tuple(map(model.get, command.keys)), now)  # type: ignore[arg-type]  # the states that the command stored
            assert (states, answer) == (expected, entry)
            drawn_commands.remember_reply(command, answer)
            for key, state, previous_state in zip(command.keys, states, result, strict=True):
                if state is not None:
                    stored_bytes = pack(state, previous_state, fields.get(key, b""))
                    assert stored_bytes == pack(state)
                    fields[key] = stored_bytes
            model.update(zip(command.keys, expected, strict=True))


def test_states_written_at_each_call_take_few_bytes() -> None:
    """The states that are written at every call take few bytes."""
    rule = CircuitRule(CircuitBreakerConfig())
    gates = Gates(limits=[RateLimitConfig.per_second(10).rule])
    assert len(pack(rule.present(None, T0))) <= 80
    assert len(pack(gates.limits[0].present(None, T0))) <= 70


def test_unchanged_bytes_are_reused() -> None:
    """The unchanged part of a circuit's state is copied from its stored bytes."""
    rule = CircuitRule(CircuitBreakerConfig())
    first, _ = rule.record(rule.present(None, T0), (T0, 1, 0), Outcome.FAILED, "one")
    stored_bytes = pack(first)
    previous_state = unpack(stored_bytes)
    fast_state = rule.fast_admit(previous_state, T0 + 1)
    full_state, *_ = rule.admit(rule.present(previous_state, T0 + 1), 0, 0)  # in a record made anew
    assert fast_state is not None
    assert fast_state == full_state
    mangled = stored_bytes[:-1] + bytes(
        (stored_bytes[-1] ^ 0xFF,)
    )  # parts that are reused are not inspected
    for later_state in (fast_state, full_state):
        assert (
            pack(later_state, previous_state, mangled)[-1] == mangled[-1] != pack(later_state)[-1]
        )
        assert pack(later_state, previous_state, stored_bytes) == pack(later_state)


def test_stored_bytes_of_state_are_not_reused_if_its_shape_or_content_differs() -> None:
    """The stored bytes of a state are not reused if the state's shape or content has changed."""
    previous_state = (1, 2, "a", "b")
    stored_bytes = pack(previous_state)
    for later_state in (
        (1, 2, "a", "c"),
        (1, 2, "a"),
        (1, "a", "b"),
        (1, 2, "a", "b", "c"),
        (1, 2),
    ):
        assert unpack(pack(later_state, previous_state, stored_bytes)) == later_state


def test_equal_items_of_other_types_are_not_shared() -> None:
    """The stored bytes of a tuple are reused only if the tuple holds the identical objects."""
    previous_state = (1, ("a", 1))
    stored_bytes = pack(previous_state)
    other_items: list[object] = [("a", True), ("a",), ("a", 1, 1), "a", ["a", 1]]
    for other_item in other_items:
        assert repr(unpack(pack((1, other_item), previous_state, stored_bytes))) == repr(
            (1, other_item)
        )


def test_mutable_answers_are_never_shared() -> None:
    """Two readers of one stored response never get the same list object."""
    stored_bytes = pack((1, 2, 3, ["an answer"]))
    unpack(stored_bytes)[3].append("spoilt")
    assert unpack(stored_bytes)[3] == ["an answer"]


def test_a_number_beyond_64_bits_is_refused() -> None:
    """A number of more than 64 bits in a state is refused instead of truncated."""
    with pytest.raises(InvalidData, match="exceeds 64 bits"):
        pack((2**63,))


@given(st.binary(max_size=100))
def test_any_bytes_are_a_state_or_storage_unavailable(stored: bytes) -> None:
    """Any stored bytes are read as a state, or raise StorageUnavailable."""
    try:
        unpack(stored)
    except StorageUnavailable:
        return


@pytest.mark.parametrize(
    "stored", [b"", b"\x01", b"\x01\x01", b"\x00\x00", b"\x01\xff", b"\x11\x00", b"{}"]
)
def test_foreign_bytes_are_refused(stored: bytes) -> None:
    """Bytes that another program stored are refused as unreadable."""
    with pytest.raises(StorageUnavailable, match=r"cannot be read.* only moorage writes to"):
        unpack(stored)


@pytest.mark.parametrize("version", [VERSION + 1, 16])
def test_state_of_a_later_version_is_refused(version: int) -> None:
    """The error for a state from a later version asks the user to upgrade every process."""
    later_bytes = bytes((version,)) + pack((1, 2))[1:]
    with pytest.raises(StateUnavailable, match=f"version {version},.*Upgrade every") as excinfo:
        unpack(later_bytes, "its key")
    assert "its key" == excinfo.value.key


def test_encoding_of_state_is_stable() -> None:
    """The layout of an encoded state never changes: version, count, numbers, then the rest."""
    assert pack((1, -2)) == b"\x01\x02" + b"\x01" + b"\x00" * 7 + b"\xfe" + b"\xff" * 7
    assert pack((1, "a")) == b"\x01\x01" + b"\x01" + b"\x00" * 7 + b"\xa1a"
    assert pack((1,) * 17) == b"\x01\x10" + (b"\x01" + b"\x00" * 7) * 16 + b"\x01"


def test_state_of_the_previous_version_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """States that the previous version wrote are readable, and are written in the new format."""
    stored_bytes = pack((1, 2, "as it was"))
    monkeypatch.setattr(codec, "VERSION", VERSION + 1)
    monkeypatch.setitem(codec.READERS, VERSION + 1, codec.READERS[VERSION])
    assert unpack(stored_bytes) == (1, 2, "as it was")
    assert pack(unpack(stored_bytes))[0] == VERSION + 1
