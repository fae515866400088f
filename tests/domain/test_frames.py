"""What an error does not carry along."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import TypeVar

import attrs
import pytest

from moorage.domain.frames import bare, careful
from moorage.errors import InvalidData

HIDDEN = "h1dden"
E = TypeVar("E", bound=BaseException)


def raised(error: E) -> E:
    """The same error, with a frame."""
    with suppress(type(error)):
        raise error
    return error


def test_nothing_that_an_error_came_from_has_frames() -> None:
    """Causes, contexts and the members of groups lose their frames, in whatever circle they are."""
    error, cause, context, below, member = (raised(ValueError(name)) for name in "abcde")
    group = raised(ExceptionGroup("several", [member, raised(KeyError())]))
    error.__cause__, error.__context__ = group, context
    group.__cause__ = cause
    context.__context__ = below
    member.__context__ = error
    whole = [error, cause, context, below, group, *group.exceptions]
    assert None not in [one.__traceback__ for one in whole]

    assert error is bare(error)
    assert {None} == {one.__traceback__ for one in whole}


def test_a_cause_without_a_context_is_looked_at() -> None:
    """Where there is only one of them, it counts."""
    error, cause = raised(ValueError()), raised(KeyError())
    error.__cause__ = cause
    bare(error)
    assert cause.__traceback__ is None


def test_what_the_host_was_handling_keeps_its_frames() -> None:
    """Neither that nor what it came from is touched."""
    host, cause = ValueError(), raised(KeyError())
    host.__cause__ = cause
    try:
        raise host
    except ValueError:
        error = bare(raised(LookupError()))
    assert host is error.__context__
    assert None not in [host.__traceback__, cause.__traceback__]
    assert error.__traceback__ is None


def test_a_class_refuses_without_its_frames() -> None:
    """What a careful class refuses is in no frame that the error has, and it makes all else."""

    @careful
    @attrs.frozen
    class Careful:
        value: str

        def __attrs_post_init__(self) -> None:
            if self.value == HIDDEN:
                raise InvalidData("no.", field="value", remedy="Give another.")

    assert "open" == Careful("open").value
    given = [HIDDEN]
    with pytest.raises(InvalidData) as caught:
        Careful(given.pop())
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)][1:]
    assert ["careful"] == [frame.f_code.co_name for frame in frames]
    assert HIDDEN not in repr([frame.f_locals for frame in frames])
