"""Key rings for encryption, and the key version in encrypted text."""

from __future__ import annotations

import pickle
import traceback
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.secrets.secret import Secret
from moorage.domain.state.sealing import KeyRing, header, no_key_error, sealed_with, sealing_context
from moorage.errors import ConfigurationError, InvalidData
from tests.support.frames import is_of_moorage

RAW = bytes(range(32))
OTHER = bytes(range(32, 64))
TEXT = b64encode(RAW).decode()
SECOND = b64encode(OTHER).decode()
NAMES = st.one_of(st.none(), st.text())


def test_the_first_key_is_the_newest() -> None:
    """A key ring's first key is the newest; the ring is written in the order it was read."""
    ring = KeyRing.parse(f" 2 : {SECOND},\n1:{TEXT}\n")

    assert ((2, Secret(OTHER)), (1, Secret(RAW))) == ring.keys
    assert 2 == ring.seals_with
    assert f"2:{SECOND},1:{TEXT}" == ring.text().reveal()
    assert ring == KeyRing.parse(ring.text())


def test_a_new_key_comes_first() -> None:
    """A new key of a key ring gets an unused version and comes first; a key can be removed."""
    ring = KeyRing.parse(f"2:{TEXT},7:{SECOND}")
    longer_ring = ring.with_new(Secret(RAW[::-1]))

    assert [8, 2, 7] == [version for version, _ in longer_ring.keys]
    assert Secret(RAW[::-1]) == longer_ring.keys[0][1]
    assert ring == longer_ring.without(8)
    assert 7 == ring.without(2).seals_with


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "The ring is empty"),
        (" \n", "The ring is empty"),
        (f"1:{TEXT}\udc80", "not valid Unicode"),
        (TEXT, "Key 1 of the ring does not begin with a version"),
        (f"1:{TEXT},", "Key 2 of the ring does not begin with a version"),
        (f"x:{TEXT}", "Key 1 of the ring does not begin with a version"),
        (f"-1:{TEXT}", "Key 1 of the ring does not begin with a version"),
        (f"01:{TEXT}", "Key 1 of the ring does not begin with a version"),
        (f"0:{TEXT}", "Key 1 of the ring does not begin with a version"),
        (f"4294967296:{TEXT}", "the version 4294967296, which is not from 1 to 4294967295"),
        (f"3:{TEXT[:-1]}", "The key of version 3 is not written in base64"),
        (f"3:{TEXT[:-4]}é{TEXT[-4:]}", "The key of version 3 is not written in base64"),
        (f"3:{TEXT[:8]}!{TEXT[8:]}", "The key of version 3 is not written in base64"),
        (f"3:4:{TEXT}", "The key of version 3 is not written in base64"),
        (f"3:{TEXT[:24]}", "The key of version 3 has 18 bytes, and needs 32"),
        ("5", "Key 1 of the ring does not begin with a version and a colon"),
        (f"1:{TEXT},5", "Key 2 of the ring does not begin with a version and a colon"),
        ("3:", "The key of version 3 has 0 bytes, and needs 32"),
        (f"1:{TEXT},1:{SECOND}", "Two keys of the ring have the version 1"),
    ],
)
def test_a_ring_that_cannot_be_used_is_refused(text: str, problem: str) -> None:
    """The error for an unusable key ring identifies the wrong key, and shows no key."""
    with pytest.raises(ConfigurationError) as excinfo:
        KeyRing.parse(text)

    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    moorage_locals = [frame.locals for frame in report.stack if is_of_moorage(frame.filename)]
    assert problem in str(excinfo.value)
    assert moorage_locals
    assert TEXT[:8] not in repr((moorage_locals, str(excinfo.value)))
    assert "\\x01\\x02\\x03" not in repr(moorage_locals)
    assert excinfo.value.__context__ is None


def test_a_ring_is_read_from_a_variable() -> None:
    """A key ring is read from the variable MOORAGE_KEYS, or from a variable of another name."""
    ring = KeyRing.parse(f"2:{SECOND},1:{TEXT}")

    assert ring == KeyRing.from_environment({"MOORAGE_KEYS": f"2:{SECOND},1:{TEXT}\n"})
    assert ring == KeyRing.from_environment({"ERP_KEYS": ring.text().reveal()}, "ERP_KEYS")


