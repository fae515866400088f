"""A secret's value is shown only on explicit request."""

from __future__ import annotations

import copy
import json
import pickle
import pprint
import traceback
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.secrets.secret import Secret
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = "sk_live_51H8x"


@attrs.frozen
class Holder:
    """An object that holds a secret."""

    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r:>40}".format,
        lambda secret: f"{secret:.3}",
        pprint.pformat,
        lambda secret: repr(Holder(secret)),
        lambda secret: repr(attrs.asdict(Holder(secret))),
        lambda secret: repr([getattr(secret, name) for name in dir(secret)]),
        lambda secret: json.dumps({"key": secret}, default=str),
        lambda secret: repr(secret.__getstate__()),
    ],
)
@pytest.mark.parametrize("value", [VALUE, VALUE.encode()])
def test_printing_does_not_show_the_secret(show: Callable[[Any], str], value: Any) -> None:
    """Printing, formatting and dumping a secret do not reveal its value."""
    assert VALUE not in show(Secret(value))


def test_traceback_with_locals_shows_only_the_mask() -> None:
    """A crash reporter that prints local variables shows only the secret's mask."""

    def use_secret(secret: Secret) -> None:
        raise LookupError

    with pytest.raises(LookupError) as excinfo:
        use_secret(Secret(VALUE))
    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    inner_frame = list(report.stack)[-1]
    assert {"secret": "Secret('***')"} == inner_frame.locals


@pytest.mark.parametrize("value", [VALUE + "\udc80", [VALUE], None])
def test_invalid_secret_is_refused_without_its_value(value: Any) -> None:
    """The error for an invalid secret names the field, and no traceback frame has the value."""
    with pytest.raises(InvalidData) as excinfo:
        Secret(value)
    assert "secret" == excinfo.value.field
    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    own_frames = [frame for frame in report.stack if frame.filename.endswith("secret.py")]
    assert own_frames
    assert VALUE not in repr([(frame.name, frame.locals) for frame in own_frames[1:]])
    assert excinfo.value.__context__ is None


def test_a_binary_secret_has_no_text() -> None:
    """Asking for the text of a secret that is not UTF-8 raises InvalidData, without the bytes."""
    secret = Secret(b"hidden\xff")
    with pytest.raises(InvalidData) as excinfo:
        secret.reveal()
    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    assert "hidden" not in repr([frame.locals for frame in list(report.stack)[1:]])
    assert b"hidden\xff" == secret.reveal_bytes()


@given(st.text(st.characters(codec="utf-8")))
def test_text_round_trip(text: str) -> None:
    """A secret made from text equals the secret made from the text's UTF-8 bytes."""
    assert text == Secret(text).reveal() == Secret(text.encode()).reveal()
    assert text.encode() == Secret(text).reveal_bytes()
    assert Secret(text) == Secret(text.encode())
    assert bool(text) == bool(Secret(text))


def test_equality_holds_between_secrets_only() -> None:
    """A secret equals an equal secret, and never the plain value."""
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_secret_is_not_hashable() -> None:
    """Hashing a secret is refused, so that no secret becomes a cache key."""
    with pytest.raises(TypeError):
        hash(Secret(VALUE))


def test_secret_cannot_be_serialised() -> None:
    """A secret cannot be pickled or written as JSON; a copy is the secret itself."""
    secret = Secret(VALUE)
    with pytest.raises(InvalidData) as excinfo:
        pickle.dumps(secret)
    assert "secret" == excinfo.value.field
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert secret is copy.copy(secret)
    assert secret is copy.deepcopy(Holder(secret)).secret


def test_secret_is_immutable() -> None:
    """A secret's attributes can be neither set, added nor deleted."""
    secret = Secret(VALUE)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        secret.value = "x"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        delattr(secret, "_open")
    with pytest.raises(TypeError):
        vars(secret)


def test_derived_keys_are_cached() -> None:
    """A secret computes a derived key once for each label, and that key is a secret, too."""
    secret, chunks = Secret("k"), list[bytes]()

    def make_chunk(value: bytes) -> bytes:
        chunks.append(value)
        return value + str(len(chunks)).encode()

    first = secret.derive("today", make_chunk)
    assert first is secret.derive("today", make_chunk)
    assert (b"k1", [b"k"]) == (first.reveal_bytes(), chunks)
    assert "k1" not in repr(secret)
    for day in range(40):
        secret.derive(str(day), make_chunk)
    assert b"k42" == secret.derive("today", make_chunk).reveal_bytes()


def test_derived_key_cache_is_bounded() -> None:
    """A secret caches sixteen derived keys; the seventeenth clears the cache."""
    secret, chunks = Secret("k"), list[bytes]()

    def make_chunk(value: bytes) -> bytes:
        chunks.append(value)
        return value

    for day in (*range(16), *range(16)):
        secret.derive(str(day), make_chunk)
    assert 16 == len(chunks)
    for day in (16, 16, 15):
        secret.derive(str(day), make_chunk)
    assert 18 == len(chunks)
