"""Responses to HTTP Digest challenges, compared with the examples of the RFCs."""

from __future__ import annotations

import hashlib

import attrs
import pytest

from moorage.domain.auth.digest import (
    DigestChallenge,
    digest_challenge,
    digest_response,
    next_nonce,
)
from moorage.domain.http.challenges import read_parameters
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import BodyStream, Request
from moorage.domain.secrets.secret import Secret
from moorage.errors import InvalidData

MUFASA = DigestChallenge(
    realm="http-auth@example.org",
    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    qop="auth",
)
JASON = DigestChallenge(
    realm="api@example.org",
    nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
    opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS",
    algorithm="SHA-512-256",
    qop="auth",
)
PAGE = Request.get("/dir/index.html")
PAGE_URL = "http://www.example.org/dir/index.html"


def respond(
    challenge: DigestChallenge,
    username: str = "u",
    password: str = "p",
    *,
    request: Request = PAGE,
    url: str = PAGE_URL,
    client_nonce: str = "c",
    count: int = 1,
) -> dict[str, str]:
    """Return the fields of a response to a Digest challenge."""
    value = digest_response(
        username,
        Secret(password),
        challenge,
        request,
        url,
        count=count,
        client_nonce=client_nonce,
    )
    assert value.startswith("Digest ")
    return read_parameters(value.removeprefix("Digest "))


def challenged(*values: str) -> DigestChallenge | None:
    """Return the challenge that a client chooses among these headers."""
    return digest_challenge(Headers([("WWW-Authenticate", value) for value in values]))


