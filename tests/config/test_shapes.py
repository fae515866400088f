"""Configuration tables for classes that other packages define."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import pytest

import moorage
from moorage import vendor_sdk as sdk
from moorage.config.class_tables import field_descriptions, table_of
from moorage.config.problems import REPORTED, Report, key, path_below
from moorage.config.shapes import (
    AnyOf,
    AnyValue,
    ListOf,
    NamedTable,
    Number,
    OneOf,
    SecretText,
    Text,
)
from moorage.config.structure import read
from moorage.domain.values.frozen_values import fields_of
from moorage.errors import InvalidData
from moorage.wiring.built_in_vendors import BUILT_IN
from moorage.wiring.installed_vendors import vendor_class

if TYPE_CHECKING:
    from collections.abc import Mapping


class ShadeEnum(Enum):
    """An enumeration that is the type of a test setting."""

    RED = "red"
    BLUE = "blue"


def _shorter(instance: Any, _: object, value: int) -> None:
    if value >= instance.most:
        raise InvalidData("The value is too large.", field="least", remedy="Give less.")


def _check_limit(_: object, __: object, value: int) -> None:
    if value > _MOST:
        raise ValueError(value)


_MOST = 99


@attrs.frozen(kw_only=True)
class UnusualFields:
    """A class whose fields have unusual types and validators.

    Attributes:
        anything: has values of any type.
        These are words that describe no field
        mode, other: in shades.
    """

    anything: Mapping[str, int] | None = None
    mode: ShadeEnum = attrs.field(default=ShadeEnum.RED, converter=ShadeEnum)
    other: ShadeEnum | None = None
    either: int | str = 1
    mixed: int | Mapping[str, int] = 1
    several: tuple[str, ...] = ()
    made: int = attrs.field(default=0, init=False)
    least: int = attrs.field(default=0, validator=_shorter)
    most: int = attrs.field(default=9, validator=_check_limit)


def test_configuration_table_of_a_class_has_the_types_of_its_fields() -> None:
    """The configuration table of a class has the types of the class's fields."""
    table = table_of(UnusualFields)

    assert {
        "anything": AnyValue(),
        "mode": OneOf(("red", "blue")),
        "other": OneOf(("red", "blue")),
        "either": AnyOf((Number(whole=True), Text())),
        "mixed": AnyValue(),
        "several": ListOf(Text()),
        "least": Number(whole=True),
        "most": Number(whole=True),
    } == {name: field.shape for name, field in table.fields.items()}
    assert "red" == table.fields["mode"].default
    assert {
        "anything": "has values of any type.",
        "mode": "in shades.",
        "other": "in shades.",
    } == field_descriptions(UnusualFields)


@attrs.frozen(kw_only=True)
class QualifiedFields:
    """A class whose annotations include the module name of each type."""

    key: moorage.Secret | None = None
    keys: dict[str, moorage.Secret] = attrs.field(factory=dict)
    mode: sdk.Mode = sdk.Mode.TEST
    modes: tuple[sdk.Mode, ...] = ()


def test_types_may_be_named_with_their_module() -> None:
    """`moorage.Secret` is read like `Secret`, and a module's enumeration by its values."""
    fields = table_of(QualifiedFields).fields
    modes = OneOf(tuple(mode.value for mode in sdk.Mode))

    assert SecretText() == fields["key"].shape
    assert NamedTable(SecretText()) == fields["keys"].shape
    assert modes == fields["mode"].shape
    assert ListOf(modes) == fields["modes"].shape


def test_secrets_of_vendors_are_known_as_secrets() -> None:
    """The configuration schema marks secret vendor options, so that plain ones are found."""
    for vendor_name in BUILT_IN:
        vendor: Any = vendor_class(vendor_name)
        shapes = {name: str(field.shape) for name, field in table_of(vendor).fields.items()}
        for field in fields_of(vendor):
            if "Secret" in str(field.type):
                assert "SecretText" in shapes[field.name], (vendor_name, field.name)


def test_class_gets_the_given_values() -> None:
    """An instance built from a table has the table's values."""
    report = Report()
    shape = read(table_of(UnusualFields), {"anything": {"a": 1}, "mode": "blue"}, "", report)

    assert UnusualFields(anything={"a": 1}, mode=ShadeEnum.BLUE) == shape
    assert [] == report.problems


def test_fields_validated_against_other_fields() -> None:
    """A validator that compares several fields reports its error at the right path."""
    report = Report()

    assert read(table_of(UnusualFields), {"least": 9}, "odd", report) is REPORTED
    assert [("odd.least", "Give less.")] == [
        (problem.path, problem.remedy) for problem in report.problems
    ]


def test_error_of_a_field_validator_is_a_problem_of_the_field() -> None:
    """Any error that a field's own validator raises is reported as a problem of the field."""
    report = Report()

    assert read(table_of(UnusualFields), {"most": 100}, "odd", report) is REPORTED
    assert ["odd.most"] == [problem.path for problem in report.problems]


@pytest.mark.parametrize("error", [ValueError, TypeError, LookupError, ZeroDivisionError])
def test_constructor_errors_become_problems(error: type[Exception]) -> None:
    """If a class's constructor raises, the error becomes a problem with the table's path."""
    report = Report()

    def make() -> NoReturn:
        raise error("sk_live_51H8x0tXx")

    assert report.make_or_report(make, "a.b") is REPORTED
    (problem,) = report.problems
    assert "a.b" == problem.path
    assert "sk_live" not in str(problem)


def test_path_of_problem_is_written_like_toml_keys() -> None:
    """The path of a problem is written like TOML keys."""
    assert ("a.b", "a[0]", "a", "a") == (
        path_below("a", "b"),
        path_below("a", "[0]"),
        path_below("", "a"),
        path_below("a", ""),
    )
    assert ("a-b_1", '"a b"', '"a?b"', '""') == (key("a-b_1"), key("a b"), key('a"b'), key(""))
