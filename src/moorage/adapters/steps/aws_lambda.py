"""AWS Lambda functions as operations that a manager protects.

Lambda is not a platform for steps, because Lambda cannot report the outcome of an earlier
invocation.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage.adapters.secret_managers.aws_identity import default_endpoint
from moorage.adapters.steps._aws_access import AwsAccess, aws_identity, is_region
from moorage.adapters.steps._cloud_wire import CloudApi
from moorage.domain.http.urls import validate_base_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.steps.lambda_results import (
    LARGEST_EVENT,
    LARGEST_QUEUED_EVENT,
    LambdaResult,
    event_of,
    result_of,
)
from moorage.domain.values.durations import is_true_or_false
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.secrets.secret import Secret
    from moorage.domain.service.operation import OperationAttempt
    from moorage.errors import ConnectorError
    from moorage.ports.clock import Clock
    from moorage.ports.http import HttpClient

_NAME: Final = late_pattern(r"[A-Za-z0-9_:$.-]{1,256}")


def _endpoint(settings: LambdaSettings) -> str:
    return default_endpoint("lambda", settings.region)


@checked_options
@attrs.frozen(kw_only=True)
class LambdaSettings:
    """The AWS Lambda functions in one region.

    Attributes:
        region: the region of the functions, such as `eu-central-1`.
        access_key_id: the id of the access key; by default the keys of the environment, the
            container or the instance are used.
        secret_access_key: the secret of the access key.
        session_token: the token of temporary keys.
        endpoint: the URL of Lambda, if it is not the region's default.
    """

    region: str = attrs.field(validator=is_region)
    access_key_id: str | None = attrs.field(default=None, repr=False)
    secret_access_key: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    session_token: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    endpoint: str = attrs.field(
        default=attrs.Factory(_endpoint, takes_self=True), converter=validate_base_url
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an access key id without its secret, or a secret without its id."""
        aws_identity(self.access_key_id, self.secret_access_key, self.session_token)


@attrs.frozen(kw_only=True)
class LambdaInvocation:
    """One invocation of a Lambda function, for `ConnectorManager.perform`.

    The invocation's result is a `LambdaResult`, even if the function failed.

    Attributes:
        name: the name in events and errors, such as "lambda.report".
        act: performs the invocation within the given number of seconds.
        safe: whether the function only reads.
        repeatable: whether a repeat of the invocation has the same effect.
        system: the kind of the foreign system.
    """

    name: str
    act: Callable[[float], LambdaResult] = attrs.field(repr=False)
    safe: bool = attrs.field(default=False, validator=is_true_or_false)
    repeatable: bool = attrs.field(default=False, validator=is_true_or_false)
    system: str = "aws_lambda"

    def perform(self, attempt: OperationAttempt) -> LambdaResult:
        """Invoke the function once."""
        return self.act(attempt.timeout)

    def translate_error(self, error: Exception) -> ConnectorError | None:  # noqa: ARG002 - there are no others
        """Return None, because only errors of moorage are raised."""
        return None

    def pack_result(self, result: LambdaResult) -> dict[str, Any]:
        """Return a result as plain values."""
        return attrs.asdict(result)

    def unpack_result(self, stored: Any) -> LambdaResult:
        """Return a result from plain values."""
        return LambdaResult(**stored)


@with_careful_constructor
class LambdaFunction:
    """An AWS Lambda function.

    Args:
        settings: the region and its keys.
        name: the name of the function, or its ARN.
        qualifier: the version or the alias; by default the newest code.
        http: the HTTP client; by default one of its own.
        clock: the clock for the times in signatures.

    Raises:
        ConfigurationError: the name is not a valid function name.
    """

    def __init__(
        self,
        settings: LambdaSettings,
        name: str,
        *,
        qualifier: str | None = None,
        http: HttpClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        for field, value in (("name", name), ("qualifier", qualifier or "$LATEST")):
            if not isinstance(value, str) or _NAME.fullmatch(value) is None:
                raise ConfigurationError(
                    f"{str(value)[:80]!r} cannot be the {field} of a Lambda function.",
                    path=field,
                    remedy=f"Give the {field} as Lambda shows it, such as 'monthly-report'.",
                )
        self._endpoint = settings.endpoint
        self._path = f"/2015-03-31/functions/{quote(name, safe='')}/invocations"
        self._query = {} if qualifier is None else {"Qualifier": qualifier}
        self._operation = f"lambda.{name.rpartition(':')[2]}"
        keys = aws_identity(
            settings.access_key_id, settings.secret_access_key, settings.session_token
        )
        self._api = CloudApi(
            "AWS Lambda",
            AwsAccess(keys, settings.region, "lambda"),
            http,
            clock,
            remedy="Check the access keys, and that they may use lambda:InvokeFunction.",
        )

    def invoke(
        self,
        payload: object = None,
        *,
        has_log: bool = False,
        safe: bool = False,
        repeatable: bool = False,
    ) -> LambdaInvocation:
        """Return the operation that invokes the function and waits for its result.

        Args:
            payload: the event: a value to write as JSON, or JSON as bytes.
            has_log: whether the result has the end of the function's log.
            safe: whether the function only reads.
            repeatable: whether a repeat has the same effect. Only then is it invoked again if the
                answer is lost.

        Raises:
            InvalidData: the payload is not JSON, or has more than 6 MB.
        """
        event = event_of(payload, LARGEST_EVENT)
        headers = {
            "X-Amz-Invocation-Type": "RequestResponse",
            "X-Amz-Log-Type": "Tail" if has_log else "None",
        }
        send_authorised = partial(self._invoke, event, headers)
        return LambdaInvocation(
            name=self._operation, act=send_authorised, safe=safe, repeatable=repeatable or safe
        )

    def invoke_later(self, payload: object = None, *, repeatable: bool = False) -> LambdaInvocation:
        """Return the operation that queues an event for the function.

        Lambda does not report the outcome of the event: it calls the function up to three times,
        and sends failed events to the function's destination or dead-letter queue.

        Args:
            payload: the event: a value to write as JSON, or JSON as bytes.
            repeatable: whether a repeat has the same effect.

        Raises:
            InvalidData: the payload is not JSON, or has more than 1 MB.
        """
        event = event_of(payload, LARGEST_QUEUED_EVENT)
        send_authorised = partial(self._invoke, event, {"X-Amz-Invocation-Type": "Event"})
        return LambdaInvocation(name=self._operation, act=send_authorised, repeatable=repeatable)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _invoke(self, event: bytes, headers: dict[str, str], timeout: float) -> LambdaResult:
        answer = self._api.ask(
            "POST",
            self._endpoint,
            self._path,
            timeout,
            query=self._query,
            body=event,
            headers=headers,
        )
        is_queued = headers["X-Amz-Invocation-Type"] == "Event"
        return self._api.read(result_of, answer, is_queued=is_queued)
