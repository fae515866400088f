"""The secrets of a request, collected in order to mask them where the vendor repeats them.

They are the credential of the attempt, every value of the request whose name suggests a credential,
the values that the service's `Redaction` names, and the other secrets of the account. They are
collected only when a part of the vendor's response is stored.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.http.headers import Headers, as_headers
from moorage.domain.http.media_type import essence, is_json
from moorage.domain.http.redaction import Redaction
from moorage.domain.http.response import Response
from moorage.domain.secrets.secret import Secret
from moorage.domain.secrets.sensitive import MASK, bot_tokens, is_sensitive, secret_segments
from moorage.domain.secrets.value_mask import is_distinctive, mask_error, masked_text, value_mask
from moorage.domain.values.frozen_values import fields_of
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import attrs

    from moorage.domain.http.requests import Request
    from moorage.domain.secrets.value_mask import Masker

E = TypeVar("E", bound=ConnectorError)

LARGEST_BODY: Final = 65_536
"""Bytes of a failed response's body that are stored; secrets are searched in all of them."""

_FORM: Final = "application/x-www-form-urlencoded"
_ELEMENT: Final = late_pattern(r"<([\w.:\-]{1,80})(?:\s[^<>]{0,1000})?>([^<]{6,4000})<")
_PART_NAME: Final = late_pattern(rb'name="([^"]*)"', re.IGNORECASE)
_BOUNDARY: Final = late_pattern(r'boundary="?([^";,]+)', re.IGNORECASE)
_JSON_TOKEN: Final = late_pattern(rb'"(?:[^"\\]|\\.)*+"?|[^"\s,:{}\[\]]+')
_SINGLE_WORD: Final = late_pattern(rb"[^\s;,=]+=*")
_MARGIN: Final = 4096
"""Bytes that are searched beyond the stored part, so that no secret is cut in two."""

_OWN_NAMES: Final = frozenset({"service", "operation", "region", "_request_id", "path", "tenant"})
"""Fields of an error that identify the call and contain nothing from the vendor."""

_MOST_VALUES: Final = 16
_LONGEST_SCHEME: Final = 32

Values: TypeAlias = tuple["Sequence[bytes]", "Sequence[bytes]"]
"""Secrets, and words that are masked only if they stand alone; arguments of `value_mask`."""

SecretLearner: TypeAlias = "Callable[[Sequence[bytes], Sequence[bytes]], None]"
"""A function that receives the credentials that an attempt is about to send."""


class SensitiveNames:
    """Decides by the name of a field whether its value is masked as a credential.

    General rules apply, and those of one service.
    """

    __slots__ = ("_names", "_paths")

    def __init__(self, redaction: Redaction | None) -> None:
        rules = Redaction() if redaction is None else redaction
        self._names = rules.header_names | rules.query_names | rules.body_keys
        self._paths = rules.body_paths

    def is_sensitive_name(self, name: str) -> bool:
        """Return whether the value of a field of this name is masked as a credential."""
        return is_sensitive(name) or name.lower() in self._names

    def is_sensitive_path(self, path: tuple[str, ...]) -> bool:
        """Return whether the value at a JSON path is masked as a credential."""
        return path in self._paths

    def credentials_in_head(self, url: str, headers: Headers) -> Iterator[str]:
        """Yield the credentials in a URL and in headers."""
        address = urlsplit(url)
        for part in address.netloc.rpartition("@")[0].split(":"):
            yield unquote(part)
        yield from bot_tokens(address.path)
        yield from self._values_in_pairs(address.query)
        for name, value in headers.pairs:
            if self.is_sensitive_name(name):
                yield from _values_in_field(value)

    def credentials_in_body(self, body: bytes, content_type: str) -> Iterator[str]:
        """Yield the credentials in a body: a form, JSON, XML or a multipart body."""
        text = body.decode("utf-8", "replace")
        if essence(content_type) == _FORM:
            yield from self._values_in_pairs(text)
        elif essence(content_type).startswith("multipart/"):
            yield from self._values_in_parts(body, content_type)
        else:
            yield from self._values_in_json(body)
        for name, value in _ELEMENT.findall(text):
            if self.is_sensitive_name(name):
                yield value

    def _values_in_pairs(self, text: str) -> Iterator[str]:
        for name, value in parse_qsl(text):
            if self.is_sensitive_name(name):
                yield value

    def _values_in_parts(self, body: bytes, content_type: str) -> Iterator[str]:
        for part in body.split(multipart_delimiter(content_type)):
            head, _, content = part.partition(b"\r\n\r\n")
            if self.is_sensitive_name(part_name(head)):
                yield content.decode("utf-8", "replace")
            yield from self._values_in_json(content)

    def _values_in_json(self, body: bytes) -> Iterator[str]:
        try:
            value: object = json.loads(body)
            yield from self._values_in_json_value(value, (), hidden=False)
        except (ValueError, RecursionError):
            return

    def _values_in_json_value(
        self, value: object, path: tuple[str, ...], *, hidden: bool
    ) -> Iterator[str]:
        if isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            is_labelled = any(
                name.lower() in {"name", "key"}
                and isinstance(label, str)
                and self.is_sensitive_name(label)
                for name, label in fields.items()
            )
            for name, item in fields.items():
                item_path = (*path, name.lower())
                is_hidden = (
                    hidden
                    or (is_labelled and item_path[-1] == "value")
                    or self.is_sensitive_name(name)
                    or self.is_sensitive_path(item_path)
                )
                yield from self._values_in_json_value(item, item_path, hidden=is_hidden)
        elif isinstance(value, list):
            for item in cast("list[object]", value):
                yield from self._values_in_json_value(item, path, hidden=hidden)
        elif hidden and isinstance(value, (str, int)) and not isinstance(value, bool):
            yield str(value)


