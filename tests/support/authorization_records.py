"""Records of the requests that an authorization server got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.authorization_values import ResourceRequest, TokenRequest

if TYPE_CHECKING:
    from tests.support.authorization_faults import Fault
    from tests.support.authorization_values import Answer, Call


class Records:
    """Records all requests in the order in which the server decided them.

    Attributes:
        requests: the requests to the token endpoint.
        resources: the requests for the protected resource.
        arrived: the number of token requests that arrived, decided or not.
        most_at_once: the largest number of token requests in progress at the same time.
    """

    def __init__(self) -> None:
        self.requests: list[TokenRequest] = []
        self.resources: list[ResourceRequest] = []
        self.arrived = 0
        self.most_at_once = 0
        self._busy = 0

    def arrive(self, path: str) -> None:
        """Record that a request's head was read."""
        if path == "/token":
            self.arrived += 1
            self._busy += 1
            self.most_at_once = max(self.most_at_once, self._busy)

    def leave(self, path: str) -> None:
        """Record the end of a request."""
        self._busy -= path == "/token"

    def keep(
        self,
        call: Call,
        path: str,
        noted: dict[str, Any],
        answer: Answer | None,
        fault: Fault | None,
    ) -> None:
        """Record a request with its details and its response."""
        status = 0 if answer is None else answer.status
        if path == "/token":
            params = {name: values[0] for name, values in call.form.items()}
            headers = {name: ", ".join(values) for name, values in call.fields.items()}
            result: dict[str, Any] = {
                "grant": params.get("grant_type"),
                "params": params,
                "headers": headers,
            } | noted
            self.requests.append(
                TokenRequest(
                    number=len(self.requests) + 1,
                    at=call.now,
                    status=status,
                    fault=None if fault is None else fault.name,
                    **result,
                )
            )
        elif path == "/resource" and noted:
            number = len(self.resources) + 1
            self.resources.append(
                ResourceRequest(number=number, at=call.now, status=status, **noted)
            )
