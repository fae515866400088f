"""Declares, together with a call, the call that undoes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from moorage.errors import InvalidData


def _check_words(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value:
        raise InvalidData(
            f"The {attribute.name} must be a string that is not empty.",
            field=attribute.name,
            remedy="Give strings, such as Undo('payments', 'refund', [FromAnswer('ref')]).",
        )


def _arguments(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    kind = Mapping if attribute.name == "options" else Sequence
    if not isinstance(value, kind) or isinstance(value, (str, bytes)):
        raise InvalidData(
            f"{attribute.name} of Undo must be a {'dict' if kind is Mapping else 'list'}.",
            field=attribute.name,
            remedy="Write Undo('payments', 'refund', [FromAnswer('ref')]).",
        )


@attrs.frozen
class FromAnswer:
    """A placeholder for a part of the result of the call that is to be undone.

    Attributes:
        path: the name of the part, such as `ref`; dots lead to parts of parts.
    """

    path: str = attrs.field(validator=_check_words)

    def of(self, answer: object) -> Any:
        """Return the part of a result that this placeholder stands for.

        Raises:
            InvalidData: the result has no such part.
        """
        part: Any = answer
        for name in self.path.split("."):
            is_mapping = isinstance(part, Mapping)
            try:
                part = part[name] if is_mapping else getattr(part, name)
            except (AttributeError, KeyError):
                raise InvalidData(
                    f"The result has no {self.path[:80]!r}, which the call that undoes the"
                    " operation needs.",
                    field="undo",
                    remedy="Undo the operation by hand if necessary, and correct the path of"
                    " FromAnswer.",
                ) from None
        return part


@attrs.frozen
class Undo:
    """The call that undoes another call, if a later call of the same chain fails for good.

    Attributes:
        contract, verb: the operation, such as "payments" and "refund".
        values: the arguments by position; `FromAnswer("ref")` stands for a part of the other
            call's result.
        options: the arguments by name.
    """

    contract: str = attrs.field(validator=_check_words)
    verb: str = attrs.field(validator=_check_words)
    values: Sequence[Any] = attrs.field(default=(), validator=_arguments)
    options: Mapping[str, Any] = attrs.field(factory=dict, validator=_arguments)

    def arguments_of(self, answer: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the values and options of the undoing call, given the other call's result."""
        return (
            tuple(_fill_in(value, answer) for value in self.values),
            {name: _fill_in(value, answer) for name, value in self.options.items()},
        )


def _fill_in(value: Any, answer: object) -> Any:
    return value.of(answer) if isinstance(value, FromAnswer) else value