def multipart_delimiter(content_type: str) -> bytes:
    """Return the delimiter between the parts of a multipart body, from its content type."""
    match = _BOUNDARY.search(content_type)
    return b"--" + (match[1].strip().encode() if match else b"")


def part_name(head: bytes) -> str:
    """Return the field name of a part of a multipart form."""
    match = _PART_NAME.search(head)
    return match[1].decode("utf-8", "replace") if match else ""


class SentCredentials:
    """The credentials that one attempt sent; hidden in the `repr`, and never pickled."""

    __slots__ = ("_mask", "_values")

    def __init__(
        self,
        credentials: Credentials | OAuthCredentials | None,
        request: Request | None = None,
        url: str = "",
        redaction: Redaction | None = None,
        base_url: str | None = None,
        *,
        secrets: Sequence[Secret] = (),
    ) -> None:
        headers, body = as_headers(None) if request is None else request.headers, b""
        request_body = None if request is None else request.body
        if isinstance(request_body, bytes) and len(request_body) <= LARGEST_BODY:
            body = request_body

        def values() -> Values:
            sent_values, words = _values_of(
                credentials, url, headers, body, redaction=redaction, base_url=base_url or ""
            )
            return [*sent_values, *(secret.reveal_bytes() for secret in secrets)], words

        self._values = values
        self._mask = _mask_of(values)

    def report_secrets(self, learn: SecretLearner) -> None:
        """Pass the sent credentials to a recorder of requests, so that it masks them."""
        learn(*self._values())

    def response(self, response: Response) -> Response:
        """Return the response with the sent credentials masked, and a long body cut off."""
        mask = self._mask()
        body = response.body[: LARGEST_BODY + _MARGIN]
        masked_body = mask(body)
        if masked_body != body and is_json(response.header("content-type")):
            masked_body = as_valid_json(masked_body)
        pairs = [(name, masked_text(value, mask)) for name, value in response.headers.pairs]
        return response.evolve(
            body=masked_body[:LARGEST_BODY],
            headers=response.headers if pairs == [*response.headers.pairs] else Headers(pairs),
            reason=response.reason and masked_text(response.reason, mask),
            url=response.url and masked_text(response.url, mask),
        )

    def text(self, text: str) -> str:
        """Return the text with the sent credentials masked."""
        return masked_text(text, self._mask())

    def error(self, error: E) -> E:
        """Mask the sent credentials in an error and in its causes.

        Configuration errors stay as they are, because they never quote a vendor.
        """
        pending_errors: list[BaseException | None] = [error]
        visited_ids: set[int] = set()
        while pending_errors:
            visited_error = pending_errors.pop()
            if isinstance(visited_error, ConnectorError) and id(visited_error) not in visited_ids:
                visited_ids.add(id(visited_error))
                if not isinstance(visited_error, ConfigurationError):
                    mask_error(
                        visited_error, self._mask(), self._masked_answer, except_for=_OWN_NAMES
                    )
                pending_errors += [visited_error.__cause__, visited_error.__context__]
        return error

    def _masked_answer(self, value: Any) -> Any:
        return self.response(value) if isinstance(value, Response) else value


