"""Closes several resources, each of them even if closing another one fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable


def close_all_sync(closers: Iterable[Callable[[], object]]) -> None:
    """Call all functions, and then raise the first error or interruption of them, if any.

    An interruption, such as Ctrl-C, is raised rather than an error.
    """
    errors: list[BaseException] = []
    for close in closers:
        try:
            close()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)
    _raise_first(errors)


async def close_all_async(closers: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Call and await all functions, and then raise the first error or cancellation, if any.

    A cancellation is raised rather than an error.
    """
    errors: list[BaseException] = []
    for close in closers:
        try:
            await close()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)
    _raise_first(errors)


def _raise_first(errors: list[BaseException]) -> None:
    if errors:
        raise min(errors, key=lambda error: isinstance(error, Exception))
