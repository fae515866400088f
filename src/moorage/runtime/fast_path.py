"""The rules of the fast path that synchronous and asynchronous calls share.

The fast path itself is `fast_path_async`, and `fast_path_sync` is made from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.auth.methods import authorise, needs_flow
from moorage.domain.auth.sent_values import SentCredentials
from moorage.domain.http.requests import Response, join_url
from moorage.domain.resilience.admission import NEEDS_TOKEN
from moorage.domain.resilience.interruptions import (
    interruption_behind,
    without_interrupted_frames,
)
from moorage.domain.service.plan import SLACK, with_fixed_headers, with_idempotency_key
from moorage.domain.values.functions import not_callable_error
from moorage.errors import ConnectorError
from moorage.services.calling.call import Call, OutOfTimeError, attempt_timeout_error
from moorage.services.calling.exchange import FirstAttempt, as_credentials, is_sure_to_leave
from moorage.services.core.foreign_errors import http_failure

if TYPE_CHECKING:
    from moorage.domain.auth.methods import Credentials, OAuthCredentials
    from moorage.domain.http.requests import Request, Timeouts
    from moorage.domain.observation.call_identity import CallIdentity
    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.service.plan import Plan
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.steps import CallOperations
    from moorage.services.core.core import Core, Flow

_FIRST_SUCCESS: Final = 200
_FIRST_NON_SUCCESS: Final = 300
_LARGEST_KEYED: Final = 262_144
"""Bytes of a body up to which its fingerprint is computed where the call is made."""


def call_before_attempt(
    plan: Plan,
    start_time: int,
    request: Request | None = None,
    identity: CallIdentity | None = None,
) -> Call:
    """Return the state of a call, created before its first attempt."""
    call = Call(plan, start_time, plan.span)
    call.request = request
    call.identity = identity
    return call


def call_after_attempt(
    plan: Plan,
    start_time: int,
    request: Request | None = None,
    identity: CallIdentity | None = None,
    attempt_start: int | None = None,
) -> Call:
    """Return the state of a call, created after its first attempt."""
    call = call_before_attempt(plan, start_time, request, identity)
    call.attempt_started = attempt_start or start_time
    return call


def outgoing_request(
    flows: CallOperations, plan: Plan, start_time: int, request: Request, state: Call | None
) -> tuple[Request, str]:
    """Return the request as it will be sent, and its URL."""
    try:
        if state is not None and state.key is not None:
            request = with_idempotency_key(request, plan, state.key)
        if plan.dresses:
            request = with_fixed_headers(request, plan)
        url = join_url(plan.base_url or "", request)
    except ConnectorError as error:
        flows.end(state or call_before_attempt(plan, start_time, request), error)
        raise
    if flows.core.learn is not None and not plan.provided:
        _sent_request(plan, request, url).report_secrets(flows.core.learn)
    return request, url


def credentials_lookup(core: Core, state: Call) -> Flow[object]:
    """Ask the credential provider for credentials, within the time that the call has left."""
    plan = state.plan
    lookup = core.get_credentials(plan.service.name, plan.tenant)
    return core.within(lookup, state.remaining(core) / 1e9)


def authorised_request(
    core: Core, state: Call, request: Request, url: str, value: object
) -> tuple[Request | None, FirstAttempt]:
    """Return the request with the credentials that the provider returned.

    Return None instead if the flow must go on: the credentials need more than one constant header,
    or too little time is left.

    Raises:
        CredentialNotFound: the provider returned something else.
    """
    plan = state.plan
    credentials = as_credentials(value)
    leading_attempt = FirstAttempt(None, None, credentials)
    if needs_flow(credentials) or has_lost_time(core, plan, state.started, state):
        return None, leading_attempt
    outgoing_request = authorise(request, credentials)
    if core.learn is not None:
        _sent_request(plan, outgoing_request, url, credentials).report_secrets(core.learn)
    return outgoing_request, leading_attempt


def time_limits(core: Core, state: Call) -> Timeouts:
    """Start the first attempt of a call, and return its time limits."""
    plan = state.plan
    start = state.attempt_started = core.nanoseconds()
    if not state.has_less_time:
        return plan.timeouts_at_first
    return plan.timeouts.within(max(1, state.deadline - start) / 1e9)


def first_attempt(
    plan: Plan, ending: Ending, sent: Request, url: str, begun: FirstAttempt | None
) -> FirstAttempt:
    """Return a first attempt and its result; `begun` contains the credentials, if there are any.

    `ending` is a response or an HTTP client's exception. An interruption is raised again.
    """
    response, error = ending
    if error is not None:
        ending = response, _connector_error(error)
    credentials = None if begun is None else begun.credentials
    return FirstAttempt(ending, _sent_request(plan, sent, url, credentials), credentials)


def _sent_request(
    plan: Plan,
    request: Request,
    url: str,
    credentials: Credentials | OAuthCredentials | None = None,
) -> SentCredentials:
    credentials = credentials or plan.credentials
    return SentCredentials(credentials, request, url, plan.service.redaction, plan.base_url)


def admit_first_attempt(
    flows: CallOperations,
    plan: Plan,
    start_time: int,
    call: Call | None,
    request: Request | None = None,
) -> Admitted:
    """Ask the store to admit the first attempt; raise the store's error if it refuses."""
    try:
        if call is None or not call.has_less_time:
            admission = plan.ask(plan.admission, plan.seconds)  # type: ignore[arg-type, misc]  # callers checked that it has both
        else:
            time_left = (call.deadline - call.started) / 1e9
            admission = plan.ask(plan.admission_at_once, time_left)  # type: ignore[arg-type, misc]  # as above
    except BaseException as error:
        end_refused_call(flows, plan, start_time, call, error, request)
        raise
    # Inline, so that no function call between the grant and the caller can be interrupted.
    if admission[0] > NEEDS_TOKEN and call is None and not flows.core.observers:
        raise flows.refused(plan, start_time, admission)
    return admission


