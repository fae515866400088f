"""What an error does not carry along."""

from __future__ import annotations

import asyncio
import json
import traceback
from contextlib import suppress
from typing import TypeVar

import attrs
import pytest

from moorage.domain.frames import bare, careful, named, refusing
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


def test_unknown_and_missing_arguments_are_in_no_frame() -> None:
    """The guard itself keeps nothing of what it was called with, whatever kind of error it is."""

    @refusing
    def build(name: str, *, password: str) -> str:
        return name + password

    for args, given in [
        ((), {"api_key": HIDDEN}),
        ((HIDDEN,) * 2, {}),
        ((1,), {"password": HIDDEN}),
    ]:
        with pytest.raises(TypeError) as caught:
            build(*args, **given)  # type: ignore[arg-type]  # that is what is wrong
        frames = [frame for frame, _ in traceback.walk_tb(caught.tb)][1:]
        assert [["build"]] == [[*frame.f_locals] for frame in frames]
        assert "build" in caught.value.__notes__[0] or "careful" in caught.value.__notes__[0]


def test_errors_that_keep_their_value_become_ours() -> None:
    """Errors of Python that hold what they are about are `InvalidData`, and no cause is kept."""

    @refusing
    def build(value: object) -> object:
        try:
            return json.loads(value)  # type: ignore[arg-type]  # as given
        except ValueError as error:
            if value == "{own":
                raise InvalidData("no.", field="value", remedy="Give another.") from error
            raise

    for given in ("{own", "{h1dden-h1dden-h1dden"):
        with pytest.raises(InvalidData) as caught:
            build(given)
        assert (None, None) == (caught.value.__cause__, caught.value.__context__)
        assert HIDDEN not in str(caught.value)


def test_an_asynchronous_function_is_guarded_alike() -> None:
    """What an asynchronous function refuses is as silent as the refusal of a synchronous one."""

    @refusing
    async def build(value: str, *, password: str = "") -> str:
        if value == "open":
            return value
        raise InvalidData(f"no {value} {password}", field="value", remedy="Give another.")

    assert "open" == asyncio.run(build("open"))
    with pytest.raises(InvalidData) as caught:
        asyncio.run(build("shut", password="H1dden-word"))
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)]
    guard = [frame for frame in frames if frame.f_code.co_name == "later"]
    assert [["build"]] == [[*frame.f_locals] for frame in guard]
    assert frames[-1] is guard[0]
    assert "no shut ***" == caught.value.message


def test_an_error_that_was_never_raised_has_a_name() -> None:
    """Without a traceback only the class is told."""
    assert "KeyError" == named(KeyError(HIDDEN))


def test_what_was_swapped_is_not_quoted() -> None:
    """What looks like a key, or was given for one, is masked in what is said; names are not."""

    @refusing
    def build(name: object, *, password: object = None, **others: object) -> None:
        cause = InvalidData(f"{name!r} {password!r} {others!r}", field="a", remedy="Swap them.")
        cause.__cause__ = cause
        raise cause

    key, word, url = "9k3Jx81hQz5pw", "H1dden", "redis://me:h1dden@host/1"
    told = {}
    for given in (key, key.encode(), [key], {"a": {key: 1}}, ("${" + key + "}"), word, url):
        with pytest.raises(InvalidData) as caught:
            build(given)
        told[str(given)] = key in str(caught.value) or "h1dden" in str(caught.value)
    assert [False] * 4 == list(told.values())[:4]
    assert told["${" + key + "}"]
    assert not told[url]
    named: list[dict[str, object]] = [{"password": word}, {"password": [word]}, {"unheard": word}]
    for options in named:
        with pytest.raises(InvalidData) as caught:
            build("main", **options)
        assert word not in str(caught.value)
        assert "'main'" in str(caught.value)


def test_the_hosts_own_error_is_left_alone() -> None:
    """What the host was handling stays the context of a refusal, and is not masked."""

    @refusing
    def build(key: str) -> None:
        raise InvalidData("no.", field="value", remedy="Give another.")

    host = ValueError(HIDDEN)
    try:
        raise host
    except ValueError:
        with pytest.raises(InvalidData) as caught:
            build(HIDDEN)
    assert host is caught.value.__context__
    assert (HIDDEN,) == host.args
