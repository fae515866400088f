"""Reads and writes the file in which a cassette stores recorded requests and responses."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from base64 import b64decode, b64encode
from difflib import SequenceMatcher
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import attrs

from moorage.domain.http.headers import Headers
from moorage.domain.http.media_type import essence, is_json
from moorage.domain.http.requests import Response
from moorage.domain.secrets.sensitive import MASK
from moorage.errors import ConfigurationError, InvalidData
from moorage.testing.cassettes._scrubbing import with_short_query

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.testing.cassettes._scrubbing import Scrubber

Content: TypeAlias = "dict[str, Any]"
"""A body: stored as `json` if that restores the same bytes, else as `text`, else as `base64`."""

VERSION: Final = 1

_LAYOUTS: Final[dict[str, dict[str, Any]]] = {
    "compact": {"separators": (",", ":")},
    "spaced": {},
    "indented": {"indent": 2},
}
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([\w.:\-]+)", re.IGNORECASE)
_GZIP: Final = b"\x1f\x8b"
_WINDOWS: Final = {"gzip": (31,), "deflate": (15, -15)}
"""The window bits of zlib for each compression; some servers omit the header of deflate."""
_MASKED_VALUE: Final = r"""[^\s"'&?]+"""
_LINE: Final = 76
_MOST_SHOWN: Final = 200


@attrs.frozen
class RecordedRequest:
    """A request as a cassette records it."""

    method: str
    url: str
    headers: Headers
    content: Content

    @classmethod
    def of(
        cls, method: str, url: str, headers: Headers, body: bytes, *, scrubber: Scrubber
    ) -> RecordedRequest:
        """Return the parts of a request that a cassette records, without secrets."""
        content = _content(body, headers, scrubber, sent=True)
        return cls(method, scrubber.url(url), scrubber.request_headers(headers), content)

    @property
    def host(self) -> str:
        """The host and port of the recorded request."""
        return urlsplit(self.url).netloc

    @property
    def path(self) -> str:
        """The path of the recorded request."""
        return urlsplit(self.url).path

    @property
    def query(self) -> list[tuple[str, str]]:
        """The sorted query parameters of the recorded request."""
        return sorted(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def body(self) -> str:
        """The recorded request's body, normalised so that the layout of JSON is irrelevant."""
        if "json" in self.content:
            return json.dumps(self.content["json"], sort_keys=True, ensure_ascii=False)
        return json.dumps(self.content, sort_keys=True, ensure_ascii=False)

    @property
    def summary(self) -> str:
        """The recorded request in one line."""
        query = urlsplit(self.url).query
        return f"{self.method} {self.path}{'?' if query else ''}{query}"

    def differs(self, other: RecordedRequest) -> list[str]:
        """Return the differences between this request and another one, in words."""
        parts = (
            ("method", self.method, other.method),
            ("path", self.path, other.path),
            ("query", str(self.query), str(other.query)),
            ("body", self.body, other.body),
        )
        return [
            f"the {name} is {_shortened_text(tape_part)} instead of {_shortened_text(actual_part)}"
            for name, tape_part, actual_part in parts
            if tape_part != actual_part
        ]

    def fits(self, recorded: RecordedRequest) -> bool:
        """Return whether this request equals a recorded one, in which a mask matches any value.

        A recording masks values that turned out to be credentials only in a later exchange.
        """
        return self.method == recorded.method and all(
            _masked_pattern(recorded_part).fullmatch(part)
            for part, recorded_part in (
                (self.path, recorded.path),
                (str(self.query), str(recorded.query)),
                (self.body, recorded.body),
            )
        )

    def similarity(self, other: RecordedRequest) -> float:
        """Return a number that tells how similar another request is, for sorting."""
        ratio = SequenceMatcher(None, self.summary, other.summary, autojunk=False).ratio()
        return ratio - len(self.differs(other))


@attrs.frozen
class RecordedResponse:
    """A response as a cassette records it."""

    status: int
    reason: str | None
    headers: Headers
    content: Content
    whole: bool = True

    @classmethod
    def of(cls, response: Response, *, whole: bool, scrubber: Scrubber) -> RecordedResponse:
        """Return the parts of a response that a cassette records, without secrets."""
        headers = response.headers
        reason = None if response.reason is None else scrubber.plain(response.reason)
        content = _content(response.body, headers, scrubber, sent=False)
        return cls(response.status, reason, scrubber.headers(headers), content, whole)

    def response(self, url: str) -> Response:
        """Return the response to a request for this URL."""
        body = _body(self.content)
        return Response(self.status, self.headers, body, reason=self.reason, url=url)


@attrs.frozen
class Exchange:
    """A request and its response, as a cassette records them."""

    sent: RecordedRequest
    answered: RecordedResponse

    def as_json(self) -> dict[str, Any]:
        """Return the exchange as JSON for a cassette file."""
        sent_request, recorded_answer = self.sent, self.answered
        answer = {
            "status": recorded_answer.status,
            "reason": recorded_answer.reason,
            "headers": _text_lines(recorded_answer.headers),
            "body": recorded_answer.content,
            "incomplete": not recorded_answer.whole,
        }
        return {
            "request": {
                "method": sent_request.method,
                "url": sent_request.url,
                "headers": _text_lines(sent_request.headers),
                "body": sent_request.content,
            },
            "answer": {name: value for name, value in answer.items() if value},
        }

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Exchange:
        """Return the exchange that a cassette file's JSON describes."""
        request, answer = written["request"], written["answer"]
        url = with_short_query(request["url"])
        sent_request = RecordedRequest(request["method"], url, _fields(request), request["body"])
        recorded_answer = RecordedResponse(
            answer["status"],
            answer.get("reason"),
            _fields(answer),
            answer.get("body", {}),
            whole=not answer.get("incomplete"),
        )
        _body(recorded_answer.content)
        return cls(sent_request, recorded_answer)


def load(path: Path) -> list[Exchange]:
    """Read the exchanges in a cassette file."""
    try:
        document = json.loads(path.read_text("utf-8"))
        version = document["version"]
        exchanges = [Exchange.from_json(exchange) for exchange in document["exchanges"]]
    except (ValueError, KeyError, TypeError, AttributeError, InvalidData):
        raise _unreadable_error(path, "is not a cassette") from None
    if version != VERSION:
        raise _unreadable_error(path, f"is a cassette of version {version!r}, not {VERSION},")
    return exchanges


def save(path: Path, exchanges: list[Exchange]) -> None:
    """Write exchanges to a cassette file; if writing fails, the old file remains."""
    document = {
        "written by": "moorage.testing.Cassette",
        "version": VERSION,
        "exchanges": [exchange.as_json() for exchange in exchanges],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False)
        part.write_text(f"{text}\n", "utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _unreadable_error(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path.name} {why} and cannot be replayed.",
        path="cassette",
        remedy="Delete it and record it again.",
    )


def _text_lines(headers: Headers) -> list[str]:
    return [f"{name}: {value}" for name, value in headers.pairs]


def _fields(written: dict[str, Any]) -> Headers:
    pairs = (line.partition(":") for line in written.get("headers", ()))
    return Headers([(name, value.strip()) for name, _, value in pairs])


def _content(body: bytes, headers: Headers, scrubber: Scrubber, *, sent: bool) -> Content:
    if not body:
        return {}
    kind = headers.get("content-type", "")
    coding = headers.get("content-encoding", "identity")
    packing = "gzip" if body.startswith(_GZIP) else "" if sent else coding.lower()
    if packing in _WINDOWS and (inflated_body := _inflate(body, packing)) is not None:
        content = _content(inflated_body, headers.without("content-encoding"), scrubber, sent=sent)
        if sent or _body(content) != inflated_body:
            return content | {"coding": packing}
    elif sent and coding.lower() != "identity":
        # The content is not readable, so it is not shown; a hash is enough to distinguish two
        # bodies.
        return {"sha256": sha256(body).hexdigest(), "bytes": len(body)}
    if essence(kind).startswith("multipart/"):
        edge = b"boundary" if sent else None
        return _stored_content(scrubber.parts(body, kind, boundary=edge), "utf-8")
    charset = _charset(body, kind)
    text = _decoded_text(body, charset)
    if text is None:
        if packing not in {"", "identity", *_WINDOWS}:
            raise _unmasked_error(packing)
        return _binary(scrubber.binary(body))
    return _text(scrubber.text(text, kind), charset)


def _decoded_text(body: bytes, charset: str) -> str | None:
    """Return the text of a body; None if it is not text in this character set."""
    try:
        text = body.decode(charset)
        return None if "\0" in text or text.encode(charset) != body else text
    except (ValueError, LookupError):
        return None


def _unmasked_error(coding: str) -> ConfigurationError:
    return ConfigurationError(
        f"A response is compressed with {coding[:40]!r}, so its secrets could not be masked, and"
        " nothing was recorded.",
        path="cassette",
        remedy="Send the header Accept-Encoding: gzip while you record.",
    )


def _charset(body: bytes, content_type: str) -> str:
    match = _CHARSET.search(content_type)
    if match:
        return match[1].lower()
    return json.detect_encoding(body) if is_json(content_type) else "utf-8"


def _stored_content(body: bytes, charset: str) -> Content:
    try:
        return _text(body.decode(charset), charset)
    except ValueError:
        return _binary(body)


def _text(text: str, charset: str) -> Content:
    content = _json(text) or {"text": text.splitlines(keepends=True) if "\n" in text else text}
    return content if charset == "utf-8" else content | {"charset": charset}


def _json(text: str) -> Content | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for name, layout in _LAYOUTS.items():
        if json.dumps(value, ensure_ascii=False, **layout) == text:
            return {"json": value} if name == "compact" else {"json": value, "layout": name}
    return None


def _binary(body: bytes) -> Content:
    encoded_body = b64encode(body).decode()
    lines = [encoded_body[start : start + _LINE] for start in range(0, len(encoded_body), _LINE)]
    return {"base64": lines}


def _body(content: Content) -> bytes:
    if "base64" in content:
        body = b64decode("".join(content["base64"]), validate=True)
    else:
        text = "".join(content.get("text", ""))
        if "json" in content:
            layout = _LAYOUTS[content.get("layout", "compact")]
            text = json.dumps(content["json"], ensure_ascii=False, **layout)
        body = text.encode(content.get("charset", "utf-8"), "replace")
    match content.get("coding"):
        case "gzip":
            return gzip.compress(body, mtime=0)
        case "deflate":
            return zlib.compress(body)
        case _:
            return body


def _inflate(body: bytes, packing: str) -> bytes | None:
    """Return a decompressed body, even if it was cut off; None if it is not compressed."""
    for window in _WINDOWS[packing]:
        inflated_body, remaining_bytes = b"", body
        try:
            while remaining_bytes:
                decompressor = zlib.decompressobj(window)
                inflated_body += decompressor.decompress(remaining_bytes)
                remaining_bytes = decompressor.unused_data
        except zlib.error:
            if inflated_body:
                return inflated_body
            continue
        return inflated_body
    return None


def _masked_pattern(text: str) -> re.Pattern[str]:
    """Return a pattern of a recorded text, in which each mask may be any value."""
    return re.compile(_MASKED_VALUE.join(map(re.escape, text.split(MASK))))


def _shortened_text(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
