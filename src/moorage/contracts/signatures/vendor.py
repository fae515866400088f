"""The operations of a vendor of electronic signatures."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.signatures.envelopes import (
        Envelope,
        SignatureReceipt,
        SignedFile,
        SigningLink,
    )
    from moorage.contracts.signatures.requests import SignatureRequest
    from moorage.contracts.wire import Wire

KIND: Final = "signatures"


class SignaturesCapability(StrEnum):
    """An optional feature of a vendor of electronic signatures."""

    TEMPLATES = "templates"
    ANCHORS = "anchors"
    POSITIONS = "positions"
    PHONE_CHECK = "phone_check"
    EMBEDDED = "embedded"
    LANGUAGE = "language"
    EXPIRY = "expiry"
    REMINDERS = "reminders"
    REMIND = "remind"
    VOID_REASON = "void_reason"
    CERTIFICATE = "certificate"


class SignaturesVendor(Protocol):
    """The operations of a vendor of signatures; its `capabilities` list the optional ones."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt: ...

    async def get(self, wire: Wire, ref: Ref, /) -> Envelope: ...

    async def remind(self, wire: Wire, ref: Ref, /, *, key: str | None) -> SignatureReceipt: ...

    async def void(self, wire: Wire, ref: Ref, reason: str | None, /) -> SignatureReceipt: ...

    async def signing_link(
        self, wire: Wire, ref: Ref, email: str, return_url: str | None, /
    ) -> SigningLink: ...

    async def download(self, wire: Wire, ref: Ref, /) -> SignedFile: ...

    async def certificate(self, wire: Wire, ref: Ref, /) -> SignedFile: ...
