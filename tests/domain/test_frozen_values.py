"""Frozen values behave like those of attrs."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
import weakref
from types import FunctionType
from typing import Any, ClassVar, cast

import attrs
import pytest

from moorage.domain.observation.call_events import CallStarted
from moorage.domain.values.frozen_values import (
    Factory,
    as_dict,
    evolve,
    field,
    fields_of,
    frozen,
    has_fields,
    optional,
)


def _hide(value: object) -> str:
    return f"<{len(str(value))} characters>"


@attrs.frozen
class Reference:
    """A value class whose methods attrs generates."""

    name: str
    token: str = attrs.field(default="secret", repr=False)
    note: str = attrs.field(default="", eq=False)
    text: str = attrs.field(default="abc", repr=_hide)


@frozen
class Value:
    """The class under test, made with the decorator `frozen`."""

    name: str
    token: str = field(default="secret", repr=False)
    note: str = field(default="", eq=False)
    text: str = field(default="abc", repr=_hide)


@frozen
class Empty:
    """A value without a field."""


@frozen
class SingleValue:
    """A value with one field."""

    item: object


@frozen
class ExtendedValue(Value):
    """A value with one field more than its base class."""

    size: int = 1


@frozen(eq=False, repr=False)
class InheritingValue(SingleValue):
    """A value that inherits its methods from its base class."""


@frozen(eq=False, repr=False)
class Identity:
    """A value class whose instances equal only themselves."""

    item: object


@frozen
class OwnMethods:
    """A value class that defines its own comparison and other special methods."""

    item: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnMethods)

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "own"


@frozen
class OwnHash:
    """A value class that defines only its own hash."""

    item: object

    def __hash__(self) -> int:
        return 8


@frozen
class LabelledValue:
    """A value class with a field of an unhashable type."""

    name: str
    labels: dict[str, str] = field(factory=dict[str, str], hash=False)


def _is_positive(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value <= 0:
        raise ValueError(attribute.name)


def _double_value(value: int) -> int:
    return 2 * value


@attrs.frozen
class OrderOfAttrs:
    """A value with every kind of field; attrs generates its methods."""

    vendors: ClassVar[int] = 3

    name: str
    _secret: str = "s"
    size: int = attrs.field(default=1, converter=_double_value, validator=_is_positive)
    labels: list[str] = attrs.field(factory=list[str])
    title: str = attrs.field(default=attrs.Factory(lambda self: self.name.upper(), takes_self=True))
    limit: int | None = attrs.field(
        default=None, converter=attrs.converters.optional(_double_value)
    )
    length: int = attrs.field(init=False)
    kind: str = attrs.field(default="order", init=False)
    is_paid: bool = attrs.field(default=False, kw_only=True, metadata={"a": 1})

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "length", len(self.name))

    @property
    def parent_name(self) -> str:
        """The first letter of the parent's repr, which the method gets with `super()`."""
        return super().__repr__()[:1]

    @classmethod
    def heading(cls) -> str:
        """The name of the class, found with `cls`."""
        return cls.__name__


@frozen
class Order:
    """The class under test, made with the decorator `frozen`."""

    vendors: ClassVar[int] = 3

    name: str
    _secret: str = "s"
    size: int = field(default=1, converter=_double_value, validator=_is_positive)
    labels: list[str] = field(factory=list[str])
    title: str = field(default=Factory(lambda self: self.name.upper(), takes_self=True))
    limit: int | None = field(default=None, converter=optional(_double_value))
    length: int = field(init=False)
    kind: str = field(default="order", init=False)
    is_paid: bool = field(default=False, kw_only=True, metadata={"a": 1})

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "length", len(self.name))

    @property
    def parent_name(self) -> str:
        """The first letter of the parent's repr, which the method gets with `super()`."""
        return super().__repr__()[:1]

    @classmethod
    def heading(cls) -> str:
        """The name of the class, found with `cls`."""
        return cls.__name__


