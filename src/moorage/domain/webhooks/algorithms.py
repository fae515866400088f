"""The algorithms of webhook signatures, and the keys derived from secrets.

`checker` turns a secret into a function that compares the signed text with the received signatures.
The function is made once and used for every delivery. Signatures are compared as text and not
decoded, so a signature written in another form is a different signature. Comparisons take constant
time.
"""

from __future__ import annotations

import re
from binascii import Error as BinasciiError
from binascii import a2b_base64, a2b_hex, b2a_base64
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias
from unicodedata import normalize

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.webhooks.public_keys import PublicKey

Check: TypeAlias = Callable[[bytes, Sequence[str]], bool]
"""A function that returns whether any of the signatures is one of these bytes."""


class WebhookAlgorithm(StrEnum):
    """The algorithms of webhook signatures.

    Weak algorithms are only for vendors that offer no better one.
    """

    HMAC_SHA1_LEGACY = "hmac-sha1"
    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA384 = "hmac-sha384"
    HMAC_SHA512 = "hmac-sha512"
    ED25519 = "ed25519"
    ECDSA_P256_SHA256 = "ecdsa-p256-sha256"
    RSA_SHA256 = "rsa-v1_5-sha256"
    RSA_SHA1_LEGACY = "rsa-v1_5-sha1"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    JWT_HS256 = "jwt-hs256"
    JWT_ES256 = "jwt-es256"
    JWT_RS256 = "jwt-rs256"
    JWT_EDDSA = "jwt-eddsa"
    MD5_KEY_IN_BODY_LEGACY = "md5-key-in-body"
    TOKEN = "token"  # noqa: S105 - the name of a way, not a token
    BASIC = "basic"
    CLIENT_CERTIFICATE = "client-certificate"


class WebhookEncoding(StrEnum):
    """The encodings of webhook signatures."""

    HEX = "hex"
    HEX_ANY_CASE = "hex-any-case"
    BASE64 = "base64"
    BASE64URL = "base64url"


class SecretForm(StrEnum):
    """The ways in which a vendor's secret is converted to the key of an HMAC."""

    TEXT = "text"
    BASE64 = "base64"
    HEX = "hex"
    SHA1 = "sha1"
    NFKD = "nfkd"


_A = WebhookAlgorithm
HASHES: Final = {
    _A.HMAC_SHA1_LEGACY: "sha1",
    _A.HMAC_SHA256: "sha256",
    _A.HMAC_SHA384: "sha384",
    _A.HMAC_SHA512: "sha512",
}
JWTS: Final = {
    _A.JWT_HS256: ("HS256", _A.HMAC_SHA256),
    _A.JWT_ES256: ("ES256", _A.ECDSA_P256_SHA256),
    _A.JWT_RS256: ("RS256", _A.RSA_SHA256),
    _A.JWT_EDDSA: ("EdDSA", _A.ED25519),
}
PLAIN: Final = frozenset({_A.TOKEN, _A.BASIC, _A.CLIENT_CERTIFICATE})
"""Algorithms that prove only the sender of a webhook, not its content."""
LEGACY: Final = frozenset({_A.HMAC_SHA1_LEGACY, _A.MD5_KEY_IN_BODY_LEGACY, _A.RSA_SHA1_LEGACY})

_STRAY_SPACE: Final = re.compile(r"\s.*|.*\s", re.DOTALL)
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_MD5: Final = re.compile(rb"[0-9a-f]{32}")


def checker(
    algorithm: WebhookAlgorithm,
    secret: Secret,
    *,
    encoding: WebhookEncoding = WebhookEncoding.HEX,
    form: SecretForm = SecretForm.TEXT,
    prefix: str = "",
) -> Check:
    """Return a function that checks whether this secret made a signature.

    Raises:
        ConfigurationError: the secret is empty, white space, or not a key for this algorithm.
    """
    sequence = _make_check(algorithm, secret, encoding, form, prefix)
    if sequence is not None:
        return sequence
    raise ConfigurationError(
        f"The secret is empty, begins or ends with white space, or is not a key for {algorithm}.",
        path="webhook_secrets",
        remedy="Set the secret as the vendor shows it, without line breaks. An empty secret"
        " would accept any webhook.",
    )


