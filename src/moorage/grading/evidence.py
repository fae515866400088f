"""The evidence about a vendor that the rules of its grade look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from moorage.grading.sources import Line, shown_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Request
    from moorage.domain.service.settings import Service
    from moorage.exporting.recording import Exchange
    from moorage.grading.sources import SourceModule


@attrs.frozen(kw_only=True)
class Outcome:
    """The end of a call to a vendor's sandbox.

    Attributes:
        error: the error that it raised; None if it succeeded.
        result: its result; None if it raised an error.
        requests: the number of requests that the sandbox received.
        effects: the number of those whose method acts again when it is repeated, such as POST.
        bodies: the text of the URLs and bodies that were sent.
    """

    error: Exception | None = None
    result: Any = None
    requests: int = 0
    effects: int = 0
    bodies: str = ""


@attrs.frozen(kw_only=True, eq=False)
class Evidence:
    """Everything that the rules look at; gathered once for each vendor.

    Attributes:
        name: the name of its entry point.
        vendor: its class.
        account: an account at its sandbox; None if it has none.
        services: the account's services.
        ping: the account's free request.
        modules: its modules.
        exchanges: requests to its sandbox and the responses.
        has_sandbox: whether it has a sandbox that is reached by HTTP.
        capabilities: for each capability that it states, the outcome of using it.
        missing: for each other capability of its contracts, the outcome of asking for it.
        faults: for each fault of the sandbox, the outcome of its main operation.
        amounts: for each amount, the outcome of charging it.
        secrets: secrets of the account.
        unsigned_events: the number of events accepted from a webhook without a signature.
        events: the error of reading damaged events; None if there was none.
    """

    name: str
    vendor: type[Vendor]
    account: Vendor | None = None
    services: Mapping[str, Service] = attrs.field(factory=dict[str, Any])
    ping: Request | None = None
    modules: tuple[SourceModule, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    has_sandbox: bool = False
    capabilities: Mapping[str, Outcome] = attrs.field(factory=dict[str, Any])
    missing: Mapping[str, Outcome] = attrs.field(factory=dict[str, Any])
    faults: Mapping[str, Outcome] = attrs.field(factory=dict[str, Any])
    amounts: Mapping[str, Outcome] = attrs.field(factory=dict[str, Any])
    secrets: tuple[str, ...] = ()
    unsigned_events: int = 0
    events: Exception | None = None

    @property
    def speaks_http(self) -> bool:
        """True if the vendor is reached by HTTP."""
        return self.vendor.transport is None

    @property
    def start(self) -> Line:
        """The first line of the vendor's class, or of its module."""
        if not self.modules:
            return Line(self.vendor.__module__, 1)
        module = self.modules[0]
        lines = module.text.splitlines()
        start = f"class {self.vendor.__name__}("
        number = next((n for n, line in enumerate(lines, 1) if line.startswith(start)), 1)
        return Line(shown_path(module.path), number)
