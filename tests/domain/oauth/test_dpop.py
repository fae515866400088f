"""DPoP proofs: the claims in a proof, and the reaction to the server's response."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.auth.methods import OAuthCredentials, authorise, needs_flow, sign, signs
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import join_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.dpop import check_proof_key, proof
from moorage.domain.signing.proof_refusals import (
    ProofRefusal,
    challenge,
    nonce_of,
    refusal_of,
)
from moorage.errors import ConnectorError, InvalidData
from tests.security.canaries import Canaries
from tests.support import authorization_jwt as jose
from tests.support.proofs import new_key, pem, proof_key, verified_claims

if TYPE_CHECKING:
    from collections.abc import Callable

RFC_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNo"
    "UklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERW"
    "clUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR"
    "1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCw"
    "iYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey"
    "71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
"""The proof for a resource in RFC 9449, section 7.1."""

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTEXT = SigningContext(NOON, "id-1")


def key() -> Secret:
    """Return the DPoP private key of these tests."""
    return Secret(proof_key())


def htu(url: str) -> object:
    """Return the `htu` claim (the URL) of a DPoP proof for this URL."""
    return verified_claims(proof(key(), "GET", url, CONTEXT).reveal())["htu"]


# --- the claims of a proof ---------------------------------------------------------


def test_proof_matches_the_rfcs_example() -> None:
    """A DPoP proof has the claims and the header of the example in RFC 9449."""
    rfc_token = jose.read_jwt(RFC_PROOF)
    jose.verify(rfc_token, jose.public_key(rfc_token.header["jwk"]))
    context = SigningContext(datetime.fromtimestamp(1562262618, UTC), "e1j3V_bKic8-LAEB")

    url = "https://resource.example.org/protectedresource"
    own_proof = proof(key(), "GET", url, context, token=Secret(RFC_TOKEN)).reveal()

    assert rfc_token.claims == verified_claims(own_proof)
    assert "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" == verified_claims(own_proof)["ath"]
    assert {**rfc_token.header, "jwk": None} == {**jose.read_jwt(own_proof).header, "jwk": None}
    assert rfc_token.header["jwk"].keys() == jose.read_jwt(own_proof).header["jwk"].keys()


def test_thumbprint_matches_the_rfcs_example() -> None:
    """The JWK thumbprint that these tests compute agrees with RFC 9449's example."""
    jwk = jose.read_jwt(RFC_PROOF).header["jwk"]
    assert "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" == jose.thumbprint(jwk)


def test_token_and_nonce_may_be_missing() -> None:
    """A DPoP proof without a token or a nonce omits the claims `ath` and `nonce`."""
    claims = verified_claims(proof(key(), "POST", "https://as.example/token", CONTEXT).reveal())

    assert {"jti", "htm", "htu", "iat"} == claims.keys()
    claims_with_nonce = verified_claims(
        proof(key(), "POST", "https://as.example/", CONTEXT, nonce="n").reveal()
    )
    assert "n" == claims_with_nonce["nonce"]


@pytest.mark.parametrize(
    "url, expected",
    [
        ("https://api.example/a?b=c", "https://api.example/a"),
        ("https://api.example/a#d", "https://api.example/a"),
        ("https://api.example/a?b=c#d", "https://api.example/a"),
        ("https://api.example/a#d?b", "https://api.example/a"),
        ("https://api.example", "https://api.example/"),
        ("https://api.example?b", "https://api.example/"),
        ("HTTPS://API.Example:443/Aa", "https://api.example/Aa"),
        ("http://api.example:80/a", "http://api.example/a"),
        ("http://api.example:443/a", "http://api.example:443/a"),
        ("https://api.example:8443/a", "https://api.example:8443/a"),
        ("https://[::1]/a", "https://[::1]/a"),
        ("https://[::1]:443/a", "https://[::1]/a"),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
        ("https://api.example/a;v=1/../b//c", "https://api.example/a;v=1/../b//c"),
        ("https://api.example/%7Ea%2fb", "https://api.example/%7Ea%2fb"),
        ("https://xn--bcher-kva.example/%C3%BC", "https://xn--bcher-kva.example/%C3%BC"),
    ],
)
def test_url_claim_is_normalised(url: str, expected: str) -> None:
    """The URL in a DPoP proof has no query, fragment or default port; its path is unchanged."""
    assert expected == htu(url)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"])), st.text("a?#&=%é", max_size=9))
