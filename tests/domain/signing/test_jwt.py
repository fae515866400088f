"""Signed JWTs, compared with the RFCs' examples, and settings that are refused."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from moorage.domain.http.requests import Request
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.jwt import JwtAlgorithm, JwtSigning, compact
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

CLAIMS = b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
ENCODED = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
NOON = SigningContext(datetime(2026, 3, 1, 12, tzinfo=UTC), "n-1")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")


def _pem(key: PrivateKeyTypes, password: bytes | None = None) -> Secret:
    key_encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, key_encryption))


def _rsa() -> rsa.RSAPrivateKey:
    p = _number(
        "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_"
        "Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc"
    )
    q = _number(
        "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7Tje"
        "LQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"
    )
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), public
    ).private_key()


RSA = _pem(_rsa())
P256 = ec.derive_private_key(_number("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), ec.SECP256R1())
EDWARDS = _pem(
    ed25519.Ed25519PrivateKey.from_private_bytes(
        _bytes("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
    )
)


def test_signs_as_rfc_7515_does_with_hmac() -> None:
    """A JWT signed with HMAC equals that of RFC 7515's appendix A.1."""
    key = Secret(
        _bytes(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
        )
    )
    token = compact(JwtAlgorithm.HS256, key, b'{"typ":"JWT",\r\n "alg":"HS256"}', CLAIMS)
    assert (
        f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{ENCODED}"
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    ) == token.reveal()


