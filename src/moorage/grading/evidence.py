"""The evidence from which a vendor's grade is computed."""

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
    """The outcome of an operation at a vendor's sandbox.

    Attributes:
        error: the error that it raised; None if it succeeded.
        result: its result; None if it raised an error.
        requests: the number of requests that the sandbox received.
        effects: the number of those requests whose method is not idempotent, such as POST.
        bodies: the URLs and bodies that were sent, as text.
    """

    error: Exception | None = None
    result: Any = None
    requests: int = 0
    effects: int = 0
    bodies: str = ""


@attrs.frozen(kw_only=True, eq=False)
class Evidence:
    """All data about a vendor that the rules check, gathered once.

    Attributes:
        name: the name of the vendor's entry point.
        vendor: the vendor's class.
        account: an account at the vendor's sandbox; None without a sandbox.
        services: the account's services.
        ping: the account's harmless request, if it has one.
        modules: the vendor's modules.
        exchanges: requests to the sandbox, with their responses.
        has_sandbox: True if the vendor has a sandbox that is reached by HTTP.
        capabilities: the outcome of using each capability that the vendor states.
        missing: the outcome of using each capability of its contracts that the vendor does not
            state.
        faults: the outcome of the main operation for each fault of the sandbox.
        usual_requests: the number of requests that the main operation sends without a fault.
        amounts: the outcome of charging each amount.
        secrets: secrets of the account.
        unsigned_events: the number of events accepted from a webhook without a signature.
        events: the error that reading damaged events raised; None without an error.
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
    usual_requests: int = 1
    amounts: Mapping[str, Outcome] = attrs.field(factory=dict[str, Any])
    secrets: tuple[str, ...] = ()
    unsigned_events: int = 0
    events: Exception | None = None

    @property
    def speaks_http(self) -> bool:
        """True if the vendor is called over HTTP."""
        return self.vendor.transport is None

    @property
    def start(self) -> Line:
        """The place of the vendor's class or module: its first line."""
        if not self.modules:
            return Line(self.vendor.__module__, 1)
        module = self.modules[0]
        lines = module.text.splitlines()
        start = f"class {self.vendor.__name__}("
        number = next((n for n, line in enumerate(lines, 1) if line.startswith(start)), 1)
        return Line(shown_path(module.path), number)