def test_url_claim_is_the_url_sent(path: str, value: str) -> None:
    """For any path and query, a DPoP proof has the URL as sent, without the query, in ASCII."""
    request = Request.get(f"/{path}", query={"q": value})
    url = join_url("https://api.example/v1", request)

    claim = htu(url)

    assert url.partition("?")[0] == claim
    assert str(claim).isascii()


def test_long_urls_are_not_slow() -> None:
    """Making a DPoP proof for a URL of several megabytes takes at most a few seconds."""
    url = f"https://api.example/{'a/' * 500_000}"
    start_time = time.process_time()

    assert url == htu(f"{url}?{'q' * 1_000_000}")

    assert time.process_time() - start_time < 5


@pytest.mark.parametrize("offset", [-12, 0, 9.5])
def test_issued_at_is_in_epoch_seconds(offset: float) -> None:
    """The issue time of a DPoP proof is in whole Unix seconds, in any time zone."""
    moment = (NOON + timedelta(milliseconds=999)).astimezone(timezone(timedelta(hours=offset)))

    proof_secret = proof(key(), "GET", "https://api.example/", SigningContext(moment, "id-1"))

    assert int(NOON.timestamp()) == verified_claims(proof_secret.reveal())["iat"]


def test_signatures_are_always_64_bytes() -> None:
    """Small numbers in an ECDSA signature are padded to 32 bytes each."""
    proofs = [proof(key(), "GET", "https://api.example/", CONTEXT) for _ in range(500)]
    assert {64} == {len(jose.read_jwt(proof_secret.reveal()).signature) for proof_secret in proofs}


# --- keys ----------------------------------------------------------------------------


def _with_password() -> str:
    private = ec.generate_private_key(ec.SECP256R1())
    way = BestAvailableEncryption(b"pw")
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, way).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        "cnry-no-pem",
        new_key(ec.SECP384R1()),
        new_key(ec.SECP256K1()),
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        _with_password(),
    ],
    ids=["no PEM", "P-384", "secp256k1", "Ed25519", "RSA", "with a password"],
)
def test_key_that_is_not_on_p256_is_refused(wrong: str) -> None:
    """A DPoP key that is not on P-256 is refused; the error has the field's name, not the key."""
    canaries = Canaries()
    canaries.plant("key", wrong.splitlines()[len(wrong.splitlines()) > 1])
    calls: dict[str, Callable[[], object]] = {
        "check": lambda: check_proof_key(Secret(wrong)),
        "credentials": lambda: OAuthCredentials(access_token="t", dpop_key=wrong),
        "proof": lambda: proof(Secret(wrong), "GET", "https://api.example/", CONTEXT),
    }

    caught_errors: dict[str, ConnectorError] = {}
    for name, call in calls.items():
        with pytest.raises(InvalidData) as excinfo:
            call()
        caught_errors[name] = excinfo.value

    assert ["dpop_key", "dpop_key"] == [caught_errors[n].field for n in ("check", "credentials")]  # type: ignore[attr-defined]  # InvalidData
    assert "P-256" in caught_errors["credentials"].remedy
    assert "not a key for ecdsa-p256-sha256" in caught_errors["proof"].message
    assert [] == [
        leak for name, error in caught_errors.items() for leak in canaries.search(name, error)
    ]


# --- credentials ---------------------------------------------------------------------


