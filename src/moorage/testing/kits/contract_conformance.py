"""Checks that follow from the declaration of a contract, for the vendors of any contract.

They use the contract's declared operations and its scenarios, so a new contract has them without
further code. Each check takes a function that makes a new `ContractSubject`. `CHECKS` go through
`Hub`, and `ASYNC_CHECKS` through `AsyncHub`. A contract with special rules adds checks that take a
`DeclaredHarness`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs

from moorage.contracts.catalog import contract
from moorage.contracts.declaration import KEY
from moorage.domain.http.requests import Response
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import encode_json
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    OutcomeUnknown,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
)
from moorage.testing.kits._contract_harness import (
    require_refusal,
    through_async_hub,
    through_hub,
    with_an_address,
)
from moorage.testing.kits._recorded_harness import RecordedHarness
from moorage.testing.kits.checks import require
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.base import Lost

if TYPE_CHECKING:
    from types import UnionType

    from moorage.contracts.declaration import ContractOperation
    from moorage.contracts.routes import Account
    from moorage.contracts.vendor import Vendor
    from moorage.testing.sandbox_scenarios.runner import Scenario
    from moorage.testing.sandboxes.base import Sandbox
    from moorage.testing.sandboxes.fixture import SandboxFixture

__all__ = [
    "ASYNC_CHECKS",
    "CHECKS",
    "AsyncCheck",
    "Check",
    "ContractSubject",
    "DeclaredHarness",
    "Factory",
    "require_declared_parameters",
]

_JSON: Final = {"Content-Type": "application/json"}
_PAUSE: Final = 7.0
_UNREPEATABLE_METHODS: Final = frozenset({"PATCH", "POST"})
_UNREADABLE: Final = (Response(200, _JSON, b"<html></html>"), Response(200, _JSON, b"null"))
_DAMAGED: Final[tuple[Any, ...]] = ({}, {"type": 7}, {"data": []}, {"id": None, "status": {}})
_REFUSALS: Final[tuple[tuple[Response, type[ConnectorError]], ...]] = (
    (Response(401, _JSON, b"{}"), AuthenticationFailed),
    (Response(429, {**_JSON, "Retry-After": f"{_PAUSE:.0f}"}, b"{}"), RateLimitExceeded),
)


@attrs.frozen(kw_only=True)
class ContractSubject:
    """A vendor of any contract to check.

    Attributes:
        contract: the name of the contract.
        kind: the vendor's class.
        fixture: an account at the vendor's sandbox, which is reached by HTTP.
        refusals: error responses of the vendor, each with the class of its error and the
            vendor's code that the error must keep.
    """

    contract: str
    kind: type[Vendor]
    fixture: SandboxFixture
    refusals: tuple[tuple[Response, type[ConnectorError], str | None], ...] = ()

    @property
    def account(self) -> Account:
        """The account in the hub, which is named after its vendor."""
        return self.fixture.account(self.kind)

    @property
    def vendor(self) -> Vendor:
        """The vendor object of the account under test."""
        return self.account.vendor

    @property
    def sandbox(self) -> Sandbox:
        """The vendor's sandbox."""
        return cast("Sandbox", self.fixture.sandbox)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The account's secrets, which nothing may show."""
        kind: Any = self.kind
        options = (getattr(self.vendor, field.name) for field in attrs.fields(kind))
        texts = [value.reveal() for value in options if isinstance(value, Secret)]
        # The secrets inside a JSON file do not appear in requests in that form.
        return tuple(text for text in texts if not text.startswith("{"))