@frozen(kw_only=True)
class PaidOrder(Order):
    """An order that replaces a field of its base class, and adds another."""

    size: int = 5  # pyright: ignore[reportIncompatibleVariableOverride]  # the subject of a test
    at: int

    @property
    def parent_name(self) -> str:
        """The first letter of the parent's repr, which the method gets with `super()`."""
        return f"paid {super().parent_name}"

    @classmethod
    def heading(cls) -> str:
        """The name of the class, found with `cls`."""
        return f"paid {super().heading()}"

    def __repr__(self) -> str:
        return f"paid {super().__repr__()}"


@attrs.frozen
class TaggedValue(Value):
    """An attrs class that inherits fields from a class with `frozen`."""

    tag: str = "t"


@frozen(init=False)
class Counter:
    """A value with `init=False`; another method sets its fields."""

    count: int


def test_field_with_hash_false_is_compared() -> None:
    """A field with `hash=False` is compared, but does not change the hash."""
    value = LabelledValue("a", {"b": "c"})

    assert {value} == {LabelledValue("a", {"b": "c"})}
    assert hash(value) == hash(LabelledValue("a"))
    assert value != LabelledValue("a")


@pytest.mark.parametrize("other", [("a",), ("b",), ("a", "other"), ("a", "secret", "noted")])
def test_equality_and_hash_are_those_of_attrs(other: tuple[str, ...]) -> None:
    """Two values are equal and have equal hashes exactly if values of an attrs class would."""
    expected = Reference("a") == Reference(*other)

    assert expected == (Value("a") == Value(*other))
    assert expected == (hash(Value("a")) == hash(Value(*other)))
    assert expected != (Value("a") != Value(*other))


def test_representation_is_that_of_attrs() -> None:
    """A repr omits hidden fields, and uses the repr function of a field if the field has one."""
    assert repr(Reference("a")).replace("Reference", "Value") == repr(Value("a"))
    assert "Value(name='a', note='', text=<3 characters>)" == repr(Value("a"))
    assert "Empty()" == repr(Empty())


def test_representation_of_a_local_class_is_its_name() -> None:
    """The repr of a local class does not show the function that defines the class."""

    @frozen
    class LocalValue:
        item: int

    assert "LocalValue(item=1)" == repr(LocalValue(1))


def test_value_that_contains_itself_is_shown_as_three_dots_in_its_own_repr() -> None:
    """The repr of a value that contains itself shows three dots in its place."""
    items: list[object] = []
    value = SingleValue(items)
    items.append(value)

    assert "SingleValue(item=[...])" == repr(value)


def test_values_of_different_classes_differ() -> None:
    """A value equals only values of its own class."""
    longer: object = ExtendedValue("a")

    assert Value("a") != longer
    assert ExtendedValue("a") == longer
    assert ExtendedValue("a", size=2) != longer
    assert Value("a").__eq__(longer) is NotImplemented


@pytest.mark.parametrize(
    "value",
    [Empty(), SingleValue((1, 2)), SingleValue("b"), InheritingValue(3), ExtendedValue("a")],
)
def test_copies_are_equal(value: object) -> None:
    """A copied and an unpickled value equal their original and have its hash."""
    copies: list[Any] = [copy.deepcopy(value), pickle.loads(pickle.dumps(value))]  # noqa: S301 - our own

    assert [value, value] == copies
    assert {value} == set(copies)


def test_methods_that_class_defines_itself_are_not_replaced() -> None:
    """Methods that a class defines itself are not replaced."""
    assert OwnMethods(1) == OwnMethods(2)
    assert 7 == hash(OwnMethods(1))
    assert "own" == repr(OwnMethods(1))
    assert 8 == hash(OwnHash(1))
    assert OwnHash(1) == OwnHash(1)
    assert OwnHash(1) != OwnHash(2)


def test_class_with_eq_or_repr_off_inherits_the_method() -> None:
    """With `eq=False` or `repr=False`, a class inherits comparison or repr."""
    assert Identity(1) != Identity(1)
    assert repr(Identity(1)).startswith("<")
    assert "InheritingValue(item=3)" == repr(InheritingValue(3))
    assert InheritingValue(3) == InheritingValue(3)


