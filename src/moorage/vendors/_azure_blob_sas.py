"""Shared access signatures: URLs that let whoever has them do one thing to a blob for a while."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.query import encode_pairs

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.contracts.signed import UrlOptions

_PERMISSIONS: Final = {"GET": "r", "HEAD": "r", "PUT": "w", "DELETE": "d"}


@attrs.frozen(kw_only=True)
class Grant:
    """What a URL is to allow.

    Attributes:
        url: the blob's URL.
        resource: the blob as signatures call it.
        version: of the API.
        options: what may be done, and what answers then say.
        until: how long.
    """

    url: str
    resource: str
    version: str
    options: UrlOptions
    until: datetime

    def signed(self, own: tuple[str, ...], sign: Callable[[str], str], **more: str) -> str:
        """The URL with its signature.

        Args:
            own: the lines of who signs, which stand behind the resource.
            sign: makes a signature of a text.
            more: further parameters of who signs.
        """
        fields = self._fields()
        text = "\n".join(
            (
                fields["sp"],
                "",
                fields["se"],
                self.resource,
                *own,
                "",
                fields["spr"],
                fields["sv"],
                fields["sr"],
                "",
                "",
                "",
                fields.get("rscd", ""),
                "",
                "",
                fields.get("rsct", ""),
            )
        )
        pairs = tuple({**fields, **more, "sig": sign(text)}.items())
        return f"{self.url}?{encode_pairs(pairs)}"

    def _fields(self) -> dict[str, str]:
        options = self.options
        fields = {
            "sv": self.version,
            "sr": "b",
            "sp": _PERMISSIONS[options.method],
            "se": moment(self.until),
            "spr": "https" if self.url.startswith("https:") else "https,http",
        }
        if options.method in {"GET", "HEAD"}:
            said = {"rscd": options.content_disposition, "rsct": options.content_type}
            fields |= {name: value for name, value in said.items() if value}
        return fields


def moment(time: datetime) -> str:
    """A time as Azure writes it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