@pytest.mark.parametrize(
    "algorithm, response",
    [
        (None, "8ca523f5e9506fed4657c9700eebdbec"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_first_example_of_rfc_7616(algorithm: str | None, response: str) -> None:
    """Digest reproduces the example of RFC 7616's section 3.9.1; MD5 is the default algorithm."""
    fields = respond(
        attrs.evolve(MUFASA, algorithm=algorithm),
        "Mufasa",
        "Circle of Life",
        client_nonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )

    assert response == fields["response"]
    assert algorithm == fields.get("algorithm")
    assert ("00000001", "auth", MUFASA.opaque) == (fields["nc"], fields["qop"], fields["opaque"])


@pytest.mark.parametrize("hashed", [True, False])
def test_second_example_of_rfc_7616(hashed: bool) -> None:
    """Digest reproduces RFC 7616's example in section 3.9.2, as corrected by erratum 4897."""
    fields = respond(
        attrs.evolve(JASON, hashes_user=hashed),
        "J\u00e4s\u00f8n Doe",
        "Secret, or not?",
        request=Request.get("/doe.json"),
        url="http://api.example.org/doe.json",
        client_nonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )

    response = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    user = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert response == fields["response"]
    assert (user if hashed else None) == fields.get("username")
    assert ("true" if hashed else None) == fields.get("userhash")
    assert (None if hashed else "UTF-8''J%C3%A4s%C3%B8n%20Doe") == fields.get("username*")


def test_digest_reproduces_the_example_of_rfc_2617() -> None:
    """Digest reproduces the example of RFC 2617."""
    challenge = DigestChallenge(
        realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", qop="auth"
    )
    fields = respond(challenge, "Mufasa", "Circle Of Life", client_nonce="0a4f113b")
    assert "6629fae49393a05397450978507c4ef1" == fields["response"]


def test_server_without_qop_gets_no_counter() -> None:
    """A Digest challenge without `qop` gets a response without counter and client nonce."""
    fields = respond(DigestChallenge(realm="r", nonce="n"))
    secret, effect = md5("u:r:p"), md5("GET:/dir/index.html")
    assert md5(f"{secret}:n:{effect}") == fields["response"]
    assert {"nc", "cnonce", "qop", "opaque"}.isdisjoint(fields)


@pytest.mark.parametrize("qop", ["auth", None])
def test_session_algorithm_covers_both_nonces(qop: str | None) -> None:
    """With a `-sess` algorithm, Digest's hashed secret includes the nonces of client and server."""
    fields = respond(DigestChallenge(realm="r", nonce="n", algorithm="MD5-sess", qop=qop), count=2)
    secret = md5(md5("u:r:p") + ":n:c")
    nonce_part = "n:00000002:c:auth" if qop else "n"
    assert md5(f"{secret}:{nonce_part}:{md5('GET:/dir/index.html')}") == fields["response"]
    assert ("c", "MD5-sess") == (fields["cnonce"], fields["algorithm"])


def test_body_is_hashed_if_the_server_requires_it() -> None:
    """Digest's `auth-int` covers the body, the path and the query."""
    request = Request.post("/orders", body=b"paid")
    challenge = DigestChallenge(realm="r", nonce="n", qop="auth-int")
    url = "https://vendor.example/orders?a=1"
    fields = respond(challenge, request=request, url=url)
    effect = md5(f"POST:/orders?a=1:{md5('paid')}")
    assert md5(f"{md5('u:r:p')}:n:00000001:c:auth-int:{effect}") == fields["response"]
    assert "/orders?a=1" == fields["uri"]


def test_streamed_body_cannot_be_hashed_before_it_is_sent() -> None:
    """Digest's `auth-int` refuses a streamed body, with a remedy."""
    request = Request.post("/orders", body=BodyStream.of(iter([b"paid"])))
    challenge = DigestChallenge(realm="r", nonce="n", qop="auth-int")
    with pytest.raises(InvalidData, match="Pass the body as bytes"):
        respond(challenge, request=request)


def test_digest_uses_path_for_url_without_one() -> None:
    """Digest uses the path `/` for a URL without one."""
    challenge = DigestChallenge(realm="r", nonce="n")
    assert "/" == respond(challenge, url="https://vendor.example")["uri"]


def test_text_of_the_server_is_repeated_exactly() -> None:
    """Quotes, backslashes and non-ASCII text in a Digest realm and nonce are sent unchanged."""
    challenge = challenged('Digest realm="a \\"b\\" \\\\ \u00e9", nonce="n\\"1"')
    assert challenge is not None
    fields = respond(challenge)
    assert ('a "b" \\ \u00e9', 'n"1') == (fields["realm"], fields["nonce"])
    secret = hashlib.md5(b'u:a "b" \\ \xe9:p', usedforsecurity=False).hexdigest()
    assert md5(f'{secret}:n"1:{md5("GET:/dir/index.html")}') == fields["response"]


def test_strongest_algorithm_is_chosen() -> None:
    """Of several Digest challenges, the one with the strongest hash is chosen."""
    values = [f'Digest realm="r", nonce="{a}", algorithm={a}' for a in ("MD5", "SHA-256")]
    strongest = 'Digest realm="r", nonce="s", algorithm=sha-512-256-SESS'
    for offered_challenges, algorithm in (
        (values, "SHA-256"),
        ([*values, strongest], "sha-512-256-SESS"),
        (values[:1], "MD5"),
    ):
        chosen_challenge = challenged("Basic realm=r", *offered_challenges)
        assert chosen_challenge is not None
        assert algorithm == chosen_challenge.algorithm


def test_algorithm_that_may_not_be_used_is_not_chosen() -> None:
    """A Digest challenge is skipped if its hash algorithm is not allowed."""
    headers = Headers({"WWW-Authenticate": "Digest realm=r, nonce=n, algorithm=SHA-256"})
    assert digest_challenge(headers, algorithms=["MD5"]) is None
    assert digest_challenge(headers, algorithms=["SHA-256"]) is not None


@pytest.mark.parametrize(
    "value",
    [
        "Basic realm=r",
        "Digest nonce=n",
        "Digest realm=r",
        'Digest realm=r, nonce=""',
        "Digest realm=r, nonce=n, algorithm=SHA-1",
        "Digest realm=r, nonce=n, qop=auth-conf",
    ],
)
def test_incomplete_or_unknown_challenge_is_not_answered(value: str) -> None:
    """An incomplete Digest challenge, or one with an unknown algorithm, is not answered."""
    assert challenged(value) is None


def test_fields_of_a_challenge_are_read() -> None:
    """A Digest challenge's fields are read, and `auth` is preferred to `auth-int`."""
    challenge = challenged(
        'Digest realm="r", nonce="n", qop="auth-int, AUTH", opaque="o", stale=TRUE, userhash=true'
    )
    assert challenge == DigestChallenge(
        realm="r", nonce="n", qop="auth", opaque="o", stale=True, hashes_user=True
    )


@pytest.mark.parametrize(
    "value, nonce",
    [(None, None), ("", None), ('nextnonce="n2", qop=auth', "n2"), ('nextnonce=""', None)],
)
def test_next_nonce_of_an_answer(value: str | None, nonce: str | None) -> None:
    """A successful response may carry the Digest nonce for the next request."""
    headers = Headers({} if value is None else {"Authentication-Info": value})
    assert nonce == next_nonce(headers)


def md5(text: str) -> str:
    """Return the MD5 hash of a string."""
    return hashlib.md5(text.encode("latin-1"), usedforsecurity=False).hexdigest()
