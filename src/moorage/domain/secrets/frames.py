"""Traceback scrubbing: errors without stack frames, because variables there may be secret.

Error trackers and debug pages show the local variables of every frame of a traceback, and of every
error in its chain. Below a port these variables are headers, URLs with queries, bodies and
connection strings. They do not help the caller, so an error leaves a port without its frames.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import wraps
from inspect import iscoroutinefunction, signature
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from moorage.domain.secrets.sensitive import is_sensitive
from moorage.domain.secrets.value_mask import is_distinctive, mask_error, value_mask
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

E = TypeVar("E", bound=BaseException)
K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")

_MOST_LEVELS: Final = 4
_KEY_LIKE_TEXT: Final = late_pattern(r"[^0-9A-Z]*[0-9A-Z].*", re.DOTALL)
"""A pattern for texts that may be secrets, and are not only words."""

_OPAQUE_TEXT: Final = late_pattern(r"(?=[^/.:]*[0-9])(?=[^/.:]*[A-Za-z])\S{12,}")
"""A pattern for texts that are more likely keys than names."""

_PASSWORD: Final = late_pattern(r"(?<=://)[^/?#]*(?=@)")


def without_frames(error: E) -> E:
    """Remove the stack frames from an error and its whole chain, and return the error.

    Call it outside of the `except` block that caught the error: then an error that the host was
    already handling keeps its frames.
    """
    host = sys.exception()
    seen_ids: set[int] = set()
    remaining_errors: list[BaseException | None] = [error]
    while remaining_errors:
        current_error = remaining_errors.pop()
        if current_error is None or current_error is host or id(current_error) in seen_ids:
            continue
        seen_ids.add(id(current_error))
        current_error.__traceback__ = None
        remaining_errors += [current_error.__cause__, current_error.__context__]
        remaining_errors += getattr(current_error, "exceptions", ())  # true for an exception group
    return error


def without_arguments_in_errors(build: Callable[P, R]) -> Callable[P, R]:
    """Return the function changed so that its errors do not reveal its secret arguments.

    Neither the frames of an error nor its causes hold an argument. Text in its message is masked if
    it looks like a secret, or was passed under a name that suggests a secret, since arguments may
    be swapped. Python errors about a value become `InvalidData`; a `TypeError` stays one only if
    an argument is missing or unknown.
    """
    if iscoroutinefunction(build):

        @wraps(build)
        async def scrub_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                return await build(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - as below
                refusal = error
            refusal = _scrubbed_error(refusal, build, args, kwargs)
            del args, kwargs
            try:
                raise refusal
            finally:
                # The frame must not refer to the error, as described below.
                del refusal

        return cast("Callable[P, R]", scrub_async)

    @wraps(build)
    def careful_build(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return build(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - unknown and missing arguments are refused too
            refused_error = error
        refused_error = _scrubbed_error(refused_error, build, args, kwargs)
        del args, kwargs
        try:
            raise refused_error
        finally:
            # Otherwise the traceback refers to this frame and the frame to the error: a cycle.
            del refused_error

    return careful_build


def with_careful_constructor(kind: type[K]) -> type[K]:
    """Return the class changed so that its constructor's errors reveal no secret arguments."""
    kind.__init__ = without_arguments_in_errors(kind.__init__)  # type: ignore[method-assign]  # of the same form
    return kind


def _scrubbed_error(
    error: Exception, build: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Exception:
    """Return an error without stack frames and without the function's secret arguments."""
    if isinstance(error, (ArithmeticError, AttributeError, LookupError, ValueError)) or (
        isinstance(error, TypeError) and _accepts_arguments(build, args, kwargs, error)
    ):
        error = InvalidData(
            f"{build.__qualname__.removesuffix('.__init__')} received an invalid value"
            f" ({error_name(error)}).",
            field="arguments",
            remedy="Check the types of the arguments, and that no two arguments are swapped.",
        )
    elif not isinstance(error, ConnectorError):
        error.add_note(f"moorage: {error_name(error)}.")
    hidden_bytes = {
        value.encode("utf-8", "replace") for value in _secret_texts(build, args, kwargs)
    }
    mask = value_mask(hidden_bytes)
    host = sys.exception()
    pending_errors: list[BaseException] = [without_frames(error)]
    visited_ids: set[int] = set()
    while pending_errors:
        pending_error = pending_errors.pop()
        visited_ids.add(id(pending_error))
        mask_error(pending_error, mask)
        for link in ("__cause__", "__context__"):
            linked_error = getattr(pending_error, link)
            if isinstance(linked_error, ConnectorError) and linked_error is not host:
                pending_errors += [linked_error] * (id(linked_error) not in visited_ids)
            elif linked_error is not host:
                # The error of a parser, for example, contains the whole document.
                setattr(pending_error, link, None)
    return error


def _accepts_arguments(
    build: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], error: TypeError
) -> bool:
    """Return whether all arguments are present and known, so that one has a wrong value.

    For a function that passes on arguments of any name, unknown arguments cannot be recognised.
    """
    expected = signature(build)
    if any(item.kind is item.VAR_KEYWORD for item in expected.parameters.values()):
        return " argument" not in str(error)
    try:
        expected.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _secret_texts(
    build: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the texts among a function's arguments that are secret or look secret."""
    names = [*signature(build).parameters]
    arguments = [*zip_longest(names[: len(args)], args, fillvalue=""), *kwargs.items()]
    pending_arguments: list[tuple[bool, object, int]] = [
        (is_sensitive(name) or name not in names, value, 0) for name, value in arguments
    ]
    while pending_arguments:
        is_sensitive_value, value, depth = pending_arguments.pop()
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if isinstance(value, str):
            text = value.strip()
            pattern = _KEY_LIKE_TEXT if is_sensitive_value else _OPAQUE_TEXT
            if is_distinctive(text) and "${" not in text and pattern.fullmatch(text):
                yield text
            yield from _PASSWORD.findall(text)
        elif depth < _MOST_LEVELS and isinstance(value, Mapping):
            items = cast("Mapping[object, Any]", value)
            pending_arguments += [(False, name, depth + 1) for name in items]
            pending_arguments += [
                (is_sensitive_value or is_sensitive(str(name)), item, depth + 1)
                for name, item in items.items()
            ]
        elif depth < _MOST_LEVELS and isinstance(value, (list, tuple, set, frozenset)):
            pending_arguments += [
                (is_sensitive_value, item, depth + 1) for item in cast("Iterable[Any]", value)
            ]


def error_name(error: BaseException) -> str:
    """Return the class of an error and the place where it was raised, without its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} in {trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno}"
