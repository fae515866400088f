"""What lets somebody else do one thing with a file for a while: signed URLs and forms."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.kinds import is_whole
from moorage.domain.http import HttpMethod, as_method
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_LONGEST_LIFE: Final = 604_800
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def is_header(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what could add a header to an answer, whoever gives it."""
    if value is not None and (not isinstance(value, str) or _CONTROL.search(value)):
        raise InvalidData(
            f"The {attribute.name} is no text of one line.",
            field=attribute.name,
            remedy="Leave out line breaks and control characters: they could add headers.",
        )


def check_expiry(value: float | timedelta) -> int:
    """Whole seconds for which a signature may be good."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if type(seconds) not in {int, float} or not 1 <= seconds <= _LONGEST_LIFE:
        raise InvalidData(
            f"A signed URL cannot be good for {seconds!r} seconds.",
            field="expires",
            remedy="Give seconds from 1 to 604800, which is a week, or a timedelta.",
        )
    return int(seconds)


@attrs.frozen(kw_only=True)
class UrlOptions:
    """What a signed URL is to allow.

    Attributes:
        method: GET, HEAD, PUT or DELETE.
        expires: seconds for which it is good.
        content_type, content_disposition: what answers to it say; of a PUT, what it must say.
    """

    method: HttpMethod = attrs.field(default=HttpMethod.GET, converter=as_method)
    expires: int = attrs.field(default=3600, converter=check_expiry)
    content_type: str | None = attrs.field(default=None, validator=is_header)
    content_disposition: str | None = attrs.field(default=None, validator=is_header, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what nobody does with an object."""
        if self.method not in {HttpMethod.GET, HttpMethod.HEAD, HttpMethod.PUT, HttpMethod.DELETE}:
            raise InvalidData(
                f"A signed URL is not for {self.method}.",
                field="method",
                remedy="Use GET, HEAD, PUT or DELETE; a form is signed by signed_post.",
            )


@attrs.frozen(kw_only=True)
class SignedUrl:
    """A URL that lets whoever has it do one thing for a while.

    Attributes:
        url: the URL; it is a secret, and not shown.
        method: what it is good for.
        headers: what must be sent along with it.
        expires_at: when it stops being good.
    """

    url: str = attrs.field(repr=False)
    method: HttpMethod
    headers: Mapping[str, str]
    expires_at: datetime


@attrs.frozen(kw_only=True)
class PostOptions:
    """What a signed form is to allow.

    Attributes:
        expires: seconds for which it is good.
        smallest, largest: how many bytes the file may have.
        content_type: what the form must say of it; None is anything.
    """

    expires: int = attrs.field(default=3600, converter=check_expiry)
    smallest: int = attrs.field(default=0, validator=is_whole)
    largest: int = attrs.field(default=5 * 1024 * 1024 * 1024, validator=is_whole)
    content_type: str | None = attrs.field(default=None, validator=is_header)

    def __attrs_post_init__(self) -> None:
        """Refuse sizes that no file has."""
        if self.smallest > self.largest:
            raise InvalidData(
                "A form cannot allow files of such sizes.",
                field="largest",
                remedy="Give whole numbers of bytes, from 0, and the larger one as largest.",
            )


@attrs.frozen(kw_only=True)
class SignedPost:
    """A form that lets whoever has it put one object.

    Attributes:
        url: where it is sent, as multipart/form-data.
        fields: what it must hold, before the field `file`; they are a secret, and not shown.
        expires_at: when it stops being good.
    """

    url: str = attrs.field(repr=False)
    fields: Mapping[str, str] = attrs.field(repr=False)
    expires_at: datetime
