"""Proofs of possession: what they say, and what answers say of them."""

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

from moorage.domain.auth import OAuthCredentials, authorise, sign, signs, tells_in_query
from moorage.domain.headers import Headers
from moorage.domain.http import Request
from moorage.domain.oauth.dpop import (
    ProofRefusal,
    challenge,
    check_proof_key,
    nonce_of,
    proof,
    refusal_of,
)
from moorage.domain.secret import Secret
from moorage.domain.signing.occasion import Occasion
from moorage.domain.urls import join_url
from moorage.errors import ConnectorError, InvalidData
from tests.security.canaries import Canaries
from tests.support import authorization_jwt as jose
from tests.support.proofs import checked, new_key, pem, proof_key

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
OCCASION = Occasion(NOON, "id-1")


def key() -> Secret:
    """The key of these tests."""
    return Secret(proof_key())


def htu(url: str) -> object:
    """The URL that a proof names."""
    return checked(proof(key(), "GET", url, OCCASION).reveal())["htu"]


# --- what a proof says -------------------------------------------------------------


def test_it_says_what_the_rfcs_own_says() -> None:
    """On the same occasion a proof makes the claims of RFC 9449's example, under such a header."""
    theirs = jose.read(RFC_PROOF)
    jose.verify(theirs, jose.public_key(theirs.header["jwk"]))
    occasion = Occasion(datetime.fromtimestamp(1562262618, UTC), "e1j3V_bKic8-LAEB")

    url = "https://resource.example.org/protectedresource"
    ours = proof(key(), "GET", url, occasion, token=Secret(RFC_TOKEN)).reveal()

    assert theirs.claims == checked(ours)
    assert "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" == checked(ours)["ath"]
    assert {**theirs.header, "jwk": None} == {**jose.read(ours).header, "jwk": None}
    assert theirs.header["jwk"].keys() == jose.read(ours).header["jwk"].keys()


def test_the_reader_of_these_tests_knows_the_rfcs_key() -> None:
    """The thumbprint of the example's key is the one that RFC 9449 gives for it."""
    jwk = jose.read(RFC_PROOF).header["jwk"]
    assert "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" == jose.thumbprint(jwk)


def test_token_and_nonce_may_be_missing() -> None:
    """Where there is no token yet and no nonce, the proof speaks of neither."""
    claims = checked(proof(key(), "POST", "https://as.example/token", OCCASION).reveal())

    assert {"jti", "htm", "htu", "iat"} == claims.keys()
    said = checked(proof(key(), "POST", "https://as.example/", OCCASION, nonce="n").reveal())
    assert "n" == said["nonce"]


