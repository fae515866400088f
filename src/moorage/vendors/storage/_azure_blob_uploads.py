"""Uploads to Azure in blocks; a block's name identifies the upload and the part.

The name of a block consists of the MD5 of its bytes, which Azure has verified, its number and its
upload. So a stored block certainly has the bytes that were sent, and belongs to one upload only.
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
from moorage.vendor_sdk import InvalidData, encode_json, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.vendors.storage._common import Fields

_NAME: Final = re.compile(r"([0-9a-f]{32})\.([0-9]{5})\.([0-9a-f]{20})")
_TAG: Final = re.compile(r"[0-9a-f]{20}")


@attrs.frozen
class BlockUpload:
    """The state of an upload, stored in its reference because Azure does not store it.

    Attributes:
        tag: text in the names of this upload's blocks.
        kept: headers with the options of the future blob.
    """

    tag: str
    kept: Fields = attrs.field(repr=False)

    @classmethod
    def begun(cls, new_id: str, stored_fields: Fields) -> Self:
        """Return a new upload."""
        return cls(sha256(new_id.encode()).hexdigest()[:20], stored_fields)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text that the method `id` makes.

        Raises:
            InvalidData: the text is malformed.
        """
        tag, _, encoded_headers = text.partition(".")
        blob_headers = _read_block(encoded_headers)
        if _TAG.fullmatch(tag) and is_object(blob_headers) and _are_headers(blob_headers):
            return cls(tag, blob_headers)
        raise InvalidData(
            "The reference does not identify an upload to Azure.",
            field="ref",
            remedy="Pass the `ref` that start_upload returned.",
        )

    @property
    def id(self) -> str:
        """The upload as text, with the blob's options, so that any process can resume it."""
        if not self.kept:
            return self.tag
        return f"{self.tag}.{urlsafe_b64encode(encode_json(self.kept)).decode()}"

    def block(self, number: int, md5: str) -> str:
        """The name of a block; all names are equally long, as Azure requires."""
        return b64encode(f"{md5}.{number:05}.{self.tag}".encode()).decode()

    def blocks(self, parts: Iterable[Part]) -> list[str]:
        """The names of the blocks of these parts."""
        return [self.block(part.number, part.etag) for part in parts]

    def part(self, block: str, size: int) -> Part | None:
        """The part whose block has this name; None if the block belongs to another upload."""
        match = _NAME.fullmatch(_plain_url(block))
        if match is None or match[3] != self.tag:
            return None
        return part(int(match[2]), size, Checksum(ChecksumAlgorithm.MD5, match[1]))


def part(number: int, size: int, checksum: Checksum) -> Part:
    """A part of an upload, as stored by Azure."""
    return Part(number=number, size=size, etag=checksum.value, checksum=checksum)


def _read_block(written: str) -> object:
    try:
        return json.loads(urlsafe_b64decode(written) or "{}")
    except (ValueError, RecursionError):
        return None


def _are_headers(table: Mapping[str, Any]) -> bool:
    return all(
        name.lower().startswith("x-ms-") and isinstance(value, str) for name, value in table.items()
    )


def _plain_url(block: str) -> str:
    try:
        return b64decode(block, validate=True).decode("ascii")
    except ValueError:
        return ""
