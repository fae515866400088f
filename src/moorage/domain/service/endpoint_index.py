"""An index that finds a request's endpoint without comparing all endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.service.cache_policy import CachePolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.http.requests import HttpMethod
    from moorage.domain.service.settings import Endpoint


class _Node:
    """A node of the endpoint index: the endpoints whose paths have the same beginning.

    Attributes:
        first: the position of the first endpoint in the service's list.
        literals: the nodes one segment further, by that segment.
        template: the node one segment further whose segment is in braces.
        ends: positions of endpoints whose path ends here, by method; None stands for any method.
    """

    __slots__ = ("ends", "first", "literals", "template")

    def __init__(self, first: int) -> None:
        self.first = first
        self.literals: dict[str, _Node] = {}
        self.template: _Node | None = None
        self.ends: dict[HttpMethod | None, int] = {}


class EndpointIndex:
    """The endpoints of one service, by name and by path.

    The time of a lookup depends on the number of segments in a path, and hardly on the number of
    endpoints.

    Attributes:
        cache: the cache policy of the first endpoint that has one.
    """

    __slots__ = ("_by_name", "_endpoints", "_root", "cache")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints
        self._by_name = {endpoint.name: endpoint for endpoint in endpoints}
        policies = (endpoint.cache for endpoint in endpoints)
        self.cache = next((item for item in policies if isinstance(item, CachePolicy)), None)
        self._root = _Node(0)
        for position, endpoint in enumerate(endpoints):
            if endpoint.path is not None:
                self._add(endpoint.path, endpoint.method, position)

    def _add(self, path: str, method: HttpMethod | None, position: int) -> None:
        node = self._root
        for part in _parts(path):
            if part[:1] == "{" and part[-1:] == "}":
                node.template = node.template or _Node(position)
                node = node.template
            else:
                node = node.literals.setdefault(part, _Node(position))
        node.ends.setdefault(method, position)

    def named(self, name: object) -> Endpoint | None:
        """Return the endpoint of this name; None if there is none."""
        return self._by_name.get(name) if isinstance(name, str) else None

    def first(self, method: HttpMethod, path: str) -> Endpoint | None:
        """Return the service's first endpoint that matches a method and a path.

        An endpoint matches if it has the request's method or none, and a path of as many segments,
        each either equal to the request's or, in braces, matching any segment that is not empty.
        """
        parts = _parts(path)
        best_number = no_match = len(self._endpoints)
        remaining_pairs = [(self._root, 0)]
        while remaining_pairs:
            node, depth = remaining_pairs.pop()
            if node.first >= best_number:
                continue
            if depth == len(parts):
                best_number = min(
                    best_number,
                    node.ends.get(method, best_number),
                    node.ends.get(None, best_number),
                )
                continue
            part = parts[depth]
            if node.template is not None and part:
                remaining_pairs.append((node.template, depth + 1))
            literal = node.literals.get(part)
            if literal is not None:
                remaining_pairs.append((literal, depth + 1))
        return None if best_number == no_match else self._endpoints[best_number]


def _parts(path: str) -> list[str]:
    return path.strip("/").split("/")