@pytest.mark.parametrize(
    "url, shown",
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
def test_the_url_is_in_its_usual_form(url: str, shown: str) -> None:
    """No query, no fragment, no port that goes without saying; the path as it is sent."""
    assert shown == htu(url)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"])), st.text("a?#&=%é", max_size=9))
def test_the_url_is_the_one_that_is_sent(path: str, value: str) -> None:
    """Whatever the path and the query, the proof names what is sent, up to the query."""
    request = Request.get(f"/{path}", query={"q": value})
    url = join_url("https://api.example/v1", request)

    shown = htu(url)

    assert url.partition("?")[0] == shown
    assert str(shown).isascii()


def test_a_very_long_url_is_shown_whole() -> None:
    """A proof for a long URL takes no longer than its length deserves."""
    url = f"https://api.example/{'a/' * 500_000}"
    began = time.process_time()

    assert url == htu(f"{url}?{'q' * 1_000_000}")

    assert time.process_time() - began < 5


@pytest.mark.parametrize("offset", [-12, 0, 9.5])
def test_the_time_is_of_no_zone(offset: float) -> None:
    """The time is in whole seconds since the epoch, wherever the clock is read."""
    moment = (NOON + timedelta(milliseconds=999)).astimezone(timezone(timedelta(hours=offset)))

    shown = proof(key(), "GET", "https://api.example/", Occasion(moment, "id-1"))

    assert int(NOON.timestamp()) == checked(shown.reveal())["iat"]


def test_every_signature_has_both_numbers_whole() -> None:
    """However small the numbers of a signature are, each takes its 32 bytes."""
    shown = [proof(key(), "GET", "https://api.example/", OCCASION) for _ in range(500)]
    assert {64} == {len(jose.read(one.reveal()).signature) for one in shown}


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
def test_only_p256_makes_proofs(wrong: str) -> None:
    """Any other key is refused by its field, before anything is sent, and shown to nobody."""
    canaries = Canaries()
    canaries.plant("key", wrong.splitlines()[len(wrong.splitlines()) > 1])
    calls: dict[str, Callable[[], object]] = {
        "check": lambda: check_proof_key(Secret(wrong)),
        "credentials": lambda: OAuthCredentials(access_token="t", dpop_key=wrong),
        "proof": lambda: proof(Secret(wrong), "GET", "https://api.example/", OCCASION),
    }

    caught: dict[str, ConnectorError] = {}
    for name, call in calls.items():
        with pytest.raises(InvalidData) as refused:
            call()
        caught[name] = refused.value

    assert ["dpop_key", "dpop_key"] == [caught[n].field for n in ("check", "credentials")]  # type: ignore[attr-defined]  # InvalidData
    assert "P-256" in caught["credentials"].remedy
    assert "not a key for ecdsa-p256-sha256" in caught["proof"].message
    assert [] == [heard for name, error in caught.items() for heard in canaries.search(name, error)]


# --- credentials ---------------------------------------------------------------------


def test_a_bound_token_goes_with_its_proof() -> None:
    """The scheme is DPoP whatever the type is called, and a proof of the request's own is gone."""
    known = OAuthCredentials(access_token="t", dpop_key=proof_key())
    request = Request.post("/a", headers={"DPoP": "old", "Authorization": "old"})
    url = "https://api.example/a?b"

    sent = sign(authorise(request, known), url, known, OCCASION, nonce="n-1")

    assert "DPoP t" == sent.headers["Authorization"]
    assert 1 == len(sent.headers.get_all("DPoP"))
    claims = checked(sent.headers["DPoP"])
    assert ("POST", "https://api.example/a", "n-1") == tuple(
        claims[name] for name in ("htm", "htu", "nonce")
    )
    assert signs(known)
    assert tells_in_query(known)
    assert claims["ath"] not in repr((sent, sent.headers, known))
    assert sent.headers["DPoP"] not in repr((sent, sent.headers, known))


def test_a_token_that_is_not_bound_has_no_proof() -> None:
    """Without a key nothing is proved, whatever the type is called."""
    known = OAuthCredentials(access_token="t", token_type="DPoP")
    request = authorise(Request.get("/a"), known)

    assert request is sign(request, "https://api.example/a", known, OCCASION)
    assert not signs(known)


# --- what answers say ----------------------------------------------------------------


@pytest.mark.parametrize(
    "told, nonce",
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
def test_a_nonce_is_what_the_rfc_allows(told: str | None, nonce: str | None) -> None:
    """A nonce has no white space, quotes or control characters in it, and an end."""
    assert nonce == nonce_of(Headers({} if told is None else {"dpop-nonce": told}))


@pytest.mark.parametrize(
    "told, refusal",
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
def test_a_refused_proof_is_told_from_a_refused_token(
    told: list[str], refusal: ProofRefusal | None
) -> None:
    """Only the error of the challenge counts, in whichever of several it stands."""
    assert refusal is refusal_of(Headers([("WWW-Authenticate", one) for one in told]))


@pytest.mark.parametrize("refusal", ProofRefusal)
def test_a_refusal_is_written_and_read(refusal: ProofRefusal) -> None:
    """What stands for a refusal is read as that."""
    assert refusal is refusal_of(Headers([challenge(refusal)]))