def test_assignment_to_a_field_is_refused() -> None:
    """A field cannot be assigned, and the functions of attrs accept the value."""
    value = Value("a")

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.name = "b"  # type: ignore[misc]  # the refused assignment is the subject
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del value.name  # pyright: ignore[reportAttributeAccessIssue]  # the refused deletion
    assert Value("b") == attrs.evolve(value, name="b")
    assert ("a", "secret", "", "abc") == attrs.astuple(value)


ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a",), {}),
    (("a", "b", 2, ["c"], "d", 4), {"is_paid": True}),
    ((), {"name": "a", "secret": "b", "size": 3, "limit": 0}),
    (("a",), {"title": "b", "labels": ["c"]}),
]


@pytest.mark.parametrize("by_position, by_name", ARGUMENTS)
def test_values_are_created_as_by_attrs(
    by_position: tuple[Any, ...], by_name: dict[str, Any]
) -> None:
    """Arguments, defaults, factories, converters and `__attrs_post_init__` behave as in attrs."""
    expected = OrderOfAttrs(*by_position, **by_name)
    value = Order(*by_position, **by_name)

    assert attrs.asdict(expected) == attrs.asdict(value)
    assert attrs.asdict(expected) == as_dict(value)
    assert repr(expected).replace("OrderOfAttrs", "Order") == repr(value)


@pytest.mark.parametrize(
    "by_position, by_name",
    [((), {}), (("a",), {"name": "b"}), (("a",), {"length": 1}), (("a", *range(6)), {})],
)
def test_wrong_arguments_are_refused(by_position: tuple[Any, ...], by_name: dict[str, Any]) -> None:
    """Missing, repeated, unknown and too many arguments raise TypeError, as in attrs."""
    with pytest.raises(TypeError):
        OrderOfAttrs(*by_position, **by_name)
    with pytest.raises(TypeError):
        Order(*by_position, **by_name)


def test_validators_see_converted_values() -> None:
    """A validator gets the field and the value after its conversion."""
    with pytest.raises(ValueError, match=r"^size$"):
        Order("a", size=0)


def test_each_of_several_validators_is_called() -> None:
    """A field with several validators accepts only values that pass all of them."""

    def is_small(_: object, attribute: attrs.Attribute[int], value: int) -> None:
        if value > 9:
            raise ValueError(f"{attribute.name} is large")

    @frozen
    class BoundedValue:
        size: int = field(validator=[_is_positive, is_small])

    assert 9 == BoundedValue(9).size
    with pytest.raises(ValueError, match=r"^size$"):
        BoundedValue(0)
    with pytest.raises(ValueError, match=r"^size is large$"):
        BoundedValue(10)


def test_signature_is_that_of_attrs() -> None:
    """`inspect.signature` shows the arguments and their types before the first value is created."""

    @frozen
    class ValueWithFactory:
        name: str
        _size: int = field(default=1, converter=_double_value)
        limit: int | None = field(default=None, converter=optional(_double_value))
        text: str = field(default="", converter=str)

    @attrs.frozen
    class FreshOfAttrs:
        name: str
        _size: int = attrs.field(default=1, converter=_double_value)
        limit: int | None = attrs.field(default=None, converter=optional(_double_value))
        text: str = attrs.field(default="", converter=str)

    expected = inspect.signature(FreshOfAttrs).parameters
    parameters = inspect.signature(ValueWithFactory).parameters

    assert list(expected) == list(parameters)
    assert [item.default for item in expected.values()] == [
        item.default for item in parameters.values()
    ]
    assert ["str", "int", "int | None", inspect.Parameter.empty] == [
        item.annotation for item in parameters.values()
    ]


def test_initialiser_is_compiled_once() -> None:
    """`__init__` is compiled when the first value is created, even a subclass's value."""

    @frozen
    class Base:
        name: str

    class InheritingValue(Base):
        pass

    assert type(vars(Base)["__init__"]) is not FunctionType
    assert "a" == InheritingValue("a").name
    assert type(vars(Base)["__init__"]) is FunctionType
    assert "b" == Base("b").name


def test_field_still_has_one_slot_if_subclass_declares_inherited_field_again() -> None:
    """If a subclass declares an inherited field again, the field still has one slot."""
    order = PaidOrder("a", at=3)

    assert (5, 3) == (order.size, order.at)
    assert ["size", "at"] == [item.name for item in fields_of(PaidOrder)][-2:]
    assert ("at",) == vars(PaidOrder)["__slots__"]
    assert ("name", "_secret", "labels", "title", "limit") == PaidOrder.__match_args__


