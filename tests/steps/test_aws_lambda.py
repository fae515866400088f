"""Functions of AWS Lambda, with scripted responses."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorManager,
    InvalidData,
    LambdaFunction,
    LambdaResult,
    LambdaSettings,
    LocalFailure,
    OutcomeUnknown,
    RateLimitExceeded,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.domain.http.requests import Response
from moorage.testing import FakeVendor, ScriptedHttpClient
from tests.steps.cloud_harness import json_response
from tests.support.moto_server import REGION, MotoServer

if TYPE_CHECKING:
    from pathlib import Path

KEYS: dict[str, Any] = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "s3cr3t-of-lambda"}


@pytest.fixture
def vendor() -> FakeVendor:
    """Return a scripted vendor."""
    return FakeVendor()


def function(vendor: FakeVendor, name: str = "report", **options: Any) -> LambdaFunction:
    """Return a Lambda function that the scripted vendor runs."""
    settings = LambdaSettings(region="eu-central-1", **KEYS)
    return LambdaFunction(settings, name, http=ScriptedHttpClient(vendor), **options)


def manager(**options: Any) -> ConnectorManager:
    """Return a manager that retries without pauses."""
    retry = RetryPolicy(max_attempts=3, base_delay=0.001)
    return ConnectorManager([Service("lambda", retry=retry)], **options)


def test_invocation_returns_the_result_and_the_log(vendor: FakeVendor) -> None:
    """An invocation's result has the document, the log, the version and the request id."""
    headers = {
        "x-amzn-RequestId": "req-1",
        "X-Amz-Log-Result": b64encode(b"START\nEND\n").decode(),
        "X-Amz-Executed-Version": "7",
    }
    vendor.respond_json({"rows": 12}, headers=headers)
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:report"

    operation = function(vendor, arn, qualifier="live").invoke({"month": 1}, has_log=True)
    result = manager().perform("lambda", operation)

    assert {"rows": 12} == result.payload
    assert ("START\nEND\n", "7", "req-1") == (result.log, result.version, result.request_id)
    assert result.is_success
    (request,) = vendor.requests
    assert f"/2015-03-31/functions/{arn.replace(':', '%3A')}/invocations" == request.path
    assert [("Qualifier", "live")] == request.query
    assert "lambda.report" == operation.name
    assert ("RequestResponse", "Tail") == (
        request.headers.get("X-Amz-Invocation-Type"),
        request.headers.get("X-Amz-Log-Type"),
    )


def test_failed_function_is_a_result(vendor: FakeVendor, tmp_path: Path) -> None:
    """If a function fails, its result says so, and a repeat of the key returns the same result."""
    error = {"errorMessage": "no rows", "errorType": "ValueError"}
    vendor.respond_json(error, headers={"X-Amz-Function-Error": "Unhandled"})
    protected = manager(state=SqliteStorage(str(tmp_path / "state.db")))
    operation = function(vendor).invoke()

    results = [protected.perform("lambda", operation, idempotency_key="report-1") for _ in range(2)]

    assert [False, False] == [result.is_success for result in results]
    assert results[0] == results[1] == LambdaResult(payload=error, error="Unhandled")
    assert 1 == len(vendor.requests)


def test_unreadable_log_loses_no_result(vendor: FakeVendor) -> None:
    """If the log cannot be read, the function's result has an empty log."""
    vendor.respond_json(1, headers={"X-Amz-Log-Result": "abc"})

    result = manager().perform("lambda", function(vendor).invoke(has_log=True))

    assert (1, "") == (result.payload, result.log)


def test_queued_event_cannot_be_followed(vendor: FakeVendor) -> None:
    """A queued event has a request id, but no result."""
    vendor.respond(202, {"x-amzn-RequestId": "req-2"})

    result = manager().perform("lambda", function(vendor).invoke_later([1, 2]))

    assert LambdaResult(request_id="req-2") == result
    assert "Event" == vendor.requests[0].headers.get("X-Amz-Invocation-Type")
    assert b"[1, 2]" == vendor.requests[0].body


def test_lost_answer_is_not_repeated(vendor: FakeVendor) -> None:
    """A lost invocation is repeated only if the function is declared safe."""
    lost_error = ConnectionFailed("lost", may_have_been_processed=True)
    vendor.queue(lost_error)
    with pytest.raises(OutcomeUnknown):
        manager().perform("lambda", function(vendor).invoke(), idempotency_key="once")
    assert 1 == len(vendor.requests)

    vendor.queue(lost_error, json_response(7))
    result = manager().perform("lambda", function(vendor).invoke(safe=True))

    assert 7 == result.payload


