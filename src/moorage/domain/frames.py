"""What an error must not carry along: the frames that it was raised in, and all that stood there.

Error trackers and debug pages show the locals of every frame of a traceback, and those of whatever
an error came from. Below a port these are headers, URLs with their queries, bodies, connection
strings. None of it helps who called, so an error leaves a port without it.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable

E = TypeVar("E", bound=BaseException)
K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")


def bare(error: E) -> E:
    """Take the frames off an error, and off everything that it came from.

    Call it outside of the `except` that caught the error: what the host was handling before stays
    as it is, and so does what that came from.
    """
    host = sys.exception()
    bared: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or one is host or id(one) in bared:
            continue
        bared.add(id(one))
        one.__traceback__ = None
        left += [one.__cause__, one.__context__]
        left += getattr(one, "exceptions", ())  # of a group
    return error


def refusing(build: Callable[P, R]) -> Callable[P, R]:
    """A function that refuses what it is given, so that no frame of the refusal holds it."""

    @wraps(build)
    def careful(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return build(*args, **kwargs)
        except ConnectorError as error:
            refused = error
        del args, kwargs
        raise bare(refused)

    return careful


def careful(kind: type[K]) -> type[K]:
    """A class that is made so."""
    kind.__init__ = refusing(kind.__init__)  # type: ignore[method-assign]  # of the same form
    return kind


def named(error: BaseException) -> str:
    """The class of an error and where it was raised, and nothing that it says."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} in {trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno}"
