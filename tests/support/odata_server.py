"""An OData v4 service in memory, behind a real HTTP server.

It knows the entity set `Orders` with the key `ID`, filters by a parser of its own, pages by links,
versions entities by ETags, and performs batches whose change sets are atomic. Its code shares
nothing with that of the package.
"""

from __future__ import annotations

import copy
import json
import operator
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from moorage.testing import Behaviour, ReceivedRequest, VendorServer

ROOT = "/odata/v4"
TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<word>[A-Za-z_/]+)|(?P<mark>[(),]))"
)


class ODataRefusal(Exception):
    """A request that the OData service refuses."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ODataService:
    """A fake OData service with the entity set `orders`, in which each order has an id."""

    def __init__(self) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        self.versions: dict[int, int] = {}
        self.seen: list[ReceivedRequest] = []
        self.page_size = 100
        self.url = ""

    def add(self, **order: Any) -> int:
        """Store an order."""
        number = order.setdefault("ID", max(self.orders, default=0) + 1)
        self.orders[number] = order
        self.versions[number] = 1
        return int(number)

    def handle(self, received: ReceivedRequest) -> Behaviour:
        """Answer an HTTP request to the OData service."""
        self.seen.append(received)
        headers = {name.lower(): value for name, value in received.headers.pairs}
        status, fields, body = self.respond(
            received.method, received.target, headers, received.body
        )
        return Behaviour(status, {"OData-Version": "4.0", **fields}, body)

    def respond(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the response to a request: status, headers and body."""
        try:
            return self.perform(method, target, headers, body)
        except ODataRefusal as error:
            return _json(
                error.status,
                {
                    "error": {
                        "code": error.code,
                        "message": str(error),
                        "details": [{"code": "d", "message": "the detail", "target": "Pieces"}],
                    }
                },
            )

    def perform(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the response to a request, or raise `ODataRefusal`."""
        place = urlsplit(target)
        # The path is decoded once; a quote in a key is doubled.
        path = unquote(place.path).removeprefix(ROOT).strip("/")
        if path == "":
            return _json(200, {"value": [{"name": "Orders", "kind": "EntitySet", "url": "Orders"}]})
        if path == "$batch":
            return self.batch(headers, body)
        if path.startswith("Orders("):
            return self.one(method, path, headers, body)
        if path.startswith("Orders"):
            return self.all(method, path, dict(parse_qsl(place.query)), headers, body)
        return self.run(method, path)

    def all(
        self, method: str, path: str, options: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Handle a request for the whole entity set."""
        if path == "Orders/$count":
            orders = _filter_orders(list(self.orders.values()), options.get("$filter"))
            return 200, {"Content-Type": "text/plain"}, f"\ufeff{len(orders)}".encode()
        if path != "Orders":
            raise ODataRefusal(404, "NotFound", f"There is no {path}.")
        if method == "GET":
            return self.query(options, headers)
        order = json.loads(body)
        if order.get("Pieces", 0) < 0:
            raise ODataRefusal(400, "InvalidPieces", "Pieces must not be negative.")
        return self.entity(self.add(**order), headers, 201)

    def run(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        """Run an unbound action or function."""
        if path == "Clear" and method == "POST":
            self.orders.clear()
            return 204, {}, b""
        match = re.fullmatch(r"Total\((?:least=([0-9]+))?\)", path)
        if match is None:
            raise ODataRefusal(404, "NotFound", f"There is no {path}.")
        least = int(match[1] or 0)
        total = sum(item["Pieces"] for item in self.orders.values() if item["Pieces"] >= least)
        return _json(200, {"@odata.context": "$metadata#Edm.Int32", "value": total})

    def one(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Handle a request for one order."""
        match = re.fullmatch(r"Orders\(([0-9]+)\)(/Sales\.Approve)?", path)
        number = 0 if match is None else int(match[1])
        if match is None or number not in self.orders:
            raise ODataRefusal(404, "NotFound", f"There is no {path}.")
        if match[2]:
            self.orders[number]["Approved"] = json.loads(body)["by"]
            return self.entity(number, headers, 200)
        if method == "GET":
            return self.entity(number, {}, 200)
        self.check_version(number, headers)
        if method == "DELETE":
            del self.orders[number]
            return 204, {}, b""
        self.orders[number].update(json.loads(body))
        self.versions[number] += 1
        return self.entity(number, headers, 200)

    def check_version(self, number: int, headers: dict[str, str]) -> None:
        """Raise an error if a change does not state the entity's current version."""
        etag = headers.get("if-match")
        if etag is None:
            raise ODataRefusal(428, "PreconditionRequired", "Send If-Match.")
        if etag not in {"*", f'W/"{self.versions[number]}"'}:
            raise ODataRefusal(412, "VersionMismatch", "The order has changed.")

    def entity(
        self, number: int, headers: dict[str, str], status: int
    ) -> tuple[int, dict[str, str], bytes]:
        """Return an order, or only its URL if the request prefers a minimal response."""
        etag = f'W/"{self.versions[number]}"'
        fields = {"ETag": etag, "OData-EntityId": f"{self.url}{ROOT}/Orders({number})"}
        if "return=minimal" in headers.get("prefer", ""):
            return 204, {**fields, "Preference-Applied": "return=minimal"}, b""
        answer = {"@odata.etag": etag, **self.orders[number]}
        status, content, body = _json(status, answer)
        return status, {**content, **fields}, body

    def query(
        self, options: dict[str, str], headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Return a page of the orders that match a query."""
        orders = _filter_orders(list(self.orders.values()), options.get("$filter"))
        total = len(orders)
        for order in reversed([item for item in options.get("$orderby", "").split(",") if item]):
            name, _, way = order.partition(" ")
            orders.sort(key=lambda item: item[name], reverse=way == "desc")
        orders = orders[int(options.get("$skip", 0)) :]
        orders = orders[: int(options.get("$top", len(orders)))]
        size_match = re.search(r"odata\.maxpagesize=([0-9]+)", headers.get("prefer", ""))
        size = min(self.page_size, int(size_match[1]) if size_match else self.page_size)
        start = int(options.get("$skiptoken", 0))
        page = orders[start : start + size]
        if "$select" in options:
            names = options["$select"].split(",")
            page = [{name: order[name] for name in names} for order in page]
        answer: dict[str, Any] = {"value": page}
        if options.get("$count") == "true":
            answer["@odata.count"] = total
        if start + size < len(orders):
            query = "&".join(
                f"{name}={value}" for name, value in options.items() if name != "$skiptoken"
            )
            answer["@odata.nextLink"] = f"Orders?{query}&$skiptoken={start + size}"
        return _json(200, answer)

    def batch(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Execute a batch: change sets are atomic, and by default the first failure ends it."""
        goes_on = "odata.continue-on-error" in headers.get("prefer", "")
        answers: list[bytes] = []
        for fields, content in _split_parts(headers["content-type"], body):
            if fields["content-type"].startswith("multipart/"):
                failed, answer = self.change_set(fields["content-type"], content)
            else:
                status, answer = self.part(content, None, {})
                failed = status >= 400
            answers.append(answer)
            if failed and not goes_on:
                break
        return 200, {"Content-Type": "multipart/mixed; boundary=answers"}, _join(answers, "answers")

    def change_set(self, content_type: str, body: bytes) -> tuple[bool, bytes]:
        """Execute all operations of a change set, or none."""
        before = copy.deepcopy((self.orders, self.versions))
        answers: list[bytes] = []
        created: dict[str, str] = {}
        for fields, content in _split_parts(content_type, body):
            status, answer = self.part(content, fields["content-id"], created)
            if status >= 400:
                self.orders, self.versions = before
                return True, answer
            answers.append(answer)
        head = b"Content-Type: multipart/mixed; boundary=changes\r\n\r\n"
        return False, head + _join(list(reversed(answers)), "changes")

    def part(
        self, content: bytes, number: str | None, created: dict[str, str]
    ) -> tuple[int, bytes]:
        """Execute one operation of a batch."""
        head, _, body = content.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        method, target, _ = line.split(" ")
        fields = {
            name.lower(): value.strip() for name, _, value in (i.partition(":") for i in lines)
        }
        for reference, place in created.items():
            target = target.replace(f"${reference}", place)
        status, extra, answer = self.respond(method, f"{ROOT}/{target}", fields, body)
        if number is not None and status < 300 and "OData-EntityId" in extra:
            created[number] = extra["OData-EntityId"].rpartition("/")[2]
        kind = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        if number is not None:
            kind += f"Content-ID: {number}\r\n"
        rows = "".join(f"{name}: {value}\r\n" for name, value in extra.items())
        text = f"{kind}\r\nHTTP/1.1 {status} Status\r\n{rows}\r\n"
        return status, text.encode() + answer


class ODataServer(VendorServer):
    """A server with an OData service at `ROOT`."""

    def __init__(self) -> None:
        super().__init__()
        self.service = ODataService()
        self.always(self.service.handle)

    def start(self, port: int = 0) -> ODataServer:
        """Start listening."""
        super().start(port)
        self.service.url = self.url
        return self


def _json(status: int, value: object) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _split_parts(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    boundary = content_type.partition("boundary=")[2]
    pieces = (b"\r\n" + body).split(f"\r\n--{boundary}".encode())
    parts: list[tuple[dict[str, str], bytes]] = []
    for piece in pieces[1:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = [line.partition(":") for line in head.decode().split("\r\n")]
        parts.append(({name.lower(): value.strip() for name, _, value in lines}, content))
    return parts


def _join(parts: list[bytes], boundary: str) -> bytes:
    mark = f"--{boundary}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def _filter_orders(orders: list[dict[str, Any]], text: str | None) -> list[dict[str, Any]]:
    return orders if text is None else [order for order in orders if Condition(text, order).holds()]


class Condition:
    """A parser and evaluator for a `$filter` condition about one order."""

    def __init__(self, text: str, order: dict[str, Any]) -> None:
        self.order = order
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text.rstrip()):
            match = TOKEN.match(text, position)
            if match is None:
                raise ODataRefusal(400, "BadFilter", "The filter is not valid.")
            self.tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()

    def holds(self) -> bool:
        """Return whether the order meets the whole condition."""
        result = self.either()
        if self.tokens:
            raise ODataRefusal(400, "BadFilter", "The filter goes on after its end.")
        return result

    def either(self) -> bool:
        """Evaluate an `or` expression."""
        result = self.both()
        while self.next_is("or"):
            result = self.both() or result
        return result

    def both(self) -> bool:
        """Evaluate an `and` expression."""
        result = self.single()
        while self.next_is("and"):
            result = self.single() and result
        return result

    def single(self) -> bool:
        """Evaluate a comparison, a function call or a condition in parentheses."""
        if self.next_is("not"):
            return not self.single()
        if self.next_is("("):
            result = self.either()
            self.next_is(")")
            return result
        for name in ("contains", "startswith", "endswith"):
            if self.next_is(name):
                self.next_is("(")
                left_value = self.value()
                self.next_is(",")
                right = self.value()
                self.next_is(")")
                return bool(
                    right in left_value if name == "contains" else getattr(left_value, name)(right)
                )
        left_value, name, right = self.value(), self.take()[1], self.value()
        if name in {"eq", "ne"}:
            return (left_value == right) is (name == "eq")
        if name not in {"gt", "ge", "lt", "le"}:
            raise ODataRefusal(400, "BadFilter", f"There is no operator {name}.")
        return type(left_value) is type(right) and bool(getattr(operator, name)(left_value, right))

    def value(self) -> Any:
        """Return the value of the next literal or property."""
        kind, text = self.take()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if "." in text else int(text)
        if text in {"null", "true", "false"}:
            return {"null": None, "true": True, "false": False}[text]
        if text not in self.order:
            raise ODataRefusal(400, "BadFilter", f"There is no property {text}.")
        return self.order[text]

    def next_is(self, text: str) -> bool:
        """Return whether the next token is this one, and consume it if so."""
        if self.tokens and self.tokens[0][0] != "text" and self.tokens[0][1] == text:
            del self.tokens[0]
            return True
        return False

    def take(self) -> tuple[str, str]:
        """Consume the next token of the condition, and return it."""
        if not self.tokens:
            raise ODataRefusal(400, "BadFilter", "The filter ends too early.")
        return self.tokens.pop(0)
