"""The signing methods for requests, by name."""

from __future__ import annotations

from typing import Final, TypeAlias, get_args

from moorage.domain.signing.azure import AzureSharedKey
from moorage.domain.signing.hmac_signing import HmacSigning
from moorage.domain.signing.jwt import JwtSigning
from moorage.domain.signing.message import MessageSignature
from moorage.domain.signing.sigv4 import AwsSigV4

Signing: TypeAlias = AwsSigV4 | AzureSharedKey | HmacSigning | JwtSigning | MessageSignature

SIGNINGS: Final[dict[str, type[Signing]]] = {kind.method: kind for kind in get_args(Signing)}
"""The signing classes, by their authentication method."""