class DeclaredHarness(RecordedHarness[ContractSubject]):
    """A test environment for a vendor of any contract, with its hub.

    Attributes:
        repeats_keys: True if each operation that takes an idempotency key is called twice with it,
            and the repeat must return the same result.
    """

    logs_content = True
    repeats_keys = False

    def __init__(self, subject: ContractSubject, *hub_and_records: Any) -> None:
        self.contract = subject.contract
        super().__init__(subject, *hub_and_records)

    async def __call__(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """Execute an operation; twice, if this environment is to repeat idempotency keys."""
        declared_operation = contract(self.contract).operations().get(operation)
        is_keyed = declared_operation is not None and declared_operation.keyed
        if not (self.repeats_keys and is_keyed):
            return await super().__call__(operation, *arguments, **named)
        named.setdefault(KEY, f"key-{len(self.sandbox.requests)}")
        result = await super().__call__(operation, *arguments, **named)
        repeated_result = await super().__call__(operation, *arguments, **named)
        require(repeated_result == result, f"A repeat of `{operation}` has another result.")
        return result

    def __getattr__(self, operation: str) -> Any:
        """Return an operation as a method, as scenarios call it."""
        if operation not in contract(self.contract).operation_effects():
            raise AttributeError(operation)
        return partial(self, operation)

    def hidden(self) -> tuple[str, ...]:
        """Return the texts that must stay hidden: the account's secrets."""
        return self.subject.secrets

    async def perform(self, scenario: Scenario, *, is_supported: bool = True) -> Any:
        """Return the result of a scenario.

        Args:
            scenario: the scenario.
            is_supported: False if the vendor lacks the scenario's capability.
        """
        fixture, name = self.subject.fixture, self.subject.kind.name
        return await scenario(
            ScenarioVendor(operations=self, fixture=fixture, name=name, is_supported=is_supported)
        )

    async def usual(self) -> Any:
        """Return the result of the contract's first scenario, its usual use."""
        return await self.perform(next(iter(BASIC[self.contract].values())))

    @classmethod
    def configured_accounts(cls, subject: ContractSubject) -> list[Account]:
        """Return the account under test, with its own settings."""
        account = subject.account
        return [attrs.evolve(account, settings={**cls._settings(), **account.settings})]


Factory: TypeAlias = Callable[[], ContractSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], DeclaredHarness]


def require_declared_parameters(kind: type[Vendor], operation: ContractOperation) -> None:
    """Fail the check unless a vendor's method accepts an operation's declared parameters."""
    method: Any = inspect.getattr_static(kind, operation.verb).__get__("vendor", kind)
    named = {**dict.fromkeys(operation.named), **({"key": None} if operation.keyed else {})}
    try:
        inspect.signature(method).bind("wire", *operation.positional, **named)
    except TypeError as error:
        raise AssertionError(f"`{operation.verb}` has other parameters: {error}.") from None
    require(inspect.iscoroutinefunction(method), f"`{operation.verb}` is not asynchronous.")


async def operations_have_the_declared_parameters(make: Open) -> None:
    """Each operation of the vendor has the parameters that the contract declares."""
    async with make() as harness:
        for operation in contract(harness.contract).operations().values():
            if hasattr(harness.subject.kind, operation.verb):
                require_declared_parameters(harness.subject.kind, operation)


async def basic_operations_work(make: Open) -> None:
    """The operations that need no capability work."""
    async with make() as harness:
        scenarios = BASIC[harness.contract]
    for name, scenario in scenarios.items():
        async with make() as harness:
            require(await harness.perform(scenario), f"The scenario {name!r} has no effect.")


async def stated_capabilities_work(make: Open) -> None:
    """Each capability that the vendor claims to have works."""
    async with make() as harness:
        scenarios = BY_CAPABILITY[harness.contract]
        stated_capabilities = [
            capability for capability in scenarios if capability in harness.capabilities
        ]
    for capability in stated_capabilities:
        async with make() as harness:
            is_working = await harness.perform(scenarios[capability])
            require(is_working, f"The capability {capability!r} has no effect.")


async def other_capabilities_are_refused(make: Open) -> None:
    """A capability that the vendor does not claim is refused before anything is sent."""
    async with make() as harness:
        for capability, scenario in BY_CAPABILITY[harness.contract].items():
            if capability in harness.capabilities:
                continue
            step = f"An operation that needs the undeclared capability {capability!r}"
            coroutine = harness.perform(scenario, is_supported=False)
            error = await harness.refused(UnsupportedByVendor, coroutine, step)
            is_missing = error.capabilities and harness.capabilities.isdisjoint(error.capabilities)
            require(is_missing, f"{step} is refused for {error.capabilities}.")
        require(
            harness.sandbox.requests == [],
            "A request was sent for an operation that the vendor does not support.",
        )


async def repeated_keys_have_the_same_result(make: Open) -> None:
    """Repeating an operation with the same idempotency key returns the same result."""
    async with make() as harness:
        harness.repeats_keys = True
        await harness.usual()


