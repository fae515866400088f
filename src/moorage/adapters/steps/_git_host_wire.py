"""Requests to the API of a git host, each over a connection of its own."""

from __future__ import annotations

import http.client
import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast
from urllib.parse import urlencode, urljoin, urlsplit

from moorage.domain.secrets.frames import bare
from moorage.domain.secrets.value_mask import mask_error, value_mask
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message

    from moorage.domain.secrets.secret import Secret

LARGEST_ANSWER: Final = 128 * 1024 * 1024
"""The largest number of bytes of an answer, such as a job's log."""

NOT_FOUND: Final = 404
_UNCHANGED: Final = 304
_UNAUTHORIZED: Final = 401
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HOPS: Final = 3
_PAGE: Final = 100
_PAGES: Final = 50
_REMEMBERED: Final = 256
_PAUSE: Final = 60.0
"""Seconds of a pause that a host asks for without a number."""


class Answer(NamedTuple):
    """An answer: its status, its headers, its body, and the host's time."""

    status: int
    headers: Message
    data: bytes
    now: datetime

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            VendorFailed: it is no JSON.
        """
        try:
            return json.loads(self.data or b"null")
        except ValueError:
            raise VendorFailed(
                "The git host answered with something that is no JSON.", status=self.status
            ) from None


class Access(Protocol):
    """The credential of an API, which may change with time."""

    def header(self, api: GitHostApi, timeout: float, /) -> tuple[str, Secret]:
        """Return the name of a header and its present value."""
        ...

    def renew(self, refused: Secret, /) -> bool:
        """Forget a value that was refused; return whether a new one can be had."""
        ...


class FixedAccess:
    """A token that does not change.

    Args:
        name: the name of the header.
        value: its value.
    """

    def __init__(self, name: str, value: Secret) -> None:
        self._header = name, value

    def header(self, api: GitHostApi, timeout: float, /) -> tuple[str, Secret]:  # noqa: ARG002 - it is fixed
        """Return the name of the header and its value."""
        return self._header

    def renew(self, refused: Secret, /) -> bool:  # noqa: ARG002 - it is fixed
        """Return False, since there is no other token."""
        return False


class GitHostApi:
    """Sends requests to the API of a git host.

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
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.hostname is None or parts.username is not None:
            raise ConfigurationError(
                f"The URL of {name}'s API is no URL with https, or contains a name.",
                path="api",
                remedy="Give it such as 'https://git.example.com/api'.",
            )
        self.name = name
        self.url = url.rstrip("/")
        self._origin = parts.hostname, parts.port or 443
        self._access = access
        self._headers = {"Accept": "application/json", "User-Agent": "moorage", **(headers or {})}
        self._unchanged: dict[str, tuple[str, Answer]] = {}
        try:
            self._tls = ssl.create_default_context()
            if ca_file is not None:
                self._tls.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"The certificates of {name} cannot be read ({type(error).__name__}).",
                path="ca_file",
                remedy="Give a file in PEM format that this user may read.",
            ) from None

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
        """Send a request, and return the answer. Redirects are answers too.

        Args:
            method: the method.
            path: the path below the API's URL, or a URL of the same host.
            timeout: the seconds that it may take.
            query: the parameters of the URL.
            body: bytes, or a value that is sent as JSON.
            headers: further headers.
            allowed: statuses from 400 that are no error.
            access: the credential, if it is another one.
            further_origins: hosts that belong to the API too, and may get the credential.

        Raises:
            ConnectorError: the host cannot be reached, or refuses the request.
        """
        access = access or self._access
        url = path if path.startswith("https://") else f"{self.url}{path}"
        if query:
            url = f"{url}?{urlencode(query)}"
        if _origin(url) not in {self._origin, *map(_origin, further_origins)}:
            raise VendorFailed(f"{self.name} named a URL of another host.")
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        fields = dict(self._headers)
        if content is not None:
            fields["Content-Type"] = "application/json"
        fields.update(headers or {})
        deadline = monotonic() + timeout
        for is_last in (False, True):
            name, value = access.header(self, deadline - monotonic())
            cached = self._unchanged.get(url) if method == "GET" else None
            conditions = {} if cached is None else {"If-None-Match": cached[0]}
            answer = self._send(
                method,
                url,
                {**fields, **conditions, name: value.reveal()},
                deadline - monotonic(),
                content=content,
                secret=value,
            )
            if answer.status == _UNAUTHORIZED and not is_last and access.renew(value):
                continue
            if answer.status == _UNCHANGED and cached is not None:
                return cached[1]._replace(now=answer.now)
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
        """Yield the documents of all pages of a list."""
        deadline = monotonic() + timeout
        for page in range(1, _PAGES + 1):
            numbers = {"per_page": str(_PAGE), "page": str(page)}
            answer = self.ask(
                "GET", path, max(0.1, deadline - monotonic()), query={**(query or {}), **numbers}
            )
            document = answer.json()
            yield document
            fields: dict[str, object] = (
                {"": document} if isinstance(document, list) else dict(document)
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
        """Return what is behind a redirect of the API, which is sent no credential.

        Raises:
            ConnectorError: it cannot be had.
        """
        deadline = monotonic() + timeout
        answer = self.ask("GET", path, timeout, allowed=allowed)
        url = f"{self.url}{path}"
        for _ in range(_HOPS):
            if answer.status not in _REDIRECTS:
                return answer
            url = urljoin(url, answer.headers.get("Location", ""))
            if not url.startswith("https://"):
                raise VendorFailed(f"{self.name} redirects to a URL without https.")
            left = max(0.1, deadline - monotonic())
            answer = self._send("GET", url, {"User-Agent": "moorage"}, left)
            if answer.status >= 400 and answer.status not in allowed:
                # The text may contain the signed URL.
                raise VendorFailed(
                    f"The storage of {self.name} answered with the status {answer.status}.",
                    status=answer.status,
                )
        raise VendorFailed(f"{self.name} redirects more than {_HOPS} times.")

    def masked(self, data: bytes, timeout: float) -> bytes:
        """Return an output without the token; each of its characters becomes an asterisk."""
        value = self._access.header(self, timeout)[1].reveal_bytes().rpartition(b" ")[2]
        return data.replace(value, b"*" * len(value))

    def _remember(self, method: str, url: str, answer: Answer) -> None:
        tag = answer.headers.get("ETag")
        if method == "GET" and tag and answer.status == 200 and len(answer.data) < 1_000_000:
            while len(self._unchanged) >= _REMEMBERED:
                self._unchanged.pop(next(iter(self._unchanged)), None)
            self._unchanged[url] = tag, answer

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        *,
        content: bytes | None = None,
        secret: Secret | None = None,
    ) -> Answer:
        """Send one request, and return whatever is answered."""
        parts = urlsplit(url)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=max(0.1, timeout), context=self._tls
        )
        problem: ConnectorError
        is_connected = False
        try:
            connection.connect()
            is_connected = True
            connection.request(method, target, content, dict(headers))
            response = connection.getresponse()
            data = response.read(LARGEST_ANSWER + 1)
            now = _date(response.headers.get("Date"))
            if len(data) <= LARGEST_ANSWER:
                return Answer(response.status, response.headers, data, now)
            problem = VendorFailed(f"{self.name} answered with more than {LARGEST_ANSWER:,} bytes.")
        except TimeoutError:
            problem = AttemptTimeout(
                f"{self.name} did not answer in time.", may_have_been_processed=is_connected
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = ConnectionFailed(
                f"{self.name} at {parts.hostname} cannot be reached ({type(error).__name__}).",
                may_have_been_processed=is_connected,
                remedy="Check the URL of the API, its certificate and `ca_file`, and the network.",
            )
        finally:
            connection.close()
        if secret is not None:
            mask_error(problem, value_mask([secret.reveal_bytes()]))
        problem.__context__ = None
        raise bare(problem)


def refusal(name: str, answer: Answer) -> ConnectorError:
    """Return the error that an answer stands for."""
    status, headers = answer.status, answer.headers
    message = _message(answer.data)
    pause = headers.get("Retry-After")
    is_spent = headers.get("X-RateLimit-Remaining") == "0"
    if status == 429 or (status == 403 and (is_spent or pause is not None)):
        return RateLimitExceeded(
            f"{name} asks for a pause: {message}",
            status=status,
            retry_at=_end_of_pause(answer.now, pause, headers),
        )
    facts: dict[str, Any] = {"status": status, "vendor_message": message}
    if status in {401, 403}:
        return AuthenticationFailed(
            f"{name} does not permit this: {message}",
            remedy="Check that the token is current, and that it has the rights that the page on"
            " steps on git hosts names.",
            **facts,
        )
    if status == NOT_FOUND:
        return VendorRejected(
            f"{name} has no such object: {message}",
            remedy="Check the names. A host also answers so if the token may not see the object.",
            **facts,
        )
    if status in {400, 422}:
        return InvalidRequest(f"{name} refuses the request: {message}", **facts)
    kind = VendorFailed if status >= 500 else VendorRejected
    return kind(f"{name} answered with the status {status}: {message}", **facts)


def _message(data: bytes) -> str:
    """Return the message in the body of a refusal."""
    try:
        document: Any = json.loads(data)
    except ValueError:
        return data[:200].decode("utf-8", "replace")
    if not isinstance(document, dict):
        return str(document)[:300]
    fields = cast("dict[str, Any]", document)
    parts: list[Any] = [fields.get("message") or fields.get("error") or ""]
    parts += [fields["errors"]] if fields.get("errors") else []
    return "; ".join(
        part if isinstance(part, str) else json.dumps(part, ensure_ascii=False) for part in parts
    )[:500]


def _end_of_pause(now: datetime, pause: str | None, headers: Message) -> datetime:
    if pause is not None and pause.isdigit():
        return now + timedelta(seconds=int(pause))
    reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or ""
    if reset.isdigit():
        return datetime.fromtimestamp(int(reset), UTC)
    return now + timedelta(seconds=_PAUSE)


def _date(text: str | None) -> datetime:
    """Return the host's time; this machine's if the host tells none."""
    try:
        return parsedate_to_datetime(text or "").astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def _origin(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or 443
