"""Tables that describe the methods of a connector that can be run by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.connectors.named_operation import NamedOperation
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _identity(value: Any) -> Any:
    return value


@attrs.frozen(kw_only=True)
class OperationForm:
    """The description of a connector's method that makes an operation.

    Attributes:
        about: a sentence that describes the operation.
        required: the arguments without which it cannot be made, with a description of each.
        optional: the other arguments, with a description of each.
        positional: the names of the method's positional-only arguments.
        render: converts the result of the operation to plain JSON.
    """

    about: str
    required: Mapping[str, str] = attrs.field(factory=dict[str, str])
    optional: Mapping[str, str] = attrs.field(factory=dict[str, str])
    positional: tuple[str, ...] = ()
    render: Callable[[Any], Any] = _identity


def operations_of(
    connector: Any, forms: Mapping[str, OperationForm], convert: Callable[[str, Any], Any]
) -> Mapping[str, NamedOperation]:
    """Return the operations of a connector, by the names of its methods.

    Args:
        connector: the connector, with a method for each form.
        forms: the forms of the methods, by name.
        convert: converts an argument of plain JSON, by its name, to what the methods accept; it
            raises `InvalidData` for a wrong argument.
    """

    def build_operation(name: str, form: OperationForm, arguments: Mapping[str, Any]) -> Any:
        values = {argument: convert(argument, value) for argument, value in arguments.items()}
        positional = [values.pop(argument) for argument in form.positional if argument in values]
        return getattr(connector, name)(*positional, **values)

    return {
        name: NamedOperation(
            name=name,
            about=form.about,
            arguments={**form.required, **form.optional},
            required=frozenset(form.required),
            build=partial(build_operation, name, form),
            render=form.render,
        )
        for name, form in forms.items()
    }


def wrong_argument_error(name: str, words: str) -> InvalidData:
    """Return the error for an argument of another type than its operation accepts.

    Args:
        name: the name of the argument.
        words: the expected kind of value, such as "a number".
    """
    return InvalidData(
        f"The argument {name!r} has the wrong form.", field=name, remedy=f"Pass {words}."
    )


def check_type(name: str, value: Any, types: Mapping[str, tuple[type[Any], str]]) -> None:
    """Refuse an argument that does not have the type that the table `types` states for its name.

    Args:
        name: the name of the argument.
        value: its value.
        types: the type of each argument, and its description in words; arguments that are not
            in the
            table may have any type.
    """
    kind, words = types.get(name, (None, ""))
    if kind is not None and type(value) is not kind:
        raise wrong_argument_error(name, words)
