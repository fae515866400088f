"""Conditions for OData's `$filter`, built from property names and values.

    odata_field("Name").eq("O'Brien") & odata_field("Price").gt(3)

A value can only become a literal, so no value changes the meaning of a condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.odata.literals import checked_path, literal
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.domain.odata.literals import ODataValue

COMPARISONS: Final = ("eq", "ne", "gt", "ge", "lt", "le")
"""The OData operators that compare a property with a value."""

TEXT_FUNCTIONS: Final = ("contains", "startswith", "endswith")
"""The OData functions that search for a text in a property."""


@attrs.frozen
class ODataFilter:
    """An OData filter condition; `&`, `|` and `~` combine conditions.

    Attributes:
        text: the condition in OData's language; made by `odata_field`, never written by hand.
    """

    text: str = attrs.field(repr=False)

    def __and__(self, other: ODataFilter) -> ODataFilter:
        return ODataFilter(f"({self.text}) and ({other.text})")

    def __or__(self, other: ODataFilter) -> ODataFilter:
        return ODataFilter(f"({self.text}) or ({other.text})")

    def __invert__(self) -> ODataFilter:
        return ODataFilter(f"not ({self.text})")


@attrs.frozen
class ODataField:
    """An OData property with methods that make filter conditions.

    Attributes:
        path: the name, or names separated by slashes, such as "Customer/Name".
        depth: the number of lambda operators around it, which determines the names of their
            variables.
    """

    path: str
    depth: int = 0

    def eq(self, value: ODataValue) -> ODataFilter:
        """Return the condition that the property is equal to the value."""
        return self.compare("eq", value)

    def ne(self, value: ODataValue) -> ODataFilter:
        """Return the condition that the property is not equal to the value."""
        return self.compare("ne", value)

    def gt(self, value: ODataValue) -> ODataFilter:
        """Return the condition that the property is greater than the value."""
        return self.compare("gt", value)

    def ge(self, value: ODataValue) -> ODataFilter:
        """Return the condition that the property is greater than the value, or equal to it."""
        return self.compare("ge", value)

    def lt(self, value: ODataValue) -> ODataFilter:
        """Return the condition that the property is less than the value."""
        return self.compare("lt", value)

    def le(self, value: ODataValue) -> ODataFilter:
        """Return the condition that the property is less than the value, or equal to it."""
        return self.compare("le", value)

    def contains(self, text: str) -> ODataFilter:
        """Return the condition that the property contains the text."""
        return self.compare("contains", text)

    def startswith(self, text: str) -> ODataFilter:
        """Return the condition that the property begins with the text."""
        return self.compare("startswith", text)

    def endswith(self, text: str) -> ODataFilter:
        """Return the condition that the property ends with the text."""
        return self.compare("endswith", text)

    def is_in(self, values: Iterable[ODataValue]) -> ODataFilter:
        """Return the condition that the property is equal to one of the values.

        It is written as comparisons, because services of OData 4.0 have no operator `in`.

        Raises:
            InvalidData: there are no values.
        """
        conditions = [self.compare("eq", value).text for value in values]
        if not conditions:
            raise InvalidData(
                f"The list of values to compare {self.path} with is empty.",
                field="values",
                remedy="Pass at least one value, or do not send the query.",
            )
        return ODataFilter(" or ".join(conditions))

    def any(self, condition: Callable[[Callable[[str], ODataField]], ODataFilter]) -> ODataFilter:
        """Return the condition that at least one element of the collection meets a condition.

        Args:
            condition: a function that makes the condition; its argument is a function that returns
                a property of the element by its name: `odata_field("Items").any(lambda item:
                item("Pieces").gt(3))`.
        """
        return self._lambda("any", condition)

    def all(self, condition: Callable[[Callable[[str], ODataField]], ODataFilter]) -> ODataFilter:
        """Return the condition that every element of the collection meets a condition.

        Args:
            condition: a function that makes the condition, as in `any`.
        """
        return self._lambda("all", condition)

    def compare(self, operator: str, value: ODataValue) -> ODataFilter:
        """Return the condition with a comparison operator that is given by name.

        Args:
            operator: one of eq, ne, gt, ge, lt, le, contains, startswith and endswith.
            value: the value to compare with.

        Raises:
            InvalidData: there is no such operator, or OData has no literal for the value.
        """
        text = literal(value, self.path)
        if operator in COMPARISONS:
            return ODataFilter(f"{self.path} {operator} {text}")
        if operator in TEXT_FUNCTIONS:
            return ODataFilter(f"{operator}({self.path},{text})")
        raise InvalidData(
            "The operator is not an OData operator.",
            field=self.path,
            remedy=f"Use one of {', '.join((*COMPARISONS, *TEXT_FUNCTIONS))}.",
        )

    def _lambda(
        self, operator: str, condition: Callable[[Callable[[str], ODataField]], ODataFilter]
    ) -> ODataFilter:
        variable, depth = f"e{self.depth}", self.depth + 1
        inner_condition = condition(
            lambda name: ODataField(f"{variable}/{checked_path(name, 'name')}", depth)
        )
        return ODataFilter(f"{self.path}/{operator}({variable}:{inner_condition.text})")


def odata_field(path: str) -> ODataField:
    """Return an OData property from which filter conditions are made.

    Args:
        path: the name of the property, or names separated by slashes, such as "Customer/Name".

    Raises:
        InvalidData: the path is not a path of names.
    """
    return ODataField(checked_path(path, "path"))