async def refusals_have_their_errors(make: Open) -> None:
    """Each error response raises the right error, with the vendor's response, message and code."""
    async with make() as harness:
        refusals = harness.subject.refusals
    for number, (answer, kind, code) in enumerate(refusals):
        step = f"Refusal {number}"
        error = await _failure(make, kind, step, with_an_address(answer))
        if error is not None:
            require_refusal(error, answer, step, code)


async def usual_statuses_have_their_errors(make: Open) -> None:
    """Wrong credentials, too many requests and an outage each raise the right error."""
    async with make() as harness:
        has_secrets = bool(harness.subject.secrets)
    for answer, kind in _REFUSALS if has_secrets else _REFUSALS[1:]:
        error = await _failure(make, kind, f"The status {answer.status}", answer)
        pause = getattr(error, "vendor_retry_after", _PAUSE)
        require(answer.status == 401 or pause == _PAUSE, f"A pause of 7 s becomes {pause} s.")
    outage = Response(503, body=b"<html></html>")
    await _failure(make, VendorFailed | OutcomeUnknown, "An outage", outage)


async def unreadable_answers_are_failures(make: Open) -> None:
    """A success response that cannot be read is not reported as a success."""
    for answer in _UNREADABLE:
        step = f"The answer {answer.text}"
        await _failure(make, VendorFailed | OutcomeUnknown, step, answer)


async def lost_answers_are_not_repeated(make: Open) -> None:
    """A lost response raises its own error class, and no request with an effect is sent again."""
    async with make() as harness:
        harness.sandbox.fail(Lost())
        try:
            await harness.usual()
        except (ConnectionFailed, OutcomeUnknown):
            pass
        else:
            is_found = len(harness.sandbox.requests) > 1
            require(is_found, "A lost answer is reported as a success.")
        effects = sum(
            request.method in _UNREPEATABLE_METHODS for request in harness.sandbox.requests
        )
        is_safe = effects <= 1 or harness.subject.kind.idempotency is not None
        require(is_safe, f"A request was sent {effects} times.")


async def secrets_are_not_shown(make: Open) -> None:
    """No error, event or log entry shows a secret, even if the vendor repeats it."""
    async with make() as harness:
        echo = {
            "message": " ".join(harness.subject.secrets),
            "error": {"message": harness.subject.secrets},
        }
        harness.sandbox.fail(Response(400, _JSON, encode_json(echo)))
        shown_texts = [repr(harness.subject.vendor)]
        try:
            await harness.usual()
        except ConnectorError as error:
            shown_texts.append(f"{error}{error!r}")
        await harness.require_hidden(shown_texts, harness.subject.secrets)


async def damaged_webhooks_are_no_errors(make: Open) -> None:
    """A webhook with damaged data yields no event, and raises only errors of moorage."""
    async with make() as harness:
        vendor = harness.subject.vendor
        for data in _DAMAGED:
            event = WebhookEvent(
                vendor=vendor.webhook or vendor.name,
                id="1",
                type="another",
                vendor_type="another",
                data=data,
                payload=data,
            )
            try:
                harness.hub.events(vendor.name, event)
            except ConnectorError:
                continue


async def _failure(
    make: Open, kind: type[ConnectorError] | UnionType, step: str, answer: Response
) -> ConnectorError | None:
    """Return the error of the contract's first scenario if its first request gets this response.

    None if the vendor overcame the response by another request, such as one with a new token.
    """
    async with make() as harness:
        harness.sandbox.fail(answer)
        try:
            result = await harness.usual()
        except ConnectorError as error:
            require(isinstance(error, kind), f"{step} raised {type(error).__name__}: {error}")
            harness.check_hides(f"{error}{error!r}", step)
            return error
        require(len(harness.sandbox.requests) > 1, f"{step} was no error, but gave {result!r}.")
        return None


_ALL_CHECKS: Final = (
    operations_have_the_declared_parameters,
    basic_operations_work,
    stated_capabilities_work,
    other_capabilities_are_refused,
    repeated_keys_have_the_same_result,
    refusals_have_their_errors,
    usual_statuses_have_their_errors,
    unreadable_answers_are_failures,
    lost_answers_are_not_repeated,
    secrets_are_not_shown,
    damaged_webhooks_are_no_errors,
)

CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, DeclaredHarness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(
    _ALL_CHECKS, DeclaredHarness.with_async_hub
)
