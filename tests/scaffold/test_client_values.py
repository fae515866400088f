"""Values of a generated client: JSON, forms, enumerations, unions and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import attrs
import pytest

from moorage import FormFile, InvalidData, client_sdk
from moorage.client_sdk import (
    AS_TEXT,
    UNSET,
    Discriminator,
    Items,
    Member,
    Number,
    OpenEnum,
    Text,
    Unset,
    form_content,
    json_content,
    multipart_content,
    read_value,
    sample,
    write_value,
)
from moorage.client_sdk.contents import pairs
from moorage.client_sdk.json_numbers import json_bytes

if TYPE_CHECKING:
    from moorage.client_sdk.limits import Limit


class Size(OpenEnum):
    """An example enumeration."""

    SMALL = "small"
    LARGE = "large"


@attrs.frozen(kw_only=True)
class Card:
    """An example object: a payment with a card."""

    kind: str
    number: str = attrs.field(metadata={"member": Member("cardNumber", Text(least=4))})


@attrs.frozen(kw_only=True)
class Cash:
    """An example object: a payment in cash."""

    type_: str = attrs.field(metadata={"member": Member("kind")})


Payment: TypeAlias = Annotated[Card | Cash, Discriminator("kind", {"card": "Card", "cash": "Cash"})]


@attrs.frozen(kw_only=True)
class Tree:
    """An example object whose branches are trees."""

    size: Size
    payment: Payment | None = None
    note: str | Unset | None = UNSET
    branch: Tree | None = None
    branches: Sequence[Tree] | None = None
    weights: Sequence[Decimal] | None = None
    price: Decimal | int | None = attrs.field(
        default=None, metadata={"member": Member("price", AS_TEXT)}
    )
    other_fields: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)


def problem_of_read(kind: Any, value: Any, *limits: Any) -> str:
    """Return the error message for reading a JSON value."""
    with pytest.raises(InvalidData) as excinfo:
        read_value(kind, value, *limits, checks=True)
    return excinfo.value.message


def problem_of_write(kind: Any, value: Any, *limits: Any) -> str:
    """Return the error message for writing a Python value."""
    with pytest.raises(InvalidData) as excinfo:
        write_value(kind, value, *limits)
    return excinfo.value.message


def test_import_of_a_missing_name_raises_import_error() -> None:
    """Importing a name that the generated module lacks raises the usual ImportError."""
    name = "other"
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        getattr(client_sdk, name)


def test_enumeration_keeps_unknown_texts() -> None:
    """An unknown enumeration string is kept unless limits are checked; other types are refused."""
    assert Size.SMALL is read_value(Size, "small", checks=True)
    assert "huge" == read_value(Size, "huge")
    assert "The value is not one of the values in the description." == problem_of_read(Size, "huge")
    assert "large" == write_value(Size, Size.LARGE)
    assert "huge" == write_value(Size, Size("huge"), checks=False)
    assert "The value is not one of the values in the description." == problem_of_write(
        Size, Size("huge")
    )
    assert "The value is not a string or a member of Size." == problem_of_write(Size, 1)
    number: Any = 1
    with pytest.raises(ValueError, match="not a valid Size"):
        Size(number)


def test_unset_is_false_and_shows_its_name() -> None:
    """UNSET is falsy, has a readable representation, and its field is not sent."""
    assert not UNSET
    assert "UNSET" == repr(UNSET)
    assert {"size": "small"} == write_value(Tree, Tree(size=Size.SMALL))
    assert {"size": "small", "note": None} == write_value(Tree, Tree(size=Size.SMALL, note=None))


def test_errors_contain_path_of_wrong_property() -> None:
    """An error contains the property's path through lists and objects, but not its value."""
    assert "size is missing." == problem_of_read(Tree, {})
    assert "The value is not an object." == problem_of_read(Tree, [])
    wrong_values = [{"size": "small"}, {"size": 1}]
    assert "[1].size is not a string." == problem_of_read(Sequence[Tree], wrong_values)
    assert "The value is not an instance of Tree." == problem_of_write(Tree, {"size": "small"})
    tree = Tree(size=Size.SMALL, weights=[Decimal(1), Decimal("NaN")])
    assert "weights[1] is not a number." == problem_of_write(Tree, tree)


