"""Uploads to Azure, which has none: only blocks, whose names tell all that must be known of them.

A block is called by the MD5 of its bytes, which Azure has compared with them, by its number and by
its upload. So what is there is certain to be what was sent, and no upload takes another's.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.storage import Part
from moorage.domain.json_text import encode_json, is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.vendors._storage import Fields

_NAME: Final = re.compile(r"([0-9a-f]{32})\.([0-9]{5})\.([0-9a-f]{20})")
_TAG: Final = re.compile(r"[0-9a-f]{20}")


@attrs.frozen
class BlockUpload:
    """An upload as we know it, because Azure does not.

    Attributes:
        tag: tells its blocks from others'.
        kept: how the blob is to be kept, as headers.
    """

    tag: str
    kept: Fields = attrs.field(repr=False)

    @classmethod
    def begun(cls, new_id: str, kept: Fields) -> Self:
        """One that nobody else has."""
        return cls(sha256(new_id.encode()).hexdigest()[:20], kept)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `id` wrote.

        Raises:
            InvalidData: it is none.
        """
        tag, _, rest = text.partition(".")
        kept = _read(rest)
        if _TAG.fullmatch(tag) and is_object(kept) and _are_headers(kept):
            return cls(tag, kept)
        raise InvalidData(
            "This is no reference of an upload to Azure.",
            field="ref",
            remedy="Give the `ref` of what start_upload gave.",
        )

    @property
    def id(self) -> str:
        """All of it as text, so that whoever goes on with it knows how the blob is to be kept."""
        if not self.kept:
            return self.tag
        return f"{self.tag}.{urlsafe_b64encode(encode_json(self.kept)).decode()}"

    def block(self, number: int, md5: str) -> str:
        """What a block is called; all names are equally long, as Azure wants them."""
        return b64encode(f"{md5}.{number:05}.{self.tag}".encode()).decode()

    def blocks(self, parts: Iterable[Part]) -> list[str]:
        """What the blocks of these parts are called."""
        return [self.block(part.number, part.etag) for part in parts]

    def part(self, block: str, size: int) -> Part | None:
        """The part that is called so, if it is one of this upload."""
        found = _NAME.fullmatch(_plain(block))
        if found is None or found[3] != self.tag:
            return None
        return part(int(found[2]), size, Checksum(ChecksumAlgorithm.MD5, found[1]))


def part(number: int, size: int, checksum: Checksum) -> Part:
    """A part that Azure has."""
    return Part(number=number, size=size, etag=checksum.value, checksum=checksum)


def _read(written: str) -> object:
    try:
        return json.loads(urlsafe_b64decode(written) or "{}")
    except (ValueError, RecursionError):
        return None


def _are_headers(table: Mapping[str, Any]) -> bool:
    return all(
        name.lower().startswith("x-ms-") and isinstance(value, str) for name, value in table.items()
    )


def _plain(block: str) -> str:
    try:
        return b64decode(block, validate=True).decode("ascii")
    except ValueError:
        return ""
