"""Frozen values behave like those of attrs, whose decorator they replace."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest

from moorage.domain.values.frozen_values import frozen


def _hidden(value: object) -> str:
    return f"<{len(str(value))} characters>"


@attrs.frozen
class Reference:
    """A value class whose methods attrs generates."""

    name: str
    token: str = attrs.field(default="secret", repr=False)
    note: str = attrs.field(default="", eq=False)
    text: str = attrs.field(default="abc", repr=_hidden)


@frozen
class Value:
    """The same class with the decorator `frozen`, whose methods are closures."""

    name: str
    token: str = attrs.field(default="secret", repr=False)
    note: str = attrs.field(default="", eq=False)
    text: str = attrs.field(default="abc", repr=_hidden)


@frozen
class Empty:
    """A value without a field."""


@frozen
class Single:
    """A value with one field."""

    item: object


@frozen
class Longer(Value):
    """A value with a field more than its base class."""

    size: int = 1


@frozen(eq=False, repr=False)
class Plain(Single):
    """A value that takes its methods from its base class."""


@frozen(eq=False, repr=False)
class Identity:
    """A value that equals nothing but itself."""

    item: object


@frozen
class OwnMethods:
    """A value that defines its methods itself."""

    item: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnMethods)

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "own"


@frozen
class OwnHash:
    """A value that defines its hash alone."""

    item: object

    def __hash__(self) -> int:
        return 8


@frozen
class Labelled:
    """A value with a field that has no hash."""

    name: str
    labels: dict[str, str] = attrs.field(factory=dict[str, str], hash=False)


def test_fields_without_a_hash_are_left_out_of_it() -> None:
    """A field with `hash=False` is compared, and the hash is that of the others."""
    value = Labelled("a", {"b": "c"})

    assert {value} == {Labelled("a", {"b": "c"})}
    assert hash(value) == hash(Labelled("a"))
    assert value != Labelled("a")


@pytest.mark.parametrize("other", [("a",), ("b",), ("a", "other"), ("a", "secret", "noted")])
def test_equality_and_hash_are_those_of_attrs(other: tuple[str, ...]) -> None:
    """Two values are equal, and have one hash, exactly if values of attrs would."""
    expected = Reference("a") == Reference(*other)

    assert expected == (Value("a") == Value(*other))
    assert expected == (hash(Value("a")) == hash(Value(*other)))
    assert expected != (Value("a") != Value(*other))


def test_representation_is_that_of_attrs() -> None:
    """A representation leaves out hidden fields, and shows a field by its own function."""
    assert repr(Reference("a")).replace("Reference", "Value") == repr(Value("a"))
    assert "Value(name='a', note='', text=<3 characters>)" == repr(Value("a"))
    assert "Empty()" == repr(Empty())


def test_representation_of_a_local_class_is_its_name() -> None:
    """The name of the function in which a class was defined is not shown."""

    @frozen
    class Local:
        item: int

    assert "Local(item=1)" == repr(Local(1))


def test_representation_of_a_value_within_itself_ends() -> None:
    """A value that contains itself is shown as three dots inside its own representation."""
    items: list[object] = []
    value = Single(items)
    items.append(value)

    assert "Single(item=[...])" == repr(value)


def test_values_of_different_classes_differ() -> None:
    """A value equals only values of its own class."""
    longer: object = Longer("a")

    assert Value("a") != longer
    assert Longer("a") == longer
    assert Longer("a", size=2) != longer
    assert Value("a").__eq__(longer) is NotImplemented


@pytest.mark.parametrize("value", [Empty(), Single((1, 2)), Single("b"), Plain(3), Longer("a")])
def test_copies_are_equal(value: object) -> None:
    """A copied and an unpickled value equal their original and have its hash."""
    copies: list[Any] = [copy.deepcopy(value), pickle.loads(pickle.dumps(value))]  # noqa: S301 - our own

    assert [value, value] == copies
    assert {value} == set(copies)


def test_methods_of_the_class_itself_stay() -> None:
    """Methods that a class defines itself are not replaced."""
    assert OwnMethods(1) == OwnMethods(2)
    assert 7 == hash(OwnMethods(1))
    assert "own" == repr(OwnMethods(1))
    assert 8 == hash(OwnHash(1))
    assert OwnHash(1) == OwnHash(1)
    assert OwnHash(1) != OwnHash(2)


def test_options_leave_methods_out() -> None:
    """A class without comparison or representation gets those of its base class."""
    assert Identity(1) != Identity(1)
    assert repr(Identity(1)).startswith("<")
    assert "Plain(item=3)" == repr(Plain(3))
    assert Plain(3) == Plain(3)


def test_fields_cannot_be_set() -> None:
    """A field of a value cannot be changed, and attrs' functions work on it."""
    value = Value("a")

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.name = "b"  # type: ignore[misc]  # the refused assignment is the subject
    assert Value("b") == attrs.evolve(value, name="b")
    assert ("a", "secret", "", "abc") == attrs.astuple(value)
