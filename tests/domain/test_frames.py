"""Removal of traceback frames from errors, because the frames could hold secrets."""

from __future__ import annotations

import asyncio
import json
import traceback
from contextlib import suppress
from typing import TypeVar

import attrs
import pytest

from moorage.domain.secrets.frames import (
    error_name,
    with_careful_constructor,
    without_arguments_in_errors,
    without_frames,
)
from moorage.errors import InvalidData

HIDDEN = "h1dden"
E = TypeVar("E", bound=BaseException)


def raised_error(error: E) -> E:
    """Return the same error with a traceback frame."""
    with suppress(type(error)):
        raise error
    return error


def test_causes_contexts_and_groups_lose_their_frames() -> None:
    """Causes, contexts and grouped errors lose their traceback frames, even in a cycle."""
    error, cause, context, lower_error, member = (
        raised_error(ValueError(name)) for name in "abcde"
    )
    group = raised_error(ExceptionGroup("several", [member, raised_error(KeyError())]))
    error.__cause__, error.__context__ = group, context
    group.__cause__ = cause
    context.__context__ = lower_error
    member.__context__ = error
    whole_errors = [error, cause, context, lower_error, group, *group.exceptions]
    assert None not in [item.__traceback__ for item in whole_errors]

    assert error is without_frames(error)
    assert {None} == {item.__traceback__ for item in whole_errors}


def test_cause_without_context_loses_its_frames() -> None:
    """An error's cause loses its traceback frames even if there is no context."""
    error, cause = raised_error(ValueError()), raised_error(KeyError())
    error.__cause__ = cause
    without_frames(error)
    assert cause.__traceback__ is None


def test_host_errors_keep_their_frames() -> None:
    """An error that the caller was already handling keeps its traceback frames, with its cause."""
    host, cause = ValueError(), raised_error(KeyError())
    host.__cause__ = cause
    try:
        raise host
    except ValueError:
        error = without_frames(raised_error(LookupError()))
    assert host is error.__context__
    assert None not in [host.__traceback__, cause.__traceback__]
    assert error.__traceback__ is None


def test_guarded_class_leaves_no_frames() -> None:
    """If a guarded class refuses a value, the traceback of the error does not hold the value."""

    @with_careful_constructor
    @attrs.frozen
    class ValidatedValue:
        value: str

        def __attrs_post_init__(self) -> None:
            if self.value == HIDDEN:
                raise InvalidData("no.", field="value", remedy="Give another.")

    assert "open" == ValidatedValue("open").value
    options = [HIDDEN]
    with pytest.raises(InvalidData) as excinfo:
        ValidatedValue(options.pop())
    frames = [frame for frame, _ in traceback.walk_tb(excinfo.tb)][1:]
    assert ["careful_build"] == [frame.f_code.co_name for frame in frames]
    assert HIDDEN not in repr([frame.f_locals for frame in frames])


def test_unknown_and_missing_arguments_are_in_no_frame() -> None:
    """If a guarded function gets wrong arguments, the error's traceback does not hold them."""

    @without_arguments_in_errors
    def build(name: str, *, password: str) -> str:
        return name + password

    for args, options in [
        ((), {"api_key": HIDDEN}),
        ((HIDDEN,) * 2, {}),
    ]:
        with pytest.raises(TypeError) as excinfo:
            build(*args, **options)
        frames = [frame for frame, _ in traceback.walk_tb(excinfo.tb)][1:]
        assert [["build"]] == [[*frame.f_locals] for frame in frames]
        assert (
            "build" in excinfo.value.__notes__[0] or "careful_build" in excinfo.value.__notes__[0]
        )


def test_errors_that_hold_their_value_become_invalid_data() -> None:
    """If a Python error contains the refused value, InvalidData without a cause replaces it."""

    @without_arguments_in_errors
    def build(value: object) -> object:
        try:
            return json.loads(value)  # type: ignore[arg-type]  # as given
        except ValueError as error:
            if value == "{own":
                raise InvalidData("no.", field="value", remedy="Give another.") from error
            raise

    for options in ("{own", "{h1dden-h1dden-h1dden"):
        with pytest.raises(InvalidData) as excinfo:
            build(options)
        assert (None, None) == (excinfo.value.__cause__, excinfo.value.__context__)
        assert HIDDEN not in str(excinfo.value)


def test_guarded_asynchronous_function_error_hides_values_like_synchronous_one() -> None:
    """A guarded asynchronous function's error hides values like a synchronous one's."""

    @without_arguments_in_errors
    async def build(value: str, *, password: str = "") -> str:
        if value == "open":
            return value
        raise InvalidData(f"no {value} {password}", field="value", remedy="Give another.")

    assert "open" == asyncio.run(build("open"))
    with pytest.raises(InvalidData) as excinfo:
        asyncio.run(build("shut", password="H1dden-word"))
    frames = [frame for frame, _ in traceback.walk_tb(excinfo.tb)]
    guard = [frame for frame in frames if frame.f_code.co_name == "scrub_async"]
    assert [["build"]] == [[*frame.f_locals] for frame in guard]
    assert frames[-1] is guard[0]
    assert "no shut ***" == excinfo.value.message


def test_unraised_error_is_named_by_its_class() -> None:
    """An error that was never raised is described by its class alone."""
    assert "KeyError" == error_name(KeyError(HIDDEN))


def test_secret_passed_for_another_value_is_masked() -> None:
    """A value that looks like a secret key, or was passed as one, is masked in error messages."""

    @without_arguments_in_errors
    def build(name: object, *, password: object = None, **others: object) -> None:
        cause = InvalidData(f"{name!r} {password!r} {others!r}", field="a", remedy="Swap them.")
        cause.__cause__ = cause
        raise cause

    key, word, url = "9k3Jx81hQz5pw", "H1dden", "redis://me:h1dden@host/1"
    fields = {}
    for settings in (key, key.encode(), [key], {"a": {key: 1}}, ("${" + key + "}"), word, url):
        with pytest.raises(InvalidData) as excinfo:
            build(settings)
        fields[str(settings)] = key in str(excinfo.value) or "h1dden" in str(excinfo.value)
    assert [False] * 4 == list(fields.values())[:4]
    assert fields["${" + key + "}"]
    assert not fields[url]
    secret_options: list[dict[str, object]] = [
        {"password": word},
        {"password": [word]},
        {"unheard": word},
    ]
    for options in secret_options:
        with pytest.raises(InvalidData) as excinfo:
            build("main", **options)
        assert word not in str(excinfo.value)
        assert "'main'" in str(excinfo.value)


def test_host_error_stays_the_context() -> None:
    """The error that the caller was already handling stays the context, unmasked."""

    @without_arguments_in_errors
    def build(key: str) -> None:
        raise InvalidData("no.", field="value", remedy="Give another.")

    host = ValueError(HIDDEN)
    try:
        raise host
    except ValueError:
        with pytest.raises(InvalidData) as excinfo:
            build(HIDDEN)
    assert host is excinfo.value.__context__
    assert (HIDDEN,) == host.args
