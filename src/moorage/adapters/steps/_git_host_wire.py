"""Sends requests to a git host's API."""

from __future__ import annotations

import json
import ssl
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import urlencode, urljoin

from moorage.adapters.http.connections._request import locate
from moorage.adapters.http.connections._tls import http_context
from moorage.adapters.steps._git_host_answers import Answer, host_time, refusal
from moorage.adapters.steps._https_client import HttpsClient
from moorage.domain.http.transport import Tls
from moorage.domain.http.urls import origin_of
from moorage.domain.secrets.value_mask import mask_error, value_mask
from moorage.domain.values.field_checks import in_range
from moorage.errors import ConfigurationError, InvalidData, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.domain.http.response import Response
    from moorage.domain.http.urls import Origin
    from moorage.domain.secrets.secret import Secret

LARGEST_ANSWER: Final = 128 * 1024 * 1024
"""The largest number of bytes of an answer, such as a job's log."""

_UNCHANGED_STATUS: Final = 304
_UNAUTHORIZED: Final = 401
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HOPS: Final = 3
_PAGE: Final = 100
_PAGES: Final = 50
_CACHED_ANSWERS: Final = 256


def in_seconds(least: float) -> Any:
    """Return the validator of a setting in seconds, of at most a year."""
    return in_range(least, 31_536_000)


class Access(Protocol):
    """A credential for a git host's API, which may change over time."""

    def header(self, api: GitHostApi, timeout: float, /) -> tuple[str, Secret]:
        """Return the name of the credential's header, and its current value."""
        ...

    def renew(self, refused: Secret, /) -> bool:
        """Drop a refused credential; return whether a new one can be obtained."""
        ...


class FixedAccess:
    """Access to a git host with a token that never changes.

    Args:
        name: the name of the header.
        value: its value.
    """

    def __init__(self, name: str, value: Secret) -> None:
        self._header = name, value

    def header(self, api: GitHostApi, timeout: float, /) -> tuple[str, Secret]:  # noqa: ARG002 - it is fixed
        """Return the name and value of the header."""
        return self._header

    def renew(self, refused: Secret, /) -> bool:  # noqa: ARG002 - it is fixed
        """Return False, because there is no other token."""
        return False