def test_discriminator_property_chooses_class() -> None:
    """The discriminator property chooses the class; a value that it does not list is refused."""
    assert Cash(type_="cash") == read_value(Payment, {"kind": "cash"})
    assert "kind does not name a class in the description." == problem_of_read(
        Payment, {"kind": "shells"}
    )
    assert "kind does not name a class in the description." == problem_of_read(Payment, {"kind": 1})
    assert "The value fits none of the alternatives in the description." == problem_of_read(
        Payment, 1
    )


def test_alternative_that_keeps_all_members_is_preferred() -> None:
    """An object is read as the first alternative that has all of its members, if there is one."""
    card = {"kind": "card", "cardNumber": "4111"}
    assert Card(kind="card", number="4111") == read_value(Cash | Card, card)
    assert (Card(kind="card", number="4111"),) == read_value(Sequence[Cash | Card] | None, [card])
    assert Cash(type_="card") == read_value(Cash | Card, {**card, "new": 1})
    assert Cash(type_="card") == read_value(Cash | Card, {"kind": "card", "cardNumber": "1"})


def test_time_may_be_written_in_lower_case() -> None:
    """RFC 3339 allows the letters t and z in a time."""
    assert datetime(2026, 1, 2, 3, 4, tzinfo=UTC) == read_value(datetime, "2026-01-02t03:04:00z")


def test_alternatives_are_written_by_their_class() -> None:
    """A union accepts an instance of one of its classes, and refuses any other value."""
    assert {"kind": "cash"} == write_value(Payment, Cash(type_="cash"))
    short = Card(kind="card", number="1")
    assert "cardNumber has fewer than 4 characters." == problem_of_write(Payment, short)
    assert "cardNumber has fewer than 4 characters." == problem_of_write(Card | str, short)
    assert "The value fits none of the alternatives in the description." == problem_of_write(
        Payment, {}
    )
    assert "The value is not an integer." == problem_of_write(int | bool, "x")
    assert write_value(int | None, None) is None


def test_decimal_of_a_union_is_written_as_string_if_described_as_one() -> None:
    """A decimal in a union is written as a string where the description requires a string."""
    tree = Tree(size=Size.SMALL, price=Decimal("1.50"))
    value_on_wire = write_value(Tree, tree)
    assert "1.50" == value_on_wire["price"]
    assert tree == read_value(Tree, value_on_wire)
    assert 2 == read_value(Tree, {"size": "small", "price": 2}).price


@pytest.mark.parametrize(
    "kind, value, written",
    [
        (int, Decimal("2.0"), None),
        (date, date(2026, 1, 2), "2026-01-02"),
        (bytes, b"\0\1", "AAE="),
        (
            datetime,
            datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-02T03:04:00+02:00",
        ),
        (type(None), None, None),
        (Any, {"a": [1]}, {"a": [1]}),
    ],
)
def test_single_value_is_written_as_json_and_read_again_unchanged(
    kind: Any, value: Any, written: Any
) -> None:
    """A single value is written as JSON and read again unchanged."""
    if kind is int:
        assert 2 == read_value(kind, value)
    else:
        assert written == write_value(kind, value)
        assert value == read_value(kind, written)


def test_only_null_is_read_as_none() -> None:
    """Only null is read as None, and reading an unsupported type raises TypeError."""
    assert "The value is not null." == problem_of_read(type(None), 0)
    with pytest.raises(TypeError):
        read_value(complex, 1)


@pytest.mark.parametrize(
    "limit, value",
    [(Text(most=1), 22), (Number(most="1"), "22"), (Number(most="0"), True), (Items(most=1), "22")],
)
def test_limit_applies_only_to_values_of_its_own_type(limit: Any, value: Any) -> None:
    """A limit applies only to values of its own type, as in JSON Schema."""
    assert value == read_value(Any, value, limit, checks=True)
    assert value == write_value(Any, value, limit)


def test_limits_are_ignored_without_checks() -> None:
    """If limits are not checked, values beyond them are read and written."""
    assert "ab" == read_value(str, "ab", Text(most=1))
    assert "ab" == write_value(str, "ab", Text(most=1), checks=False)


def test_type_markers_do_not_restrict_values() -> None:
    """The type markers for unions and decimals do not restrict any value."""
    marks: tuple[Limit, ...] = (Discriminator("kind", {}), AS_TEXT)
    assert [None, None] == [mark.problem({}) for mark in marks]