async def request_admission(
    flows: CallOperations,
    plan: Plan,
    start_time: int,
    call: Call | None,
    request: Request | None = None,
) -> Admitted:
    """Ask an asynchronous store to admit the first attempt; raise its error if it refuses."""
    try:
        admission = await admission_flow(flows.core, plan, call)
    except BaseException as error:
        end_refused_call(flows, plan, start_time, call, error, request)
        raise
    if admission[0] > NEEDS_TOKEN and call is None and not flows.core.observers:
        raise flows.refused(plan, start_time, admission)
    return admission


def admission_flow(core: Core, plan: Plan, call: Call | None) -> Flow[Admitted]:
    """Return the coroutine that asks an asynchronous store to admit the first attempt."""
    if call is None or not call.has_less_time:
        return core.execute(plan.admission, plan.seconds)  # type: ignore[arg-type]  # callers checked that it has both
    return core.execute(plan.admission_at_once, (call.deadline - call.started) / 1e9)  # type: ignore[arg-type]  # callers checked that it has both


def end_refused_call(  # noqa: PLR0917 - the state of a call that may have no state yet
    flows: CallOperations,
    plan: Plan,
    start_time: int,
    call: Call | None,
    error: BaseException,
    request: Request | None = None,
    identity: CallIdentity | None = None,
) -> None:
    """End a call that failed or was interrupted before the store admitted its attempt."""
    state = call or call_before_attempt(plan, start_time, request, identity)
    if isinstance(error, ConnectorError):
        flows.end(state, error)
    else:
        flows.notify_interruption(state, error)


def has_lost_time(core: Core, plan: Plan, start_time: int, call: Call | None) -> bool:
    """Return whether the store's answer took so long that the attempt's time limit is reduced."""
    duration = core.nanoseconds() - start_time
    return duration > plan.slack or (
        call is not None and duration > (call.deadline - start_time) >> SLACK
    )


def may_send_keyed(plan: Plan, request: Request) -> bool:
    """Return whether the fast path may send a request that has an idempotency key."""
    return (
        plan.bulkhead is None
        and len(request.body) <= _LARGEST_KEYED  # type: ignore[arg-type]  # callers checked that it is bytes
        and is_sure_to_leave(plan, request)
    )


def is_final_success(core: Core, plan: Plan, response: Response) -> bool:
    """Return whether a response ends its call: a success without rate-limit headers.

    A success shows that the service accepts the provider's credentials.
    """
    if type(response) is not Response or not _FIRST_SUCCESS <= response.status < _FIRST_NON_SUCCESS:
        return False
    if plan.provided:
        core.refreshes.record_acceptance(plan.refresh_key)
    return not (plan.gates.limits and response.headers.has_name_with("limit"))


def has_result(state: Call | None, response: Response) -> bool:
    """Return whether a successful answer contains the result that the operation expects.

    If not, the flow judges the answer again, and says what is wrong with it.
    """
    if state is None or state.http_operation is None or state.parse is None:
        return True
    try:
        is_refused = state.http_operation.refusal(response) is not None
        if not is_refused:
            state.parse(response)
    except Exception:  # noqa: BLE001 - the flow decides what becomes of it
        return False
    return not is_refused


def _connector_error(error: Exception) -> ConnectorError:
    """Return moorage's error for an error of an HTTP client; raise an interruption again."""
    interruption = interruption_behind(error)
    if interruption is not None:
        raise without_interrupted_frames(interruption)
    return error if isinstance(error, ConnectorError) else http_failure(error)


def function_error(error: Exception, function: object) -> Exception:
    """Return the error of a function's failed attempt, such as a timeout."""
    if isinstance(error, OutOfTimeError):
        return attempt_timeout_error()
    return error if callable(function) else not_callable_error(function, "function")
