"""Kinds of actions, and one action that a person performs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.dashboard.people import Group, Person
    from moorage.dashboard.reading import Reader

_LONGEST_REASON: Final = 500
_LONGEST_VALUE: Final = 600


@attrs.frozen(kw_only=True)
class ActContext:
    """One action that a person performs on the operations page, with the form's fields.

    Attributes:
        reader: reads the present state.
        person: the person.
        values: the fields of the act.
        reason: the person's reason.
        four_eyes: True if a second person must confirm how a payment is closed.
    """

    reader: Reader
    person: Person
    values: Mapping[str, str]
    reason: str
    four_eyes: bool

    def get(self, name: str) -> str | None:
        """Return a field's value; None if it is missing."""
        return self.values.get(name) or None

    def required_value(self, name: str) -> str:
        """Return a field's value; raise an error if it is missing.

        Raises:
            InvalidData: the field is missing.
        """
        value = self.values.get(name)
        if not value:
            raise InvalidData(
                f"The field {name} is missing.",
                field=name,
                remedy="Go back to the page and press the button there again.",
            )
        return value


def _keep_page(_: ActContext) -> None:
    """Return None: after the action, the person stays on the subject's page."""


@attrs.frozen(kw_only=True)
class Act:
    """A kind of action.

    Attributes:
        name: the action's name in URLs, and in the audit record of a denied action.
        group: returns the permission that the action requires, from the values of its fields.
        title: the question of its confirmation.
        button: the words of its button.
        fields: the names of its fields; others are ignored.
        asks: the field that the person fills in on the confirmation page, with a function that
            returns its label; None without such a field.
        needs_reason: True if a reason is required.
        explain: returns the text of the confirmation page.
        perform: performs the action, and returns the message of success.
        back: the page to return to, and the fields to pass to it.
        ends: returns the page to go to if the action has removed its subject, such as an unknown
            outcome; None if the subject still exists.
    """

    name: str
    group: Callable[[Mapping[str, str]], Group]
    title: str
    button: str
    fields: tuple[str, ...]
    asks: tuple[str, Callable[[ActContext], str]] | None = None
    needs_reason: bool = False
    explain: Callable[[ActContext], str]
    perform: Callable[[ActContext], str]
    back: tuple[str, tuple[str, ...]]
    ends: Callable[[ActContext], str | None] = _keep_page

    def values(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return the values of this action's fields.

        A value from a link is exact, with spaces at its ends; a typed value is stripped of them.

        Raises:
            InvalidData: a value is longer than any value that the pages send.
        """
        values = {name: form[name] for name in self.fields if form.get(name)}
        if self.asks and (typed_value := form.get(self.asks[0], "").strip()):
            values[self.asks[0]] = typed_value
        for name, value in values.items():
            if len(value) > _LONGEST_VALUE:
                raise InvalidData(
                    f"The field {name} is longer than {_LONGEST_VALUE} characters.",
                    field=name,
                    remedy="Enter a shorter text.",
                )
        return values


def checked_reason(act: Act, form: Mapping[str, str]) -> str:
    """Return the reason that a person entered in a form, after checking it.

    Raises:
        InvalidData: the action requires a reason and has none, or the reason is too long.
    """
    reason = form.get("reason", "").strip()
    if act.needs_reason and not reason:
        raise InvalidData(
            "The reason is missing.",
            field="reason",
            remedy="Enter why you do this; the audit trail records the reason.",
        )
    if len(reason) > _LONGEST_REASON:
        raise InvalidData(
            f"The reason is longer than {_LONGEST_REASON} characters.",
            field="reason",
            remedy="Enter a shorter reason.",
        )
    return reason


def always_permit(group: Group) -> Callable[[Mapping[str, str]], Group]:
    """Return a `group` function for actions that always need this permission."""
    return lambda _: group
