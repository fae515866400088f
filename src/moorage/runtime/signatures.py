"""Shares signatures and docstrings between synchronous and asynchronous classes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

F = TypeVar("F", bound="Callable[..., Any]")
K = TypeVar("K", bound=type)

_ARGUMENTS: Final = "\nArgs:\n"


def with_keywords(options: type, defaults: Mapping[str, Any]) -> Callable[[F], F]:
    """Show each key of `options` in the signature of a function that ends in `**options`.

    Type checkers read `Unpack[Options]`; this is for `help()` and `inspect.signature`.

    Args:
        options: the class whose annotations describe the keyword arguments.
        defaults: the default of each key, in the order in which to show them.
    """

    def with_signature(function: F) -> F:
        signature = inspect.signature(function)
        *first_parameters, _ = signature.parameters.values()
        annotations = {
            name: annotation
            for kind in reversed(options.__mro__)
            for name, annotation in inspect.get_annotations(kind).items()
        }
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=annotations[name],
            )
            for name, default in defaults.items()
        ]
        function.__dict__["__signature__"] = signature.replace(
            parameters=[*first_parameters, *keywords]
        )
        return function

    return with_signature


def with_arguments_of(twin: type) -> Callable[[K], K]:
    """Copy the documentation of arguments from a synchronous class to its asynchronous version."""

    def add_docstring(kind: K) -> K:
        _, heading, arguments = (inspect.getdoc(twin) or "").partition(_ARGUMENTS)
        kind.__doc__ = f"{inspect.getdoc(kind)}\n{heading}{arguments}"
        return kind

    return add_docstring
