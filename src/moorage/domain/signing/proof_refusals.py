"""The responses by which servers refuse a proof of possession or demand a nonce (RFC 9449)."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from moorage.domain.http.headers import Headers

_NONCE: Final = late_pattern(r"[\x21\x23-\x5b\x5d-\x7e]{1,2048}")
_CHALLENGE: Final = late_pattern(
    r"(?:^|[\s,])error\s{0,4}=\s{0,4}\"?(use_dpop_nonce|invalid_dpop_proof)(?![^\s,\"])",
    re.IGNORECASE,
)


class ProofRefusal(Enum):
    """The reason why a server refuses a proof of possession, although it accepts the token."""

    NONCE = "use_dpop_nonce"
    INVALID = "invalid_dpop_proof"


def nonce_of(headers: Headers) -> str | None:
    """Return the nonce that a response demands for the next proof; None without a valid nonce."""
    nonce = headers.get("dpop-nonce")
    return nonce if nonce is not None and _NONCE.fullmatch(nonce) else None


def refusal_of(headers: Headers) -> ProofRefusal | None:
    """Return why a response rejects the proof of possession; None if it does not."""
    for value in headers.get_all("www-authenticate"):
        match = _CHALLENGE.search(value)
        if match is not None:
            return ProofRefusal(match[1].lower())
    return None


def challenge(refusal: ProofRefusal) -> tuple[str, str]:
    """Return the header with which a server refuses a proof for this reason."""
    return "WWW-Authenticate", f'DPoP error="{refusal.value}"'
