"""Signed URLs and forms: temporary access to one file without credentials."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.validators import is_whole
from moorage.domain.http.requests import HttpMethod, as_method
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import attrs

_LONGEST_LIFE: Final = 604_800
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def is_header(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a header value that could inject another header."""
    if value is not None and (not isinstance(value, str) or _CONTROL.search(value)):
        raise InvalidData(
            f"The {attribute.name} must be one line of text without control characters.",
            field=attribute.name,
            remedy="Remove line breaks and other control characters, which could add headers to"
            " the response.",
        )


def check_expiry(value: float | timedelta) -> int:
    """Check the lifetime of a signed URL or form, and return it in whole seconds."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if type(seconds) not in {int, float} or not 1 <= seconds <= _LONGEST_LIFE:
        raise InvalidData(
            f"A signed URL cannot be valid for {seconds!r} seconds.",
            field="expires",
            remedy="Give a number of seconds from 1 to 604800 (one week), or a timedelta.",
        )
    return int(seconds)


@frozen(kw_only=True)
class UrlOptions:
    """Options of a signed URL.

    Attributes:
        method: GET, HEAD, PUT or DELETE.
        expires: seconds until the URL expires.
        content_type, content_disposition: headers of the response; for a PUT, headers of the
        request.
    """

    method: HttpMethod = field(default=HttpMethod.GET, converter=as_method)
    expires: int = field(default=3600, converter=check_expiry)
    content_type: str | None = field(default=None, validator=is_header)
    content_disposition: str | None = field(default=None, validator=is_header, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse an HTTP method that no stored object supports."""
        if self.method not in {HttpMethod.GET, HttpMethod.HEAD, HttpMethod.PUT, HttpMethod.DELETE}:
            raise InvalidData(
                f"A signed URL cannot be created for the method {self.method}.",
                field="method",
                remedy="Use GET, HEAD, PUT or DELETE; use signed_post() for a form.",
            )


@frozen(kw_only=True)
class SignedUrl:
    """A URL that allows its holder one operation on an object for a limited time.

    Attributes:
        url: the URL; it is a secret, and hidden from the repr.
        method: HTTP method that it allows.
        headers: headers that the request must send.
        expires_at: time at which it expires.
    """

    url: str = field(repr=False)
    method: HttpMethod
    headers: Mapping[str, str]
    expires_at: datetime


@frozen(kw_only=True)
class PostOptions:
    """Options of a signed form.

    Attributes:
        expires: seconds until the form expires.
        smallest, largest: limits of the file's size in bytes.
        content_type: content type that the form must state; None for any.
    """

    expires: int = field(default=3600, converter=check_expiry)
    smallest: int = field(default=0, validator=is_whole)
    largest: int = field(default=5 * 1024 * 1024 * 1024, validator=is_whole)
    content_type: str | None = field(default=None, validator=is_header)

    def __attrs_post_init__(self) -> None:
        """Refuse impossible limits for the size of the file."""
        if self.smallest > self.largest:
            raise InvalidData(
                "The limits of a form's file size are invalid.",
                field="largest",
                remedy="Give whole numbers of bytes of zero or more, and no `smallest` above"
                " `largest`.",
            )


@frozen(kw_only=True)
class SignedPost:
    """A form that allows its holder to upload one object.

    Attributes:
        url: target of the form, sent as multipart/form-data.
        fields: fields of the form, sent before the field `file`; they are secret, and hidden from
            the repr.
        expires_at: time at which it expires.
    """

    url: str = field(repr=False)
    fields: Mapping[str, str] = field(repr=False)
    expires_at: datetime