def test_methods_find_their_base_class() -> None:
    """`super()` works in methods, class methods and properties of a class with slots."""
    order = PaidOrder("a", at=3)

    assert "paid <" == order.parent_name
    assert "paid PaidOrder" == PaidOrder.heading()
    assert repr(order).startswith("paid PaidOrder(name='a'")


def test_values_have_slots_and_weak_references() -> None:
    """A value has slots instead of `__dict__`, and supports weak references."""
    value = SingleValue(1)

    assert not hasattr(value, "__dict__")
    assert weakref.ref(value)() is value


def test_a_class_of_attrs_inherits_fields() -> None:
    """An attrs class inherits the fields of a frozen base class."""
    value = TaggedValue("a", tag="b")

    assert ["name", "token", "note", "text", "tag"] == [
        item.name for item in attrs.fields(TaggedValue)
    ]
    assert ["name", "token", "note", "text", "tag"] == [
        item.name for item in fields_of(TaggedValue)
    ]
    assert TaggedValue("c", tag="b") == evolve(value, name="c")
    assert "TaggedValue(name='a', note='', text=<3 characters>, tag='b')" == repr(value)


def test_fields_are_described_as_by_attrs() -> None:
    """`attrs.fields` describes a frozen class's fields like those of an attrs class."""

    def described_fields(kind: Any) -> list[tuple[Any, ...]]:
        return [
            (item.name, item.alias, item.init, item.kw_only, item.type, dict(item.metadata))
            for item in attrs.fields(kind)
        ]

    assert described_fields(OrderOfAttrs) == described_fields(Order)
    assert [item.default for item in attrs.fields(Reference)] == [
        item.default for item in attrs.fields(Value)
    ]
    assert attrs.fields(Order) is attrs.fields(Order)


def test_fields_of_describes_fields_of_attrs_class_like_those_of_frozen_class() -> None:
    """`fields_of` describes the fields of an attrs class like those of a frozen class."""
    own_fields, fields = fields_of(Value), fields_of(Reference)

    assert [(item.name, item.default, item.type) for item in own_fields] == [
        (item.name, item.default, item.type) for item in fields
    ]
    assert "NOTHING" == repr(fields[0].default)


def test_other_classes_have_no_fields() -> None:
    """`has_fields` is true for frozen classes, attrs classes and events only."""
    assert has_fields(Value)
    assert has_fields(Reference)
    assert has_fields(CallStarted)
    assert not has_fields(int)
    with pytest.raises(attrs.exceptions.NotAnAttrsClassError):
        fields_of(cast("Any", int))


def test_a_field_with_a_default_cannot_precede_one_without() -> None:
    """A class whose field with a default precedes one without is refused when it is defined."""
    with pytest.raises(ValueError, match=r"WrongValue\.size needs a default"):

        @frozen
        class WrongValue:
            name: str = ""
            size: int  # type: ignore[misc]  # the order is the subject


@pytest.mark.parametrize("declared", [attrs.field(), attrs.Factory(list), attrs.NOTHING])
def test_a_field_of_attrs_is_refused(declared: Any) -> None:
    """A frozen class with a field from `attrs.field` is refused when it is defined."""
    with pytest.raises(TypeError, match="Use moorage's field"):

        @frozen
        class WrongValue:
            name: str = declared


def test_class_uses_init_of_its_base_class_with_init_false() -> None:
    """With `init=False`, a class uses the `__init__` of its base class."""
    assert Counter.__init__ is object.__init__
    assert {"count": 1} == as_dict(copy.copy(_restore(Counter, count=1)))


def _restore(kind: type[Any], **values: object) -> Any:
    value: Any = object.__new__(kind)
    value.__setstate__(values)
    return value


def test_a_state_with_fewer_fields_is_restored() -> None:
    """A value pickled before its class got a new field is unpickled without that field."""
    value = _restore(Value, name="a")

    assert "a" == value.name
    assert not hasattr(value, "token")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace came with Python 3.13")
def test_copy_replace_changes_fields() -> None:
    """`copy.replace` returns a copy with some fields changed."""
    replace: Any = vars(copy)["replace"]

    assert Value("b") == replace(Value("a"), name="b")