def test_signs_as_rfc_7515_does_with_rsa() -> None:
    """A JWT signed with RSA equals that of RFC 7515's appendix A.2."""
    token = compact(JwtAlgorithm.RS256, RSA, b'{"alg":"RS256"}', CLAIMS)
    assert (
        f"eyJhbGciOiJSUzI1NiJ9.{ENCODED}"
        ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W"
        "2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkS"
        "jtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv"
        "Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    ) == token.reveal()


def test_signs_with_rsa_pss() -> None:
    """A PS256 signature has a salt as long as its hash (RFC 7518, 3.5), and can be verified."""
    token = compact(JwtAlgorithm.PS256, RSA, b'{"alg":"PS256"}', CLAIMS).reveal()
    text, _, signature = token.rpartition(".")
    assert f"eyJhbGciOiJQUzI1NiJ9.{ENCODED}" == text
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    _rsa().public_key().verify(_bytes(signature), text.encode(), salted, hashes.SHA256())


def test_ecdsa_example_of_rfc_7515() -> None:
    """An ECDSA-signed JWT has the text of RFC 7515's appendix A.3, and can be verified."""
    token = compact(JwtAlgorithm.ES256, _pem(P256), b'{"alg":"ES256"}', CLAIMS).reveal()
    text, _, own_signature = token.rpartition(".")
    assert f"eyJhbGciOiJFUzI1NiJ9.{ENCODED}" == text
    rfc_signature = (
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    for signature in (_bytes(own_signature), _bytes(rfc_signature)):
        assert 64 == len(signature)
        pair = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        P256.public_key().verify(
            utils.encode_dss_signature(*pair), text.encode(), ec.ECDSA(hashes.SHA256())
        )


def test_signs_as_rfc_8037_does_with_ed25519() -> None:
    """A JWT signed with Ed25519 equals that of RFC 8037's appendix A.4."""
    token = compact(JwtAlgorithm.EDDSA, EDWARDS, b'{"alg":"EdDSA"}', b"Example of Ed25519 signing")
    assert (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
        ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    ) == token.reveal()


def _header_and_claims(token: str) -> list[dict[str, Any]]:
    return [json.loads(_bytes(part)) for part in token.split(".")[:2]]


def test_configured_claims_are_sent() -> None:
    """A JWT has the configured claims, its issue time and its expiry."""
    signing = JwtSigning(
        algorithm="HS256",
        issuer="us",
        subject="it",
        audience="them",
        key_id="k",
        lifetime=timedelta(minutes=1),
        claims={"scope": "a b"},
    )
    authorization = signing.sign(Request.get("/"), "", Secret("x" * 32), NOON).headers[
        "authorization"
    ]
    scheme, _, token = authorization.partition(" ")
    assert "Bearer" == scheme
    assert [
        {"alg": "HS256", "typ": "JWT", "kid": "k"},
        {
            "iss": "us",
            "sub": "it",
            "aud": "them",
            "iat": 1772366400,
            "exp": 1772366460,
            "jti": "n-1",
            "scope": "a b",
        },
    ] == _header_and_claims(token)


def test_jwt_without_settings_has_only_its_times_and_id() -> None:
    """A JWT without settings has only its times and id, and lasts five minutes."""
    token = JwtSigning(algorithm="HS256").token(Secret("x" * 32), NOON)
    assert [
        {"alg": "HS256", "typ": "JWT"},
        {"iat": 1772366400, "exp": 1772366700, "jti": "n-1"},
    ] == _header_and_claims(token.reveal())


def test_base64_padding_is_removed() -> None:
    """The Base64 parts of a JWT have no trailing equals signs."""
    token = compact(JwtAlgorithm.HS256, Secret("k"), b"abW", b"a").reveal()
    assert token.startswith("YWJX.YQ.")


def test_jwt_lifetime_of_one_second_is_allowed() -> None:
    """A JWT lifetime of one second is allowed."""
    signing = JwtSigning(algorithm="HS256", lifetime=timedelta(seconds=1))
    claims = _header_and_claims(signing.token(Secret("k"), NOON).reveal())[1]
    assert 1 == claims["exp"] - claims["iat"]


@pytest.mark.parametrize(
    "algorithm, key, needed",
    [
        ("HS256", Secret(""), "hmac-sha256"),
        ("RS256", Secret("h1dden"), "rsa-v1_5-sha256"),
        ("RS256", _pem(P256), "rsa-v1_5-sha256"),
        ("RS256", _pem(_rsa(), b"h1dden"), "rsa-v1_5-sha256"),
        ("ES256", RSA, "ecdsa-p256-sha256"),
        ("ES256", _pem(ec.generate_private_key(ec.SECP384R1())), "ecdsa-p256-sha256"),
        ("EdDSA", RSA, "ed25519"),
        ("EdDSA", _pem(P256), "ed25519"),
        ("ES256", EDWARDS, "ecdsa-p256-sha256"),
    ],
)
def test_refuses_a_key_of_another_kind(algorithm: str, key: Secret, needed: str) -> None:
    """A key that does not suit the JWT's algorithm is refused, and not shown."""
    signing = JwtSigning(algorithm=algorithm)
    with pytest.raises(InvalidData) as excinfo:
        signing.check_key(key)
    assert "secret" == excinfo.value.field
    assert f"The secret is not a key for {needed}." == excinfo.value.message
    assert "h1dden" not in str(excinfo.value)
    assert excinfo.value.__context__ is None
    if key:
        with pytest.raises(InvalidData) as repeated_excinfo:
            signing.token(key, NOON)
        assert excinfo.value.message == repeated_excinfo.value.message


def test_rsa_key_is_checked_only_once() -> None:
    """An RSA key is checked only once, when it is passed in, and not at every signature."""
    valid_numbers = _rsa().private_numbers()
    numbers = rsa.RSAPrivateNumbers(
        valid_numbers.p,
        valid_numbers.q,
        valid_numbers.d + 2,
        valid_numbers.dmp1,
        valid_numbers.dmq1,
        valid_numbers.iqmp,
        valid_numbers.public_numbers,
    )
    unsound = _pem(numbers.private_key(unsafe_skip_rsa_key_validation=True))
    signing = JwtSigning(algorithm="RS256")
    with pytest.raises(InvalidData):
        signing.check_key(unsound)
    assert signing.token(RSA, NOON) == signing.token(unsound, NOON)


@pytest.mark.parametrize(
    "algorithm, key",
    [("HS256", Secret("k")), ("RS256", RSA), ("ES256", _pem(P256)), ("EdDSA", EDWARDS)],
)
def test_key_that_suits_jwt_algorithm_is_accepted(algorithm: str, key: Secret) -> None:
    """A key that suits the JWT's algorithm is accepted, and signs."""
    signing = JwtSigning(algorithm=algorithm)
    signing.check_key(key)
    assert 3 == len(signing.token(key, NOON).reveal().split("."))


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"algorithm": "none"}, "algorithm"),
        ({"claims": {"exp": 1}}, "claims"),
        ({"claims": {"a": object()}}, "json"),
        ({"lifetime": timedelta(0)}, "lifetime"),
        ({"lifetime": timedelta(milliseconds=999)}, "lifetime"),
    ],
)
def test_invalid_claims_and_lifetimes_are_refused(changes: dict[str, Any], field: str) -> None:
    """JWT claims that are not JSON, reserved claims and bad lifetimes are refused."""
    options: dict[str, Any] = {"algorithm": "HS256"} | changes
    with pytest.raises(InvalidData) as excinfo:
        JwtSigning(**options)
    assert field == excinfo.value.field


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "iat", "exp", "jti"])
def test_reserved_claims_are_refused(name: str) -> None:
    """A JWT claim that has a setting of its own cannot be passed as an extra claim."""
    with pytest.raises(InvalidData, match=f"The claims {name} have separate settings"):
        JwtSigning(algorithm="HS256", claims={name: "x"})


def test_repr_hides_claims() -> None:
    """The repr of a JWT signing does not show the claims."""
    signing = JwtSigning(algorithm="HS256", claims={"a": "h1dden"})
    assert "h1dden" not in repr(signing)
    assert hash(signing) == hash(JwtSigning(algorithm="HS256"))
