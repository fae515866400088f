"""Operations that a connector offers by name, with JSON arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable


def _identity(value: Any) -> Any:
    return value


@attrs.frozen(kw_only=True)
class NamedOperation:
    """An operation that can be run by its name, for example from the command line.

    Attributes:
        name: the operation's name within the connector, such as "query".
        about: a sentence that describes the operation.
        arguments: the names of its arguments, with a description of each.
        required: the names of the arguments without which it cannot be run.
        any_arguments: whether the operation accepts further arguments, which only the foreign
            system knows.
        build: makes the operation from arguments of plain JSON: strings, numbers, booleans, None,
            lists and mappings. The function raises `InvalidData` for invalid arguments, and
            opens no connection.
        render: converts the result of the operation to plain JSON.
    """

    name: str
    about: str
    arguments: Mapping[str, str] = attrs.field(factory=dict[str, str])
    required: frozenset[str] = frozenset()
    any_arguments: bool = False
    build: Callable[[Mapping[str, Any]], Any]
    render: Callable[[Any], Any] = _identity

    def operation(self, arguments: Mapping[str, Any]) -> Any:
        """Return the operation with these arguments filled in.

        Raises:
            InvalidData: an argument is unknown, missing or wrong.
        """
        if not isinstance(arguments, Mapping):
            raise InvalidData(
                f"The arguments of the operation {self.name!r} are not an object.",
                field="arguments",
                remedy="Pass the arguments by name.",
            )
        names = ", ".join(self.arguments) or "none"
        for argument in arguments:
            if argument not in self.arguments and not self.any_arguments:
                raise InvalidData(
                    f"The operation {self.name!r} has no argument {argument!r}.",
                    field=argument,
                    remedy=f"Its arguments are: {names}.",
                )
        for argument in self.arguments:
            if argument in self.required and argument not in arguments:
                raise InvalidData(
                    f"The argument {argument!r} of the operation {self.name!r} is missing.",
                    field=argument,
                    remedy=f"Pass it: {self.arguments[argument]}",
                )
        try:
            return self.build(arguments)
        except RecursionError:
            problem = "contains itself, or is nested too deeply"
        except UnicodeError:
            problem = "contains a text that cannot be written, such as half of a surrogate pair"
        # Raised outside the handlers, because the exception's text may contain an argument.
        raise InvalidData(
            f"An argument of the operation {self.name!r} {problem}.",
            field="arguments",
            remedy="Pass JSON values only.",
        )
