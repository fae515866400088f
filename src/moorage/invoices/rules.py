"""Business rules as data: each has an identifier, a search for violations, and a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.validators import is_tuple
from moorage.errors import InvalidData
from moorage.invoices.amounts import decimals

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from moorage.invoices.values import Invoice, Party

_MOST_SHOWN: Final = 20
Search: TypeAlias = "Callable[[Invoice], Iterable[str]]"
"""A function that finds the fields which violate a rule."""

Scope: TypeAlias = "Callable[[Invoice], Iterable[tuple[str, Any]]]"
"""A function that finds the values which a rule is about, each with its path."""


@attrs.frozen
class Violation:
    """The violation of a business rule by an invoice.

    Attributes:
        rule: identifier of the rule, such as 'BR-CO-15'.
        field: path of the field, such as 'lines[0].quantity'.
        problem: a sentence that says what is wrong.
        remedy: a sentence that says what to do.
        fatal: False if the rule only recommends something, so that `check` accepts the invoice.
    """

    rule: str
    field: str
    problem: str
    remedy: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.rule} ({self.field}): {self.problem} {self.remedy}"


@attrs.frozen
class Rule:
    """A business rule, as data.

    Attributes:
        id: identifier of the rule, such as 'BR-CO-15'.
        search: function that finds the fields that violate the rule.
        problem: a sentence that says what is wrong in a violation.
        remedy: a sentence that says what to do.
        fatal: False if the rule only recommends something.
    """

    id: str
    search: Search = attrs.field(repr=False)
    problem: str
    remedy: str
    fatal: bool = attrs.field(default=True, kw_only=True)

    def violations(self, invoice: Invoice) -> Iterator[Violation]:
        """Yield a violation for each field that violates the rule."""
        for field in self.search(invoice):
            yield Violation(self.id, field, self.problem, self.remedy, self.fatal)


def raise_violations(violations: Iterable[Violation], problem: str, function: str) -> None:
    """Raise an error if there are violations; its `field` is the first violation's.

    Args:
        violations: the violations.
        problem: beginning of the message, such as "The invoice violates rules of FA(3)".
        function: name of the function that returns the violations as values.

    Raises:
        InvalidData: there are violations; the message names the first twenty.
    """
    problems = tuple(violations)
    if problems:
        problem_list = "; ".join(map(str, problems[:_MOST_SHOWN]))
        remainder_text = (
            f"; and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
        )
        raise InvalidData(
            f"{problem}: {problem_list}{remainder_text}",
            field=problems[0].field,
            remedy=f"Correct the fields; `{function}` returns the violations as values.",
        )


def invoice_search(field: str, holds: Callable[[Invoice], bool]) -> Search:
    """Return a search that tests the whole invoice, and reports `field` if the test fails."""
    return lambda invoice: () if holds(invoice) else (field,)


def value_search(scope: Scope, field: str, holds: Callable[[Any], bool]) -> Search:
    """Return a search that tests each value in a scope, and reports `field` of values that fail."""
    return lambda invoice: (
        ".".join(filter(None, (path, field))) for path, value in scope(invoice) if not holds(value)
    )


def has_two_decimals(field: str) -> Callable[[Any], bool]:
    """Return the condition that a field is None or has at most two decimals."""

    def is_met(value: Any) -> bool:
        number = getattr(value, field)
        return number is None or decimals(number) <= 2

    return is_met


def is_present(field: str) -> Callable[[Any], bool]:
    """Return the condition that this field of the value is set."""
    return lambda value: getattr(value, field) is not None


def is_code(field: str, codes: Container[str]) -> Callable[[Any], bool]:
    """Return the condition that the field is None or one of the codes."""

    def is_met(value: Any) -> bool:
        code = getattr(value, field)
        return code is None or code in codes

    return is_met


def scheme_of(field: str, codes: Container[str]) -> Callable[[Any], bool]:
    """Return the condition that a field's identifier has no scheme, or one of the given schemes."""

    def is_met(value: Any) -> bool:
        identifier = getattr(value, field)
        return identifier is None or identifier.scheme is None or identifier.scheme in codes

    return is_met


def lines(invoice: Invoice) -> Iterator[tuple[str, Any]]:
    """Yield each line of an invoice, with its path."""
    return _numbered_paths("lines", invoice.lines)


def allowances(invoice: Invoice) -> Iterator[tuple[str, Any]]:
    """Yield each allowance of the whole invoice, with its path."""
    return _numbered_paths("allowances", invoice.allowances)


def charges(invoice: Invoice) -> Iterator[tuple[str, Any]]:
    """Yield each charge of the whole invoice, with its path."""
    return _numbered_paths("charges", invoice.charges)


def breakdown_parts(invoice: Invoice) -> Iterator[tuple[str, Any]]:
    """Yield each part of the stated VAT breakdown, with its path."""
    totals = invoice.stated_totals
    return _numbered_paths("stated_totals.breakdown", () if totals is None else totals.breakdown)


def totals(invoice: Invoice) -> Iterator[tuple[str, Any]]:
    """Yield the stated totals of an invoice, with their path."""
    if invoice.stated_totals is not None:
        yield "stated_totals", invoice.stated_totals


def of_lines(field: str) -> Scope:
    """Return a scope that yields, for all invoice lines, the values in one tuple field."""

    def values(invoice: Invoice) -> Iterator[tuple[str, Any]]:
        for path, line in lines(invoice):
            yield from _numbered_paths(f"{path}.{field}", getattr(line, field))

    return values


def scope_of(field: str) -> Scope:
    """Return a scope that yields the value at a path such as 'seller.address' if it is set."""

    def values(invoice: Invoice) -> Iterator[tuple[str, Any]]:
        value: Any = invoice
        for name in field.split("."):
            value = getattr(value, name)
            if value is None:
                return
        if is_tuple(value):
            yield from _numbered_paths(field, value)
        else:
            yield field, value

    return values


def join_scopes(*scopes: Scope) -> Scope:
    """Return a scope that yields the values of several scopes."""
    return lambda invoice: (pair for scope in scopes for pair in scope(invoice))


def parties(invoice: Invoice) -> Iterator[tuple[str, Party]]:
    """Yield each party of the invoice, with its path."""
    for name in ("seller", "buyer", "payee", "tax_representative"):
        party = getattr(invoice, name)
        if party is not None:
            yield name, party


def _numbered_paths(path: str, values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{path}[{number}]", value) for number, value in enumerate(values))


def required_field(rule: str, scope: Scope, field: str, noun: str) -> Rule:
    """Return the rule that each value in a scope must have a field."""
    return Rule(
        rule,
        value_search(scope, field, is_present(field)),
        f"The {noun} is missing.",
        f"Give the {noun}.",
    )