def _make_check(
    algorithm: WebhookAlgorithm,
    secret: Secret,
    encoding: WebhookEncoding,
    form: SecretForm,
    prefix: str,
) -> Check | None:
    if algorithm in HASHES:
        key = hmac_key(secret, form, prefix)
        return None if key is None else _hmac_check(key, HASHES[algorithm], encoding)
    if algorithm in PLAIN:
        return _plain_check(algorithm, secret)
    if algorithm is _A.MD5_KEY_IN_BODY_LEGACY:
        return _key_in_body_check(secret)
    if algorithm in JWTS:
        return _jwt_check(JWTS[algorithm][1], secret)
    return _public_check(algorithm, secret, encoding)


# --- shared secrets -----------------------------------------------------------------


def hmac_key(secret: Secret, form: SecretForm, prefix: str = "") -> bytes | None:
    """Return the key derived from a secret; None if the secret is not valid."""
    key = _hmac_key(secret, form, prefix)
    # An HMAC pads its key with zeros, so a key of zeros equals an empty key.
    return key if key and key.strip(b"\0") else None


def _hmac_key(secret: Secret, form: SecretForm, prefix: str) -> bytes | None:
    value = secret.reveal_bytes()
    if not value.strip():
        return None
    if form is SecretForm.SHA1:
        from hashlib import sha1  # noqa: PLC0415 - loads OpenSSL

        return None if _is_stray(value) else sha1(value).digest()  # noqa: S324 - the vendor's own way
    if form is SecretForm.TEXT:
        return None if _is_stray(value) else value
    try:
        text = value.decode().removeprefix(prefix)
        if form is SecretForm.NFKD:
            return None if _is_stray(value) else normalize("NFKD", text).encode()
        return a2b_hex(text) if form is SecretForm.HEX else _pad_signature(text)
    except (BinasciiError, ValueError):
        return None


def _is_stray(value: bytes) -> bool:
    """Return whether a secret begins or ends with white space, a sign of careless copying."""
    try:
        return _STRAY_SPACE.fullmatch(value.decode()) is not None
    except UnicodeDecodeError:
        return False


def _pad_signature(text: str) -> bytes:
    """Decode Base64 text whose padding may be missing."""
    return a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)


def _hmac_check(key: bytes, name: str, encoding: WebhookEncoding) -> Check:
    from hmac import compare_digest, digest  # noqa: PLC0415 - loads OpenSSL

    write = _WRITERS[encoding]

    def check_content(content: bytes, signatures: Sequence[str]) -> bool:
        expected_signature = write(digest(key, content, name))
        is_same = False
        for signature in signatures:
            received_signature = _lower_case_signature(encoding, signature)
            is_same |= compare_digest(
                expected_signature, received_signature.encode("utf-8", "surrogatepass")
            )
        return is_same

    return check_content


def _lower_case_signature(encoding: WebhookEncoding, signature: str) -> str:
    """Return a hexadecimal signature in lower case; a signature in mixed case stays unchanged."""
    is_upper_case = encoding is WebhookEncoding.HEX_ANY_CASE and signature.isupper()
    return signature.lower() if is_upper_case else signature


def _base64url(value: bytes) -> bytes:
    return b2a_base64(value, newline=False).translate(_URL_SAFE).rstrip(b"=")


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_WRITERS: Final[dict[WebhookEncoding, Callable[[bytes], bytes]]] = {
    WebhookEncoding.HEX: lambda value: value.hex().encode(),
    WebhookEncoding.HEX_ANY_CASE: lambda value: value.hex().encode(),
    WebhookEncoding.BASE64: lambda value: b2a_base64(value, newline=False),
    WebhookEncoding.BASE64URL: _base64url,
}


def _key_in_body_check(secret: Secret) -> Check | None:
    """Return a function that checks the MD5 of a body with the key in place of the signature."""
    from hashlib import md5  # noqa: PLC0415 - loads OpenSSL
    from hmac import compare_digest  # noqa: PLC0415 - loads OpenSSL

    key = hmac_key(secret, SecretForm.TEXT)
    if key is None:
        return None

    def check_content(content: bytes, signatures: Sequence[str]) -> bool:
        is_same = False
        for signature in signatures:
            received_signature = signature.encode("utf-8", "surrogatepass")
            if _MD5.fullmatch(received_signature) and content.count(received_signature) == 1:
                keyed_content = content.replace(received_signature, key)
                expected_signature = md5(keyed_content, usedforsecurity=False).hexdigest()
                is_same |= compare_digest(expected_signature.encode(), received_signature)
        return is_same

    return check_content


