"""Credentials packed into bytes and read back."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.auth.credential_codec import (
    AnyCredentials,
    fingerprint_of,
    pack_credentials,
    unpack_credentials,
)
from moorage.domain.auth.methods import AuthMethod, Credentials, OAuthCredentials
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.hmac_signing import HmacAlgorithm, HmacSigning
from moorage.domain.signing.jwt import JwtSigning
from moorage.domain.signing.message import MessageSignature
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.domain.state.packing import pack_values
from moorage.errors import InvalidData
from tests.support.proofs import proof_key

TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
AWS = AwsSigV4(access_key_id="AKID", region="eu", service="s3", session_token=Secret("temporary"))
EXAMPLE_SIGNING = HmacSigning(
    signs="{method}{body}",
    headers={"X-Signature": "{signature}"},
    query={"key": "{key_id}"},
    key_id="me",
    algorithm=HmacAlgorithm.SHA512,
)
TOKEN = JwtSigning(
    algorithm="HS256",
    issuer="us",
    lifetime=timedelta(seconds=90, microseconds=1),
    claims={"roles": ["a", {"b": None}], "level": 1.5, "on": True},
)
MESSAGE = MessageSignature(components=("date",), key_id="me", algorithm="hmac-sha256")
ANY_CREDENTIALS: st.SearchStrategy[AnyCredentials] = st.one_of(
    st.just(Credentials.none()),
    st.just(Credentials.mtls()),
    st.builds(Credentials.signed, st.just(AWS), TOKENS, expires_at=TIMES),
    st.builds(
        Credentials.signed, st.just(EXAMPLE_SIGNING), st.binary(min_size=1), expires_at=TIMES
    ),
    st.builds(
        Credentials.signed,
        st.sampled_from([TOKEN, MESSAGE, attrs.evolve(MESSAGE, lifetime=timedelta(minutes=1))]),
        TOKENS,
    ),
    st.builds(Credentials.bearer, TOKENS, expires_at=TIMES),
    st.builds(Credentials.basic, st.sampled_from(["", "é", "user"]), TOKENS, expires_at=TIMES),
    st.builds(Credentials.api_key, TOKENS, header=st.sampled_from([None, "X-Key"])),
    st.builds(Credentials.api_key, TOKENS, query=st.sampled_from(["key", "é"])),
    st.builds(
        OAuthCredentials,
        access_token=TOKENS,
        refresh_token=st.none() | st.text(),
        token_type=st.sampled_from(["Bearer", "MAC"]),
        expires_at=TIMES,
        issued_at=TIMES,
        scope=st.lists(st.text()),
        dpop_key=st.none() | st.just(proof_key()),
        header=st.sampled_from([None, "x-access-token"]),
    ),
)


@given(ANY_CREDENTIALS)
def test_credentials_round_trip(original: AnyCredentials) -> None:
    """Packed credentials are read back with every field."""
    assert original == unpack_credentials(pack_credentials(original))


@pytest.mark.parametrize(
    "stored, packed",
    [
        (Credentials.bearer("old"), "01a6626561726572c0c4036f6c64c0c0c0"),
        (OAuthCredentials(access_token="a", scope="b a"), "02c40161c0a6426561726572c092a161a162"),
        (
            Credentials.signed(attrs.evolve(MESSAGE, lifetime=timedelta(seconds=1)), "a"),
            (
                "01ae687474705f7369676e6174757265c0c40161c0c088aa636f6d706f6e656e747391a464617465"
                "a66b65795f6964a26d65a9616c676f726974686dab686d61632d736861323536a56c6162656ca473"
                "696731a3746167c0a86c69666574696d65ce000f4240aa776974685f6e6f6e6365c3ae776974685f"
                "616c676f726974686dc3"
            ),
        ),
    ],
)
def test_packed_format_is_stable(stored: AnyCredentials, packed: str) -> None:
    """Credentials are packed into the same bytes as in the first release."""
    assert packed == pack_credentials(stored).hex()
    assert stored == unpack_credentials(bytes.fromhex(packed))


def test_binary_secret_round_trip() -> None:
    """A secret given as UTF-8 bytes is unchanged after it was packed and read back."""
    credentials = Credentials.basic("user", Secret(b"p\xc3\xa9"))

    assert credentials == unpack_credentials(pack_credentials(credentials))


def test_times_are_stored_in_utc() -> None:
    """Packed credentials store a time of any zone or datetime subclass in UTC."""

    class DatetimeSubclass(datetime):
        """A datetime subclass, as other libraries have."""

    moment = DatetimeSubclass(2026, 11, 20, 9, tzinfo=timezone(timedelta(hours=2)))
    credentials = Credentials.bearer("a", expires_at=moment)

    assert datetime(2026, 11, 20, 7, tzinfo=UTC) == (
        unpack_credentials(pack_credentials(credentials)).expires_at
    )


@given(st.binary(max_size=100))
def test_any_bytes_are_read_as_credentials_or_refused(packed: bytes) -> None:
    """Any bytes are read as credentials, or are refused with an error."""
    try:
        unpack_credentials(packed)
    except InvalidData as error:
        assert "credentials" == error.field  # noqa: PT017 - most bytes are refused, not all


@given(ANY_CREDENTIALS, st.data())
def test_truncated_bytes_are_refused(original: AnyCredentials, data: st.DataObject) -> None:
    """Packed credentials that were cut off are refused."""
    packed_bytes = pack_credentials(original)
    with pytest.raises(InvalidData):
        unpack_credentials(packed_bytes[: data.draw(st.integers(0, len(packed_bytes) - 1))])


@pytest.mark.parametrize(
    "values",
    [
        (),
        (3, "sk_live_secret"),
        (1, AuthMethod.BEARER.value, None, b"sk_live_secret\n", None, None, None),
        (1, AuthMethod.BEARER.value, None, "sk_live_secret", None, None, None),
        (1, AuthMethod.BEARER.value, None, b"sk_live_secret\xff", None, None, None),
        (1, AuthMethod.BEARER.value, None, b"sk_live_secret", None, "2026-11-20", None),
        (1, AuthMethod.BEARER.value, None, b"sk_live_secret", None, None, {"signs": ""}),
        (1, AuthMethod.HMAC.value, None, b"sk_live_secret", None, None, {"x": ""}),
        (1, AuthMethod.JWT.value, None, b"sk_live_secret", None, None, {"lifetime": 10**18 * 100}),
        (1, AuthMethod.JWT.value, None, b"sk_live_secret", None, None, {"lifetime": "1"}),
        (2, b"sk_live_secret", None, 5, None, ()),
        (2, b"sk_live_secret", None, "Bearer", None, 5),
        (1, "bearer", None, b"sk_live_secret", None, None, None, None),
    ],
)
def test_errors_do_not_show_the_bytes(values: tuple[object, ...]) -> None:
    """Neither the error nor a traceback frame shows the bytes of unreadable credentials."""
    with pytest.raises(InvalidData) as excinfo:
        unpack_credentials(pack_values(values))

    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    domain_locals = [frame.locals for frame in report.stack if "/moorage/domain/" in frame.filename]
    assert 1 == len(domain_locals)
    assert "sk_live" not in repr((domain_locals, str(excinfo.value)))
    assert excinfo.value.__context__ is None


def test_caller_digest_is_stable() -> None:
    """The digest of a caller without credentials never changes, since stores hold it."""
    unsupported_digest = "ba768b331fd86cec803be04e56ab2b3d4c0e98ef4ee4fcd4e72ad7cce61a1d1f"
    assert unsupported_digest == fingerprint_of([None]).hex()