RecentCredentials: TypeAlias = deque[SentCredentials]
"""The credentials that the last attempts of several calls sent."""


def new_recent_credentials() -> RecentCredentials:
    """Return an empty collection, which a call fills with the credentials of its last attempts."""
    return deque(maxlen=_MOST_VALUES)


def _mask_of(values: Callable[[], Values]) -> Callable[[], Masker]:
    """Return a function that masks these values, prepared at its first use."""
    masker: Masker | None = None

    def mask() -> Masker:
        nonlocal masker
        if masker is None:
            masker = value_mask(*values())
        return masker

    return mask


def _values_of(
    credentials: Credentials | OAuthCredentials | None,
    url: str,
    headers: Headers,
    body: bytes,
    *,
    redaction: Redaction | None,
    base_url: str,
) -> Values:
    names = SensitiveNames(redaction)
    kind = headers.get("content-type", "")
    values = {
        *distinctive_values(names.credentials_in_head(url, headers)),
        *distinctive_values(secret_segments(base_url)),
    }
    # A part that itself has parts, such as a scheme, is no secret.
    single_line_values = {value for value in values if _SINGLE_WORD.fullmatch(value)}
    words = [
        *(values - single_line_values),
        *distinctive_values(names.credentials_in_body(body, kind)),
    ]
    further_values = () if redaction is None else redaction.secrets
    account_secrets = [value for secret in further_values for value in _values_in(secret)]
    return [*credential_values(credentials), *account_secrets, *single_line_values], words


def _values_in(secret: Secret) -> Iterable[bytes]:
    """Yield a secret's value; for a URL, yield its confidential parts, but not its host."""
    value = secret.reveal_bytes()
    if b"://" not in value[:_LONGEST_SCHEME]:
        return (value,)
    url = urlsplit(value.decode("utf-8", "replace"))
    user_and_password = url.netloc.rpartition("@")[0].split(":")
    parts = (*user_and_password, *url.path.split("/"), *dict(parse_qsl(url.query)).values())
    return distinctive_values([unquote(part) for part in parts])


def distinctive_values(values: Iterable[str]) -> Iterator[bytes]:
    """Yield the values that are too long to occur in a text by chance."""
    for value in map(str.strip, values):
        if is_distinctive(value):
            yield value.encode("utf-8", "replace")


def credential_values(
    credentials: Credentials | OAuthCredentials | None,
) -> Iterable[bytes]:
    """Yield the secret values of a credential, and its user name if that may be a key."""
    if credentials is None:
        return
    holders: list[Any] = [credentials]
    if isinstance(credentials, Credentials):
        user, secret = credentials.username, credentials.secret
        if user is not None and secret is not None:
            yield f"{user}:".encode() + secret.reveal_bytes()
            if is_distinctive(user):
                yield user.encode()
        if credentials.signing is not None:
            holders.append(credentials.signing)
    for holder in holders:
        kind = cast("type[attrs.AttrsInstance]", type(holder))
        for field in fields_of(kind):
            value = getattr(holder, field.name)
            if isinstance(value, Secret):
                yield value.reveal_bytes()
            elif holder is not credentials and isinstance(value, str) and not field.repr:
                yield value.encode()


def _values_in_field(value: str) -> Iterator[str]:
    """Yield the value of a header, and each of its parts that may be a credential."""
    yield value
    for pair in value.split(";"):
        yield pair.partition("=")[2]
    scheme, _, credentials = value.partition(" ")
    yield credentials
    if scheme.lower() == "basic":
        yield from _user_and_password(credentials)


def _user_and_password(encoded: str) -> Iterator[str]:
    try:
        user_and_password = b64decode(encoded, validate=True).decode()
    except ValueError:
        return
    yield user_and_password
    yield from user_and_password.split(":", 1)


def as_valid_json(masked: bytes) -> bytes:
    """Return masked JSON as valid JSON: a masked number becomes a string."""
    return _JSON_TOKEN.sub(lambda match: _percent_encode(match[0]), masked)


def _percent_encode(token: bytes) -> bytes:
    return b'"' + token + b'"' if MASK.encode() in token and token[:1] != b'"' else token
