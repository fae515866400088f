"""Execution of a contract's declared operations at the configured vendor."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from moorage.contracts.declaration import ACCOUNT, KEY, TIMEOUT, Contract, Target
from moorage.contracts.ref import Ref
from moorage.contracts.routes import shared_request
from moorage.domain.idempotency.claims import checked_key
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from moorage.contracts.declaration import ContractOperation
    from moorage.contracts.routes import RoutingRequest
    from moorage.contracts.wire import Wire
    from moorage.services.contracts.dispatcher import Dispatcher


def required_key(key: str | None) -> str:
    """Return the idempotency key; raise an error without one, since money could move twice."""
    if key is None:
        raise InvalidData(
            "An operation that moves money or stores something requires an idempotency key.",
            field="idempotency_key",
            remedy="Pass a key that names the effect, such as idempotency_key='INV-2041/1'.",
        )
    return checked_key(key)


def _optional_key(key: str | None) -> str | None:
    """Return the key unchanged, because the operation that uses it checks it."""
    return key


class Flows(Contract):
    """The operations of one contract for one tenant.

    A subclass gets a method for each declared operation.

    Args:
        dispatcher: sends the operations to vendors.
        tenant: tenant of the operations.
    """

    def __init__(self, dispatcher: Dispatcher, tenant: str | None) -> None:
        self._dispatcher = dispatcher
        self._tenant = tenant

    def __init_subclass__(cls) -> None:
        """Create a method for each operation that the subclass's contract declares."""
        super().__init_subclass__()
        for operation in cls.operations().values():
            has_account = operation.target in {Target.PAGE, Target.ACCOUNT}
            make_flow = cls._account_flow if has_account else cls._flow
            setattr(cls, operation.name, make_flow(operation))

    @classmethod
    def _flow(cls, operation: ContractOperation) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return a method that executes this operation of a contract."""
        kind, plan, name, verb = cls.kind, operation.plan, operation.name, operation.verb
        is_keyed, needs = operation.keyed, operation.needs
        check_key = required_key if operation.requires_key else _optional_key
        full_name = f"{kind}.{name}"
        at_reference, at_key = (
            operation.target is target for target in (Target.REFERENCE, Target.KEY)
        )
        count, named_count = len(operation.positional), len(operation.named)

        @wraps(plan)
        async def run_flow(self: Flows, /, *values: Any, **options: Any) -> Any:
            requirements = plan(self, *values, **options)
            dispatcher = self._dispatcher
            if requirements.recipients:
                refused_error = dispatcher.refusal(full_name, requirements.recipients)
                if refused_error is not None:
                    raise refused_error
            timeout, key = options.pop(TIMEOUT, None), check_key(options.pop(KEY, None))
            if len(values) != count or len(options) != named_count or requirements.arguments:
                values, options = operation.arguments(values, options, requirements.arguments)
            if is_keyed:
                options["key"] = key
            check_limits = requirements.check_limits

            def call_vendor(vendor: Any, wire: Wire, *refs: Ref) -> Awaitable[Any]:
                if check_limits is not None:
                    check_limits(vendor.limits)
                arguments = values
                if refs:
                    arguments = (refs[0].id if at_key else refs[0], *values[1:])
                result: Awaitable[Any] = getattr(vendor, verb)(wire, *arguments, **options)
                return result

            request = shared_request(
                kind,
                name,
                self._tenant,
                needs.union(requirements.needs),
                requirements.country,
                requirements.currency,
            )
            if at_reference or (at_key and isinstance(values[0], Ref)):
                return await dispatcher.execute_at(
                    values[0], request, call_vendor, key=key, timeout=timeout
                )
            return await dispatcher.execute(request, call_vendor, key=key, timeout=timeout)

        return run_flow

    @classmethod
    def _account_flow(cls, operation: ContractOperation) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return a method for operations at a named account, or at the earlier pages' account."""
        is_page = operation.target is Target.PAGE

        @wraps(operation.plan)
        async def run_flow(self: Flows, /, *values: Any, **options: Any) -> Any:
            requirements = operation.plan(self, *values, **options)
            timeout, account = options.pop(TIMEOUT, None), options.pop(ACCOUNT, None)
            positional, named_arguments = operation.arguments(
                values, options, requirements.arguments
            )

            def call_vendor(vendor: Any, wire: Wire, *_: Ref) -> Awaitable[Any]:
                if requirements.check_limits is not None:
                    requirements.check_limits(vendor.limits)
                result: Awaitable[Any] = getattr(vendor, operation.verb)(
                    wire, *positional, **named_arguments
                )
                return result

            request = self._request(
                operation.name,
                operation.needs.union(requirements.needs),
                requirements.country,
                requirements.currency,
            )
            page_key = positional[-1] if is_page else None
            if page_key is None and account is None:
                return await self._dispatcher.execute(request, call_vendor, timeout=timeout)
            ref = self._placeholder(account) if page_key is None else page_key
            return await self._dispatcher.execute_at(ref, request, call_vendor, timeout=timeout)

        return run_flow

    def _placeholder(self, account: str) -> Ref:
        """Return a reference to an account, without the id of an object there."""
        configured_account = self._dispatcher.directory.accounts.get(account)
        if configured_account is None:
            raise InvalidData(
                f"No account named {account!r} is configured.",
                field="account",
                remedy="Pass the name of a configured account.",
            )
        return Ref(configured_account.vendor.name, account, account)

    def _request(
        self,
        operation: str,
        needs: Iterable[str] = (),
        country: str | None = None,
        currency: str | None = None,
    ) -> RoutingRequest:
        """Return the properties of an operation from which routing chooses an account."""
        return shared_request(
            self.kind, operation, self._tenant, frozenset(needs), country, currency
        )