class GitHostApi:
    """Sends requests to a git host's API.

    The credential is sent to this API only: a redirect elsewhere is followed without it.

    Args:
        name: the name of the host in messages.
        url: the URL of the API, with https.
        access: the credential.
        ca_file: further certificates that the host's certificate may come from.
        headers: the headers of each request.
    """

    def __init__(
        self,
        name: str,
        url: str,
        access: Access,
        ca_file: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        origin = _origin(url)
        if origin is None:
            raise ConfigurationError(
                f"The URL of {name}'s API is not an https:// URL, or contains a user name.",
                path="api",
                remedy="Give a URL such as 'https://git.example.com/api'.",
            )
        self.name = name
        self.url = url.rstrip("/")
        self._origin = origin
        self._access = access
        self._headers = {"Accept": "application/json", "User-Agent": "moorage", **(headers or {})}
        self._unchanged: dict[str, tuple[str, Answer]] = {}
        try:
            context = http_context(Tls())
            if ca_file is not None:
                context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"The certificates of {name} cannot be read ({type(error).__name__}).",
                path="ca_file",
                remedy="Give a file in PEM format that this user may read.",
            ) from None
        self._http = HttpsClient(name, context, LARGEST_ANSWER)

    def ask(
        self,
        method: str,
        path: str,
        timeout: float,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        allowed: frozenset[int] = frozenset(),
        access: Access | None = None,
        further_origins: tuple[str, ...] = (),
    ) -> Answer:
        """Send a request, and return the response, which may be a redirect.

        Args:
            method: the method.
            path: the path below the API's URL, or a URL of the same host.
            timeout: the time limit in seconds.
            query: the parameters of the URL.
            body: bytes, or a value that is sent as JSON.
            headers: further headers.
            allowed: statuses of 400 and above that are not errors.
            access: another credential for this request.
            further_origins: further hosts of the API, which may get the credential.

        Raises:
            ConnectorError: the host cannot be reached, or refuses the request.
        """
        access = access or self._access
        url = path if path.startswith("https://") else f"{self.url}{path}"
        if query:
            url = f"{url}?{urlencode(query)}"
        if _origin(url) not in {self._origin, *filter(None, map(_origin, further_origins))}:
            raise VendorFailed(f"The response of {self.name} contains a URL of another host.")
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        fields = dict(self._headers)
        if content is not None:
            fields["Content-Type"] = "application/json"
        fields.update(headers or {})
        deadline = monotonic() + timeout
        for is_last in (False, True):
            name, value = access.header(self, deadline - monotonic())
            cached_answer = self._unchanged.get(url) if method == "GET" else None
            conditions = {} if cached_answer is None else {"If-None-Match": cached_answer[0]}
            response = self._http.send(
                method,
                url,
                {**fields, **conditions, name: value.reveal()},
                deadline - monotonic(),
                content=content,
                secret=value,
            )
            answer = _answer_of(response)
            if answer.status == _UNAUTHORIZED and not is_last and access.renew(value):
                continue
            if answer.status == _UNCHANGED_STATUS and cached_answer is not None:
                return cached_answer[1]._replace(now=answer.now)
            self._remember(method, url, answer)
            if answer.status < 400 or answer.status in allowed:
                return answer
            error = refusal(self.name, answer)
            mask_error(error, value_mask([value.reveal_bytes()]))
            raise error
        raise AssertionError  # pragma: no cover - the last round returns or raises

    def pages(
        self, path: str, timeout: float, *, query: Mapping[str, str] | None = None
    ) -> Iterator[Any]:
        """Yield the JSON documents of all pages of a list."""
        deadline = monotonic() + timeout
        for page in range(1, _PAGES + 1):
            numbers = {"per_page": str(_PAGE), "page": str(page)}
            answer = self.ask(
                "GET", path, max(0.1, deadline - monotonic()), query={**(query or {}), **numbers}
            )
            document = answer.json()
            if not isinstance(document, (list, dict)):
                raise VendorFailed(f"{self.name} sent a response that is not a list.")
            yield document
            fields = cast(
                "dict[str, object]", {"": document} if isinstance(document, list) else document
            )
            sizes = [
                len(cast("list[object]", part))
                for part in fields.values()
                if isinstance(part, list)
            ]
            if max(sizes, default=0) < _PAGE:
                return

    def download(
        self, path: str, timeout: float, *, allowed: frozenset[int] = frozenset()
    ) -> Answer:
        """Return the content to which the API redirects, without sending the credential there.

        Raises:
            ConnectorError: the content cannot be downloaded.
        """
        deadline = monotonic() + timeout
        answer = self.ask("GET", path, timeout, allowed=allowed)
        url = f"{self.url}{path}"
        for _ in range(_HOPS):
            if answer.status not in _REDIRECTS:
                return answer
            url = _url_at(url, answer.headers.get("Location", ""))
            if _origin(url) is None:
                raise VendorFailed(
                    f"{self.name} redirects to an address that is not a valid https:// URL."
                )
            time_left = max(0.1, deadline - monotonic())
            answer = _answer_of(self._http.send("GET", url, {"User-Agent": "moorage"}, time_left))
            if answer.status >= 400 and answer.status not in allowed:
                # The text may contain the signed URL.
                raise VendorFailed(
                    f"The storage of {self.name} answered with the status {answer.status}.",
                    status=answer.status,
                )
        raise VendorFailed(f"{self.name} redirects more than {_HOPS} times.")

    def masked(self, data: bytes, timeout: float) -> bytes:
        """Return an output with each character of the token replaced by an asterisk."""
        value = self._access.header(self, timeout)[1].reveal_bytes().rpartition(b" ")[2]
        return data.replace(value, b"*" * len(value))

    def _remember(self, method: str, url: str, answer: Answer) -> None:
        tag = answer.headers.get("ETag")
        if method == "GET" and tag and answer.status == 200 and len(answer.data) < 1_000_000:
            while len(self._unchanged) >= _CACHED_ANSWERS:
                self._unchanged.pop(next(iter(self._unchanged)), None)
            self._unchanged[url] = tag, answer


def _answer_of(response: Response) -> Answer:
    return Answer(
        response.status, response.headers, response.body, host_time(response.header("Date"))
    )


def _url_at(url: str, place: str) -> str:
    """Return the URL to which a redirect leads; "" if it is not valid."""
    try:
        target = urljoin(url, place)
        locate(target)
    except (ValueError, InvalidData):
        return ""
    return target


def _origin(url: str) -> Origin | None:
    """Return the origin of an https URL; None for other URLs."""
    origin = origin_of(url)
    return None if origin is None or origin[0] != "https" else origin