@pytest.mark.parametrize(
    "environment, problem",
    [
        ({}, "The environment variable MOORAGE_KEYS is not set"),
        ({"MOORAGE_KEYS": " "}, "The environment variable MOORAGE_KEYS is empty"),
        ({"MOORAGE_KEYS": f"1:{TEXT}\udc80"}, "The environment variable MOORAGE_KEYS is not valid"),
        ({"MOORAGE_KEYS": f"5,1:{TEXT}"}, "Key 1 of the ring does not begin with a version"),
        ({"MOORAGE_KEYS": f"3:{TEXT[:24]}"}, "The key of version 3 has 18 bytes, and needs 32"),
        ({"MOORAGE_KEYS": f"1:{TEXT},1:{SECOND}"}, "Two keys of the ring have the version 1"),
    ],
)
def test_a_variable_that_holds_no_ring_is_named(environment: dict[str, str], problem: str) -> None:
    """The error for a variable without a key ring contains the variable's name and no value."""
    environment = {**environment, "OTHER": "sk_live"}
    with pytest.raises(ConfigurationError) as excinfo:
        KeyRing.from_environment(environment)

    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    moorage_locals = [frame.locals for frame in report.stack if is_of_moorage(frame.filename)]
    assert excinfo.value.message.startswith("The environment variable MOORAGE_KEYS")
    assert "keys" == excinfo.value.path
    assert problem in str(excinfo.value)
    assert "sk_live" not in repr((moorage_locals, str(excinfo.value)))
    assert TEXT[:8] not in repr((moorage_locals, str(excinfo.value)))
    assert excinfo.value.__context__ is None


@pytest.mark.parametrize(
    "keys, problem",
    [
        ([], "no key"),
        ([("1", Secret(RAW))], "must be an integer"),
        ([(True, Secret(RAW))], "must be an integer"),
        ([(0, Secret(RAW))], "not from 1"),
        ([(1, RAW)], "is not a Secret"),
        ([(1, Secret(RAW[1:]))], "has 31 bytes"),
    ],
)
def test_key_ring_of_other_values_is_refused(keys: Any, problem: str) -> None:
    """A key ring of values that are not keys is refused."""
    with pytest.raises(ConfigurationError, match=problem):
        KeyRing(keys)


def test_lowest_and_highest_key_version_can_be_used() -> None:
    """The lowest and the highest key version can be used."""
    assert 2**32 - 1 == KeyRing([(2**32 - 1, Secret(RAW))]).seals_with
    assert 1 == KeyRing([(1, Secret(RAW))]).seals_with


def test_neither_repr_nor_pickle_reveals_key_of_ring() -> None:
    """Neither `repr` nor pickle reveals a key of the ring."""
    ring = KeyRing.parse(f"1:{TEXT}")

    assert "KeyRing(keys=((1, Secret('***')),))" == repr(ring)
    with pytest.raises(InvalidData):
        pickle.dumps(ring)


@given(st.tuples(NAMES, st.text(), st.text()), st.tuples(NAMES, st.text(), st.text()))
def test_contexts_are_encoded_unambiguously(
    one: tuple[str | None, str, str], other: tuple[str | None, str, str]
) -> None:
    """Different encryption contexts never have the same encoding."""
    assert (one == other) == (sealing_context(*one) == sealing_context(*other))


def test_different_names_never_give_equal_contexts() -> None:
    """Different names give different encryption contexts, even if their joined text is equal."""
    name_triples = [
        ("a", "bc", ""),
        ("ab", "c", ""),
        ("", "abc", ""),
        (None, "abc", ""),
        ("", "", "abc"),
    ]

    assert len(name_triples) == len({sealing_context(*name_triple) for name_triple in name_triples})


def test_header_of_encrypted_text_is_stable() -> None:
    """The header of encrypted text never changes between releases."""
    assert "6d726701" + "00000007" + "0224fa4c" == header(7, Secret(RAW)).hex()


WHOLE_HEADER = header(7, Secret(RAW)) + bytes(28)


def test_sealed_text_names_its_key() -> None:
    """The key version of encrypted text is read without any key."""
    assert 7 == sealed_with(WHOLE_HEADER)


@pytest.mark.parametrize(
    "sealed, problem",
    [
        (b"", "not sealed by moorage"),
        (b"mr", "not sealed by moorage"),
        (b"mrG" + WHOLE_HEADER[3:], "not sealed by moorage"),
        (b"mrg\x02" + WHOLE_HEADER[4:], "this release of moorage does not know"),
        (b"mrg", "it has 3 bytes"),
        (WHOLE_HEADER[:-1], "it has 39 bytes, but every sealed text has at least 40"),
    ],
)
def test_bytes_that_are_not_encrypted_are_refused(sealed: bytes, problem: str) -> None:
    """Bytes that are not encrypted text, or were cut off, have no key version."""
    with pytest.raises(InvalidData, match=problem):
        sealed_with(sealed)

    assert isinstance(no_key_error(sealed, (7,)), InvalidData)


def test_missing_key_differs_from_wrong_key() -> None:
    """A missing key version and a wrong key of the right version raise different errors."""
    missing_error, wrong_error = (
        no_key_error(WHOLE_HEADER, (9, 8)),
        no_key_error(WHOLE_HEADER, (8, 7)),
    )

    assert isinstance(missing_error, ConfigurationError)
    assert "version 7, which is not in the ring (9, 8)" in str(missing_error)
    assert isinstance(wrong_error, ConfigurationError)
    assert "differs from the key of this version in the ring" in str(wrong_error)
