"""Credentials written as strings and tables, and errors that do not show the credentials."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given

from moorage.domain.auth.credential_tables import (
    read_credentials,
    read_credentials_text,
    write_credentials,
)
from moorage.domain.auth.methods import AuthMethod, Credentials, OAuthCredentials
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.azure import AzureSharedKey
from moorage.domain.signing.hmac_signing import HmacSigning
from moorage.domain.signing.jwt import JwtSigning
from moorage.domain.signing.message import MessageSignature
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.errors import InvalidData
from tests.domain.test_credential_codec import ANY_CREDENTIALS
from tests.support.proofs import proof_key

if TYPE_CHECKING:
    from moorage.domain.auth.credential_codec import AnyCredentials

GRANTED = OAuthCredentials(access_token="a")
MESSAGE = MessageSignature(
    components=["date"], key_id="a", algorithm="hmac-sha256", lifetime=timedelta(minutes=1)
)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "written, expected",
    [
        ("a", Credentials.bearer("a")),
        ({"secret": "a"}, Credentials.bearer("a")),
        (
            {"method": "basic", "username": "u", "secret": "p"},
            Credentials.basic("u", "p"),
        ),
        (
            {"method": "api_key_query", "secret": "k", "name": "key"},
            Credentials.api_key("k", query="key"),
        ),
        ({"method": "none"}, Credentials.none()),
        (
            {
                "method": "aws_sigv4",
                "secret": "k",
                "signing": {"access_key_id": "a", "region": "eu", "service": "s3"},
            },
            Credentials.signed(AwsSigV4(access_key_id="a", region="eu", service="s3"), "k"),
        ),
        (
            {
                "method": "hmac",
                "secret_base64": "/wA=",
                "signing": {"signs": "{body}", "headers": {"X-S": "{signature}"}},
            },
            Credentials.signed(
                HmacSigning(signs="{body}", headers={"X-S": "{signature}"}), b"\xff\x00"
            ),
        ),
        (
            {
                "method": "jwt",
                "secret": "k",
                "signing": {"algorithm": "HS256", "lifetime": 90, "claims": {"roles": ["a"]}},
            },
            Credentials.signed(
                JwtSigning(
                    algorithm="HS256", lifetime=timedelta(seconds=90), claims={"roles": ["a"]}
                ),
                "k",
            ),
        ),
        (
            {
                "method": "http_signature",
                "secret": "k",
                "signing": {"components": ["date"], "key_id": "a", "algorithm": "hmac-sha256"},
            },
            Credentials.signed(
                MessageSignature(components=["date"], key_id="a", algorithm="hmac-sha256"), "k"
            ),
        ),
        ({"method": "mtls"}, Credentials.mtls()),
        ({"method": "oauth2", "secret": "a"}, Credentials(method="oauth2", secret="a")),
        (
            {"secret": "a", "expires_at": "2026-11-20T12:00:00Z"},
            Credentials.bearer("a", expires_at=NOON),
        ),
        ({"secret": "a", "expires_at": NOON}, Credentials.bearer("a", expires_at=NOON)),
        (
            {"access_token": "a", "refresh_token": "r", "scope": "x"},
            OAuthCredentials(access_token="a", refresh_token="r", scope="x"),
        ),
        (attrs.asdict(GRANTED, recurse=False), GRANTED),
        (
            {"access_token": "a", "issued_at": "2026-11-20T12:00:00Z"},
            OAuthCredentials(access_token="a", issued_at=NOON),
        ),
        (
            {
                "method": "http_signature",
                "secret": "k",
                "signing": attrs.asdict(MESSAGE, recurse=False) | {"lifetime": 60},
            },
            Credentials.signed(MESSAGE, "k"),
        ),
    ],
)
def test_credential_text_is_a_token_and_a_table_is_read_by_its_method(
    written: object, expected: object
) -> None:
    """A credential in plain text is a bearer token; a table has the fields of its method."""
    assert expected == read_credentials(written, "here")


@pytest.mark.parametrize(
    "written, problem",
    [
        (None, "not a string or a table"),
        ([b"sk_live"], "not a string or a table"),
        ("sk_live\n", "white space"),
        ("sk_live\udc80", "not valid Unicode"),
        ({"secret": 5, "username": "sk_live"}, "must be str or bytes"),
        (
            {"secret": "sk_live", "password": "sk_live"},
            "unknown field. The known fields are expires_at",
        ),
        (
            {"access_token": "sk_live", "method": "basic"},
            "unknown field. The known fields are access_token",
        ),
        (
            {"secret": "sk_live", "signing": {"region": "eu"}},
            "its method is not one of aws_sigv4, azure_shared_key",
        ),
        ({"method": "hmac", "secret": "sk_live", "signing": 5}, "an invalid value"),
        (
            {"method": "hmac", "secret": "sk_live", "signing": {"sings": "sk_live"}},
            "table signing has an unknown field. The known fields are algorithm, encoding",
        ),
        (
            {"method": "aws_sigv4", "secret": "sk_live", "signing": {"region": "eu"}},
            "Its signing lacks access_key_id, service",
        ),
        (
            {"method": "hmac", "secret": "sk_live", "signing": {"signs": "{sk!r}"}},
            "not a known placeholder of a template",
        ),
        (
            {
                "method": "jwt",
                "secret": "sk_live",
                "signing": {"algorithm": "HS256", "lifetime": 1e300},
            },
            "an invalid value",
        ),
        ({"method": "hmac", "secret": "sk_live"}, "needs its own signing"),
        ({"secret": "sk_live", "secret_base64": "c2s="}, "both a secret and a secret_base64"),
        ({"secret_base64": "sk_live"}, "secret_base64 is not valid base64"),
        ({"secret_base64": "sk_live=="}, "secret_base64 is not valid base64"),
        ({"secret_base64": "c2s=\nc2s="}, "secret_base64 is not valid base64"),
        ({"secret_base64": 5, "username": "sk_live"}, "secret_base64 is not valid base64"),
        (
            {"access_token": "sk_live", "secret_base64": "c2s="},
            "unknown field. The known fields are access",
        ),
        ({"secret": "sk_live", "expires_at": 5}, "an invalid value"),
        ({"secret": "sk_live", "expires_at": "soon"}, "an invalid value"),
        ({"secret": "sk_live", "expires_at": "2026-11-20"}, "no time zone"),
        ({"access_token": "sk_live", "token_type": 5}, "an invalid value"),
    ],
)
def test_errors_do_not_show_the_credential(written: object, problem: str) -> None:
    """The error for invalid credentials states field and reason; no traceback shows the secret."""
    with pytest.raises(InvalidData, match=problem) as excinfo:
        read_credentials(written, "here")

    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    domain_locals = [frame.locals for frame in report.stack if "/moorage/domain/" in frame.filename]
    assert str(excinfo.value).startswith("here: ")
    assert 1 == len(domain_locals)
    assert "sk_live" not in repr((domain_locals, str(excinfo.value)))
    assert excinfo.value.__context__ is None


@pytest.mark.parametrize("space", ["", " \n\t"])
def test_white_space_around_a_table_is_ignored(space: str) -> None:
    """White space around a JSON table of credentials is ignored."""
    text = Secret(f'{space}{{"secret": "a"}}{space}')

    assert Credentials.bearer("a") == read_credentials_text(text, "here")


@given(ANY_CREDENTIALS)
def test_json_round_trip(original: AnyCredentials) -> None:
    """Credentials written as JSON are read back unchanged."""
    assert original == read_credentials_text(write_credentials(original), "here")


def test_unset_fields_are_left_out() -> None:
    """A field of the credentials that is not set is left out of their table."""
    assert '{"method":"bearer","secret":"a"}' == write_credentials(Credentials.bearer("a")).reveal()


def test_every_method_can_be_written() -> None:
    """Credentials of each authentication method can be written and read."""
    signed_methods = [entry.method for entry in SIGNED]

    assert {*AuthMethod} == {*signed_methods, *UNSIGNED}
    for stored_credentials in SIGNED:
        assert stored_credentials == read_credentials_text(
            write_credentials(stored_credentials), "here"
        )


SIGNED = [
    Credentials.signed(AwsSigV4(access_key_id="a", region="eu", service="s3"), "k"),
    Credentials.signed(AzureSharedKey(account="acmefiles"), "a2V5"),
    Credentials.signed(HmacSigning(signs="", headers={"S": "{signature}"}), "k"),
    Credentials.signed(JwtSigning(algorithm="HS256"), "k"),
    Credentials.signed(MessageSignature(components=[], key_id="a", algorithm="hmac-sha256"), "k"),
]
UNSIGNED = {
    AuthMethod.NONE,
    AuthMethod.BASIC,
    AuthMethod.DIGEST,
    AuthMethod.BEARER,
    AuthMethod.API_KEY_HEADER,
    AuthMethod.API_KEY_QUERY,
    AuthMethod.API_KEY_PATH,
    AuthMethod.API_KEY_BODY,
    AuthMethod.OAUTH2,
    AuthMethod.MTLS,
    AuthMethod.NEGOTIATE,
}


@pytest.mark.parametrize("method", sorted(UNSIGNED))
def test_unsigned_methods_round_trip(method: AuthMethod) -> None:
    """Credentials of a method that does not sign are read back unchanged."""
    without_secret = {AuthMethod.NONE, AuthMethod.MTLS, AuthMethod.NEGOTIATE}
    secret = None if method in without_secret else "a"
    username = "u" if method in {AuthMethod.BASIC, AuthMethod.DIGEST} else None
    credentials = Credentials(method=method, secret=secret, username=username)

    assert credentials == read_credentials_text(write_credentials(credentials), "here")


def test_bound_token_round_trip() -> None:
    """A DPoP-bound OAuth token is written and read back unchanged."""
    credentials = OAuthCredentials(
        access_token="a",
        refresh_token="r",
        token_type="DPoP",
        expires_at=NOON,
        issued_at=NOON,
        dpop_key=proof_key(),
        scope="x",
    )
    assert credentials == read_credentials_text(write_credentials(credentials), "here")


def test_binary_refresh_token_is_refused() -> None:
    """Credentials whose refresh token is not text cannot be written."""
    with pytest.raises(InvalidData, match="no text"):
        write_credentials(OAuthCredentials(access_token="a", refresh_token=Secret(b"\xff")))


@pytest.mark.parametrize(
    "text, problem",
    [
        ('{"secret": "sk_live"', "like a JSON object, but is broken at line 1, column 21"),
        ("{'secret': 'sk_live'}", "broken at line 1, column 2"),
        ('{"a":' * 99_999, "nested too deeply"),
        ('["sk_live"]', "like a JSON object, but is a list"),
        ('"sk_live"', "begins with a quotation mark"),
        (" 'sk_live'\n", "begins with a quotation mark"),
        (b"\xff", "not valid UTF-8 text"),
    ],
)
def test_unreadable_texts_are_refused(text: str | bytes, problem: str) -> None:
    """A broken table of credentials, or a string that is not a token, is refused with a reason."""
    with pytest.raises(InvalidData, match=problem) as excinfo:
        read_credentials_text(Secret(text), "here")
    assert str(excinfo.value).startswith("here: ")
    assert "sk_live" not in str(excinfo.value)
    assert excinfo.value.__context__ is None
