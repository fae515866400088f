"""HTTP Digest authentication (RFC 7616), which proves a password without sending it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import attrs

from moorage.domain.http.challenges import read_challenges, read_parameters
from moorage.domain.http.requests import BodyStream
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from moorage.domain.http.challenges import Challenge
    from moorage.domain.http.headers import Headers
    from moorage.domain.http.requests import Request
    from moorage.domain.secrets.secret import Secret

_ALGORITHMS: Final[dict[str, Callable[[bytes], Any]]] = {
    "SHA-512-256": lambda content: hashlib.new("sha512_256", content, usedforsecurity=False),
    "SHA-256": hashlib.sha256,
    "MD5": lambda content: hashlib.md5(content, usedforsecurity=False),
}
"""The hash functions of Digest authentication, strongest first; most servers offer only MD5."""

_AVAILABLE_HASHES: Final = frozenset(
    name
    for name in _ALGORITHMS
    if name != "SHA-512-256" or "sha512_256" in hashlib.algorithms_available
)
"""The hash functions that this machine has."""

_SESSION: Final = "-SESS"
_QUOTABLE: Final = re.compile(r"[ -~]*")


@attrs.frozen(kw_only=True)
class DigestChallenge:
    """The parameters of a server's Digest challenge that a client needs for its response.

    Attributes:
        realm: the server's name for the area that the password is valid in.
        nonce: the value that the server wants to see in responses.
        algorithm: the hash as the server wrote it, such as `SHA-256` or `MD5-sess`; None if the
            server named none, which means MD5.
        qop: `auth`; or `auth-int`, which covers the body too; None for a server from before 1999.
        opaque: the value that responses repeat, if the server sent one.
        hashes_user: True if the server wants the user name hashed.
        stale: True if the server refused only the nonce.
    """

    realm: str
    nonce: str
    algorithm: str | None = None
    qop: str | None = None
    opaque: str | None = None
    hashes_user: bool = False
    stale: bool = False

    @property
    def is_session(self) -> bool:
        """True if the password is hashed once for all requests of a session."""
        return (self.algorithm or "").upper().endswith(_SESSION)


def digest_challenge(
    headers: Headers, *, algorithms: Collection[str] | None = None
) -> DigestChallenge | None:
    """Return the strongest Digest challenge of a response to which this client can respond, if any.

    `algorithms` are the names of the allowed hashes; by default all hashes that this machine
    supports.
    """
    usable_algorithms = _AVAILABLE_HASHES if algorithms is None else algorithms
    challenges = (
        _read_challenge(challenge, usable_algorithms) for challenge in read_challenges(headers)
    )
    return min(filter(None, challenges), key=_weakness, default=None)


def next_nonce(headers: Headers) -> str | None:
    """Return the nonce that a response announces for the next request, if any."""
    nonce = read_parameters(headers.get("authentication-info", "")).get("nextnonce")
    return nonce or None


@without_arguments_in_errors
def digest_response(
    username: str,
    password: Secret,
    challenge: DigestChallenge,
    request: Request,
    url: str,
    *,
    count: int,
    client_nonce: str,
    session_nonce: str | None = None,
) -> str:
    """Return the `Authorization` header that responds to a Digest challenge for one request.

    Args:
        username: the user name.
        password: the password, which the header does not contain.
        challenge: the newest challenge of the server.
        request: the request as it is sent.
        url: the request's URL.
        count: the number of requests with the nonce of this challenge, including this one.
        client_nonce: a value that no other request uses, except the requests of the same session.
        session_nonce: the server's nonce with which the session began, for a `-sess` algorithm; by
            default that of the challenge.

    Raises:
        InvalidData: the server wants the body hashed, and it is a stream.
    """
    digest = _hasher(challenge.algorithm)
    user = username.encode() + b":" + challenge.realm.encode("latin-1")
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request_count = f"{count:08x}"
    secret = digest(user + b":" + password.reveal_bytes())
    if challenge.is_session:
        secret = digest(f"{secret}:{session_nonce or challenge.nonce}:{client_nonce}")
    effect = f"{request.method}:{target}"
    if challenge.qop == "auth-int":
        effect += f":{_body_hash(request, digest)}"
    if challenge.qop is None:
        response = digest(f"{secret}:{challenge.nonce}:{digest(effect)}")
    else:
        nonce_part = f"{challenge.nonce}:{request_count}:{client_nonce}:{challenge.qop}"
        response = digest(f"{secret}:{nonce_part}:{digest(effect)}")
    fields = [
        *_user(username, digest(user) if challenge.hashes_user else None),
        ("realm", _quoted_text(challenge.realm)),
        ("nonce", _quoted_text(challenge.nonce)),
        ("uri", _quoted_text(target)),
        ("response", _quoted_text(response)),
    ]
    if challenge.algorithm is not None:
        fields.append(("algorithm", challenge.algorithm))
    if challenge.opaque is not None:
        fields.append(("opaque", _quoted_text(challenge.opaque)))
    if challenge.qop is not None:
        fields += [
            ("qop", challenge.qop),
            ("nc", request_count),
            ("cnonce", _quoted_text(client_nonce)),
        ]
    elif challenge.is_session:
        fields.append(("cnonce", _quoted_text(client_nonce)))
    return "Digest " + ", ".join(f"{name}={value}" for name, value in fields)


def _read_challenge(challenge: Challenge, algorithms: Collection[str]) -> DigestChallenge | None:
    """Return a parsed Digest challenge; None if this client cannot respond to it."""
    parameters = challenge.parameters
    realm, nonce = parameters.get("realm"), parameters.get("nonce")
    if challenge.scheme != "digest" or realm is None or not nonce:
        return None
    algorithm = parameters.get("algorithm")
    offers = [offer.strip().lower() for offer in parameters.get("qop", "").split(",")]
    qop = next((kind for kind in ("auth", "auth-int") if kind in offers), None)
    if _hash_name(algorithm) not in algorithms or (qop is None and any(offers)):
        return None
    return DigestChallenge(
        realm=realm,
        nonce=nonce,
        algorithm=algorithm,
        qop=qop,
        opaque=parameters.get("opaque"),
        hashes_user=parameters.get("userhash", "").lower() == "true",
        stale=parameters.get("stale", "").lower() == "true",
    )


def _weakness(challenge: DigestChallenge) -> int:
    return list(_ALGORITHMS).index(_hash_name(challenge.algorithm))


def _hash_name(algorithm: str | None) -> str:
    """Return the name of the hash that an algorithm uses; without an algorithm it is MD5."""
    return (algorithm or "MD5").upper().removesuffix(_SESSION)


def _hasher(algorithm: str | None) -> Callable[[str | bytes], str]:
    hash_function = _ALGORITHMS[_hash_name(algorithm)]

    def digest(content: str | bytes) -> str:
        octets = content if isinstance(content, bytes) else content.encode("latin-1")
        return str(hash_function(octets).hexdigest())

    return digest


def _body_hash(request: Request, digest: Callable[[str | bytes], str]) -> str:
    body = request.body
    if isinstance(body, BodyStream):
        raise InvalidData(
            "The server requires a hash of the body before the body is sent, but the body is"
            " a stream.",
            field="body",
            remedy="Pass the body as bytes.",
        )
    return digest(body or b"")


def _user(username: str, username_hash: str | None) -> list[tuple[str, str]]:
    if username_hash is not None:
        return [("username", _quoted_text(username_hash)), ("userhash", "true")]
    if _QUOTABLE.fullmatch(username):
        return [("username", _quoted_text(username))]
    return [("username*", f"UTF-8''{quote(username, safe='')}")]


def _quoted_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