@pytest.mark.parametrize(
    "answer, error",
    [
        (Response(429, {"x-amzn-ErrorType": "TooManyRequestsException:x"}), RateLimitExceeded),
        (Response(404, {"x-amzn-ErrorType": "ResourceNotFoundException"}), VendorRejected),
        (Response(403, {"x-amzn-ErrorType": "AccessDeniedException"}), AuthenticationFailed),
        (Response(408, {"x-amzn-ErrorType": "SnapStartTimeoutException"}), VendorFailed),
        (Response(502, {"x-amzn-ErrorType": "ENILimitReachedException"}), VendorFailed),
        (Response(200, {}, b"{"), VendorFailed),
    ],
)
def test_failures_are_typed(vendor: FakeVendor, answer: Response, error: type[Exception]) -> None:
    """Each error response of Lambda raises the matching error type."""
    vendor.always(answer.evolve(headers={**dict(answer.headers.pairs), "x-amzn-RequestId": "r-9"}))
    retry = RetryPolicy(max_attempts=1)
    manager_without_retries = ConnectorManager([Service("lambda", retry=retry)])

    with pytest.raises(error) as failure:
        manager_without_retries.perform("lambda", function(vendor).invoke())

    assert "s3cr3t-of-lambda" not in repr(failure.value)
    if answer.status >= 400:
        assert "r-9" == failure.value.request_id  # type: ignore[attr-defined]  # of all errors


def test_lambda_checks_the_signature() -> None:
    """A signed request passes the emulator's check, even with an ARN in its path."""
    with MotoServer() as moto:
        settings = LambdaSettings(
            region=REGION,
            access_key_id=moto.key.id,
            secret_access_key=moto.key.secret,
            endpoint=moto.url,
        )
        reached = LambdaFunction(settings, "missing")
        with pytest.raises(VendorRejected) as excinfo:
            manager().perform("lambda", reached.invoke())
        reached.close()
    assert 404 == excinfo.value.status


@pytest.mark.parametrize("payload", [{1, 2}, b"{", "x" * 7_000_000, b'"' + b"x" * 7_000_000 + b'"'])
def test_wrong_payload_is_refused(vendor: FakeVendor, payload: object) -> None:
    """A payload that is not JSON, or too large, is refused before anything is sent."""
    with pytest.raises(InvalidData) as excinfo:
        function(vendor).invoke(payload)
    assert "payload" == excinfo.value.field
    with pytest.raises(InvalidData):
        function(vendor).invoke_later("x" * 1_100_000)
    assert () == vendor.requests


@pytest.mark.parametrize("name", ["", "a b", "x" * 300, None, "../functions"])
def test_wrong_names_are_refused(vendor: FakeVendor, name: Any) -> None:
    """An invalid function name is refused."""
    with pytest.raises(ConfigurationError):
        function(vendor, name)
    with pytest.raises(ConfigurationError):
        LambdaSettings(region="eu-central-1", access_key_id="AKIAEXAMPLE")


def test_wrong_keys_of_the_machine_are_named(
    vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machine credentials that cannot sign cause an error, and nothing is sent."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "k7\N{HORIZONTAL ELLIPSIS}")
    settings = LambdaSettings(region="eu-central-1")
    reached = LambdaFunction(settings, "report", http=ScriptedHttpClient(vendor))

    with pytest.raises(LocalFailure, match="cannot be used"):
        manager().perform("lambda", reached.invoke(), idempotency_key="x")

    with pytest.raises(InvalidData):
        LambdaSettings(region="eu-central-1", access_key_id="A", secret_access_key="\n")


def test_settings_hide_their_secrets() -> None:
    """The repr of settings or an operation shows neither idempotency key nor payload."""
    settings = LambdaSettings(region="eu-central-1", **KEYS)
    operation = LambdaFunction(settings, "report").invoke({"password": "hunter2"})
    shown_text = json.dumps([repr(settings), repr(operation)])
    assert "s3cr3t" not in shown_text
    assert "hunter2" not in shown_text
    assert operation.translate_error(ValueError()) is None
    LambdaFunction(settings, "report").close()