def _plain_check(algorithm: WebhookAlgorithm, secret: Secret) -> Check | None:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL
    from hmac import compare_digest  # noqa: PLC0415 - loads OpenSSL

    value = secret.reveal_bytes()
    if not value.strip() or _is_stray(value):
        return None
    if algorithm is _A.BASIC:
        name, colon, password = value.partition(b":")
        if not name or not colon or not password:
            return None
        value = b"Basic " + b2a_base64(value, newline=False)
    elif algorithm is _A.CLIENT_CERTIFICATE:
        value = value.replace(b":", b"").lower()
        if not _FINGERPRINT.fullmatch(value.decode("utf-8", "replace")):
            return None
    # Both values are hashed, so that not even the secret's length is revealed.
    expected = sha256(value).digest()

    def check_content(_: bytes, signatures: Sequence[str]) -> bool:
        is_same = False
        for signature in signatures:
            received_bytes = sha256(signature.encode("utf-8", "surrogatepass")).digest()
            is_same |= compare_digest(expected, received_bytes)
        return is_same

    return check_content


# --- public keys --------------------------------------------------------------------


def _public_check(
    algorithm: WebhookAlgorithm, secret: Secret, encoding: WebhookEncoding
) -> Check | None:
    from moorage.domain.webhooks.public_keys import read_key  # noqa: PLC0415 - loads OpenSSL

    key = read_key(secret.reveal_bytes())
    return None if key is None else key_check(algorithm, key, encoding)


def key_check(
    algorithm: WebhookAlgorithm, key: PublicKey, encoding: WebhookEncoding
) -> Check | None:
    """Return a function that checks signatures with a public key.

    Return None for a key of another type.
    """
    from moorage.domain.webhooks.public_keys import verifier  # noqa: PLC0415 - loads OpenSSL

    verify = verifier(algorithm, key)
    if verify is None:
        return None

    def check_content(content: bytes, signatures: Sequence[str]) -> bool:
        return any(
            decoded_bytes is not None and verify(decoded_bytes, content)
            for decoded_bytes in (decoded_as(encoding, signature) for signature in signatures)
        )

    return check_content


def decoded_as(encoding: WebhookEncoding, text: str) -> bytes | None:
    """Decode a signature; None if the text is not its canonical encoding."""
    try:
        encoded_bytes = _lower_case_signature(encoding, text).encode("ascii")
        if encoding in {WebhookEncoding.HEX, WebhookEncoding.HEX_ANY_CASE}:
            value = a2b_hex(encoded_bytes)
        else:
            padded_bytes = (
                encoded_bytes.translate(_URL_UNSAFE)
                if encoding is WebhookEncoding.BASE64URL
                else encoded_bytes
            )
            value = a2b_base64(padded_bytes + b"=" * (-len(padded_bytes) % 4), strict_mode=True)
    except (BinasciiError, ValueError):
        return None
    return value if value and _WRITERS[encoding](value) == encoded_bytes else None


_URL_UNSAFE: Final = bytes.maketrans(b"-_", b"+/")


def _jwt_check(algorithm: WebhookAlgorithm, secret: Secret) -> Check | None:
    """Return a function that checks the signatures of JSON Web Tokens with this secret."""
    if algorithm is _A.HMAC_SHA256:
        key = hmac_key(secret, SecretForm.TEXT)
        if key is None or key.lstrip()[:1] in (b"{", b"-"):
            # If a public key were accepted as a shared secret, anybody could sign.
            return None
        return _hmac_check(key, "sha256", WebhookEncoding.BASE64URL)
    from moorage.domain.webhooks.public_keys import (  # noqa: PLC0415 - loads OpenSSL
        joined_verifier,
        read_key,
    )

    public_key = read_key(secret.reveal_bytes())
    verify = None if public_key is None else joined_verifier(algorithm, public_key)
    if verify is None:
        return None

    def check_content(content: bytes, signatures: Sequence[str]) -> bool:
        return any(
            decoded_bytes is not None and verify(decoded_bytes, content)
            for decoded_bytes in (
                decoded_as(WebhookEncoding.BASE64URL, text) for text in signatures
            )
        )

    return check_content