def test_bound_token_is_sent_with_its_proof() -> None:
    """A DPoP-bound token uses the scheme DPoP, and its proof replaces any proof on the request."""
    credentials = OAuthCredentials(access_token="t", dpop_key=proof_key())
    request = Request.post("/a", headers={"DPoP": "old", "Authorization": "old"})
    url = "https://api.example/a?b"

    sent_request = sign(authorise(request, credentials), url, credentials, CONTEXT, nonce="n-1")

    assert "DPoP t" == sent_request.headers["Authorization"]
    assert 1 == len(sent_request.headers.get_all("DPoP"))
    claims = verified_claims(sent_request.headers["DPoP"])
    assert ("POST", "https://api.example/a", "n-1") == tuple(
        claims[name] for name in ("htm", "htu", "nonce")
    )
    assert signs(credentials)
    assert needs_flow(credentials)
    assert claims["ath"] not in repr((sent_request, sent_request.headers, credentials))
    assert sent_request.headers["DPoP"] not in repr(
        (sent_request, sent_request.headers, credentials)
    )


def test_unbound_token_has_no_proof() -> None:
    """Without a DPoP key no proof is added, even if the token type is DPoP."""
    credentials = OAuthCredentials(access_token="t", token_type="DPoP")
    request = authorise(Request.get("/a"), credentials)

    assert request is sign(request, "https://api.example/a", credentials, CONTEXT)
    assert not signs(credentials)


# --- challenges in responses ---------------------------------------------------------


@pytest.mark.parametrize(
    "header, nonce",
    [
        ("n-1", "n-1"),
        ("eyJ7S_zG.eyJH0-Z.HX4w-7v", "eyJ7S_zG.eyJH0-Z.HX4w-7v"),
        ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "!#$%&'()*+,-./:;<=>?@[]^_`{|}~"),
        ("n" * 2_048, "n" * 2_048),
        ("n" * 2_049, None),
        ("n" * 1_000_000, None),
        ("", None),
        ("a b", None),
        ("a\tb", None),
        ('a"b', None),
        ("a\\b", None),
        ("n\u00e9", None),
        (None, None),
    ],
)
def test_malformed_or_too_long_dpop_nonce_is_ignored(header: str | None, nonce: str | None) -> None:
    """A DPoP nonce with white space, quotes, control characters or excessive length is ignored."""
    assert nonce == nonce_of(Headers({} if header is None else {"dpop-nonce": header}))


@pytest.mark.parametrize(
    "challenges, refusal",
    [
        (['DPoP error="use_dpop_nonce"'], ProofRefusal.NONCE),
        (["dpop error=use_dpop_nonce"], ProofRefusal.NONCE),
        (['DPoP realm="a", error = "use_dpop_nonce", algs="ES256"'], ProofRefusal.NONCE),
        (['DPoP algs="ES256",error="invalid_dpop_proof"'], ProofRefusal.INVALID),
        (['Basic realm="a"', 'DPoP error="use_dpop_nonce"'], ProofRefusal.NONCE),
        (['Bearer realm="a", DPoP error="use_dpop_nonce"'], ProofRefusal.NONCE),
        (['DPoP error="invalid_token"'], None),
        (['DPoP error="use_dpop_nonces"'], None),
        (['DPoP error_description="use_dpop_nonce"'], None),
        (['DPoP realm="\\"error\\"=use_dpop_nonce"'], None),
        (["DPoP"], None),
        (["error" + " " * 1_000_000], None),
        (["error=" * 200_000], None),
        ([], None),
    ],
)
def test_refused_proof_differs_from_refused_token(
    challenges: list[str], refusal: ProofRefusal | None
) -> None:
    """The error code of a 401 challenge distinguishes a refused DPoP proof from a refused token."""
    assert refusal is refusal_of(Headers([("WWW-Authenticate", text) for text in challenges]))


@pytest.mark.parametrize("refusal", ProofRefusal)
def test_challenge_for_a_refused_proof_is_read_back(refusal: ProofRefusal) -> None:
    """A 401 challenge written for a refused DPoP proof is read back as that refusal."""
    assert refusal is refusal_of(Headers([challenge(refusal)]))