def test_value_nested_too_deeply_is_refused() -> None:
    """A value nested deeper than Python's recursion limit is refused, read or written."""
    tree, branch, items = Tree(size=Size.SMALL), dict[str, Any](size="small"), list[Any]()
    for _ in range(5_000):
        tree = Tree(size=Size.SMALL, branch=tree)
        branch = {"size": "small", "branch": branch}
        items = [items]
    assert "The value is nested too deeply." == problem_of_write(Tree, tree)
    assert "The value is nested too deeply." == problem_of_read(Tree, branch)
    with pytest.raises(InvalidData, match="cannot be written as JSON"):
        json_content(Any, items)


@pytest.mark.parametrize(
    "value",
    [float("nan"), Decimal("NaN"), Decimal("Infinity"), "\ud800", {1: 2}, 2j, {"a": b"b"}],
    ids=repr,
)
def test_value_that_json_cannot_represent_is_refused(value: Any) -> None:
    """A value that JSON cannot represent is refused without being shown."""
    with pytest.raises(InvalidData, match="cannot be written as JSON") as excinfo:
        json_content(Any, [value])
    assert excinfo.value.__context__ is None


def test_json_is_exact_and_compact() -> None:
    """JSON is written compactly, with all decimal digits and unescaped characters."""
    value = {"a": [Decimal("1.50"), 10**30, True, None, 'é"']}
    text = '{"a":[1.50,1000000000000000000000000000000,true,null,"é\\""]}'
    assert text.encode() == json_bytes(value)


@attrs.frozen(kw_only=True)
class Upload:
    """An example form."""

    name: str | None = None
    ids: Sequence[int] | None = None
    labels: Mapping[str, Sequence[str]] | None = None


def test_forms_have_the_described_styles() -> None:
    """Lists and objects in forms are written in the described style, and null is omitted."""
    form = Upload(name="a b", ids=[1, 2], labels={"x": ["y", "z"]})
    content = form_content(Upload, form, {"ids": "deep", "labels": "json"})
    assert "application/x-www-form-urlencoded" == content.media_type
    text = "name=a+b&ids%5B0%5D=1&ids%5B1%5D=2&labels=%7B%22x%22%3A%5B%22y%22%2C%22z%22%5D%7D"
    assert text.encode() == content.body
    assert (
        b"ids=1&ids=2&labels%5Bx%5D=y"
        == form_content(Upload, Upload(ids=[1, 2], labels={"x": ["y"]})).body
    )
    assert b"" == form_content(Upload, Upload()).body
    wrong_ids: Any = ["x"]
    with pytest.raises(InvalidData, match=r"body.ids\[0\] is not an integer"):
        form_content(Upload, Upload(ids=wrong_ids))
    assert [] == pairs("name", None, None)


def test_multipart_form_contains_fields_and_files() -> None:
    """A multipart form has fields and files as parts; a file that is None is omitted."""
    files = {"front": FormFile("a.png", b"png", "image/png"), "back": None}
    content = multipart_content(Upload, Upload(name="n", ids=[1, 2]), files)
    assert content.media_type.startswith("multipart/form-data; boundary=")
    assert isinstance(content.body, bytes)
    assert 2 == content.body.count(b'name="ids"')
    assert b'filename="a.png"' in content.body
    assert b"back" not in content.body
    without_files = multipart_content(Upload, Upload(name="n"))
    assert isinstance(without_files.body, bytes)
    assert b'name="name"' in without_files.body


def test_sample_fills_some_levels_of_an_object() -> None:
    """A sample object has optional fields for a few levels, and one sample per union class."""
    tree = sample(Tree)
    assert (Size.SMALL, "text") == (tree.size, tree.note)
    assert Card(kind="card", number="text") == tree.payment
    assert tree == read_value(Tree, write_value(Tree, tree), checks=True)
    assert tree.branch.branch.branch.branch is None
    assert 1 == len(tree.branches)
    kind = Annotated[Cash | Card, Discriminator("kind", {"cash": "Cash"})]
    assert Cash(type_="cash") == sample(kind)
    assert sample(str | None, depth=9) is None
    assert "text" == sample(Unset | str)


@pytest.mark.parametrize("text", ["1e999999999", "-1e-999999999", "0e999999999"])
def test_number_with_a_huge_exponent_is_refused(text: str) -> None:
    """A short number that would become gigabytes when it is written out is refused."""
    with pytest.raises(InvalidData, match="is not a decimal number"):
        client_sdk.read_value(Annotated[Decimal, client_sdk.AS_TEXT], text)
    with pytest.raises(InvalidData, match="is not a number"):
        client_sdk.write_value(Decimal, Decimal(text))
    largest_float = Decimal("1.7976931348623157e308")
    assert largest_float == client_sdk.read_value(Decimal, largest_float)
