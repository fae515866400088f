"""GraphQL services called through a connector manager."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AuthenticationFailed,
    ConnectorError,
    Credentials,
    GraphQL,
    GraphQLAnswer,
    GraphQLPage,
    GraphQLProblem,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    Response,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.graphql.answers import (
    failure_of,
    read_answer,
    refusal_of,
    refusal_of_mutation,
)
from moorage.domain.resilience.classify import classify
from tests.support.modes import Harness, sync_and_async

SHOP = GraphQL("/graphql")
ORDERS = "query Orders($after: String) { orders(first: 2, after: $after) { nodes { id } } }"
ADD = "mutation Add($id: ID!) { add(id: $id) { id } }"
TOKEN = "token-of-the-shop-4711"


def shop(**options: Any) -> Service:
    """Return a GraphQL service with retries."""
    settings: dict[str, Any] = {
        "base_url": "https://shop.example",
        "retry": RetryPolicy(3, 0),
        "credentials": Credentials.bearer(TOKEN),
        **options,
    }
    return Service("shop", **settings)


def answer(data: object, *problems: dict[str, Any], **extensions: Any) -> Response:
    """Return a GraphQL response with this data."""
    body: dict[str, Any] = {"data": data}
    if problems:
        body["errors"] = list(problems)
    if extensions:
        body["extensions"] = extensions
    return Response(200, body=json.dumps(body).encode())


def problem(code: str | None, **members: Any) -> dict[str, Any]:
    """Return an error as a GraphQL service reports it."""
    extensions = {} if code is None else {"code": code}
    return {"message": "the reason", "extensions": extensions, **members}


@sync_and_async
async def test_query_is_sent_as_json(harness: Harness) -> None:
    """A query is a POST with document, operation name and variables; its data is returned."""
    harness.vendor.answers(answer({"orders": {"nodes": []}}))
    result = await harness.manager(shop()).perform("shop", SHOP.query(ORDERS, {"after": "c1"}))

    (request,) = harness.vendor.requests
    assert ("POST", "/graphql") == (str(request.request.method), request.path)
    assert {"query": ORDERS, "operationName": "Orders", "variables": {"after": "c1"}} == json.loads(
        bytes(request.request.body)  # type: ignore[arg-type]  # JSON is sent as bytes
    )
    assert GraphQLAnswer({"orders": {"nodes": []}}) == result
    assert {"orders": {"nodes": []}} == result.whole_data()


@pytest.mark.parametrize("failure", [503, answer(None, problem("INTERNAL_SERVER_ERROR"))])
@sync_and_async
async def test_failed_query_is_repeated_and_a_mutation_is_not(
    harness: Harness, failure: Any
) -> None:
    """A failed query is retried; a failed mutation is not, since it may have been carried out."""
    harness.vendor.answers(failure, answer({"orders": 1}), failure)
    manager = harness.manager(shop())

    assert 1 == (await manager.perform("shop", SHOP.query(ORDERS))).data["orders"]
    with pytest.raises(VendorFailed):
        await manager.perform("shop", SHOP.mutation(ADD, {"id": "7"}))
    assert 3 == len(harness.vendor.requests)


@sync_and_async
async def test_mutation_with_key_that_service_honours_is_retried(harness: Harness) -> None:
    """A mutation with a key that the service honours is retried; a repeat gets its response."""
    harness.vendor.answers(503, answer({"add": {"id": "7"}}))
    service = shop(idempotency_header="Idempotency-Key", idempotency_memory=3600.0)
    manager = harness.manager(service)
    results = [
        await manager.perform("shop", SHOP.mutation(ADD, {"id": "7"}), idempotency_key="order-7")
        for _ in range(2)
    ]

    assert [False, True] == [result.replayed for result in results]
    assert [{"add": {"id": "7"}}] * 2 == [result.data for result in results]
    assert ["order-7"] * 2 == [
        request.header("Idempotency-Key") for request in harness.vendor.requests
    ]


@sync_and_async
async def test_failed_mutation_with_a_key_has_an_unknown_outcome(harness: Harness) -> None:
    """A failed mutation with a key has an unknown outcome, and a rejected one a known outcome."""
    failure, refusal = problem("INTERNAL_SERVER_ERROR"), problem("BAD_USER_INPUT")
    harness.vendor.answers(answer(None, failure), answer({"add": None}, refusal))
    manager = harness.manager(shop())
    with pytest.raises(OutcomeUnknown):
        await manager.perform("shop", SHOP.mutation(ADD, {"id": "7"}), idempotency_key="one")
    with pytest.raises(InvalidRequest):
        await manager.perform("shop", SHOP.mutation(ADD, {"id": "8"}), idempotency_key="two")


@pytest.mark.parametrize(
    "code, kind",
    [
        ("UNAUTHENTICATED", AuthenticationFailed),
        ("FORBIDDEN", AuthenticationFailed),
        ("THROTTLED", RateLimitExceeded),
        ("GRAPHQL_VALIDATION_FAILED", InvalidRequest),
        ("INTERNAL_SERVER_ERROR", VendorFailed),
        ("OUT_OF_STOCK", VendorRejected),
        (None, VendorRejected),
    ],
)
def test_error_code_decides_the_raised_error_class(
    code: str | None, kind: type[ConnectorError]
) -> None:
    """The error code of a response without data decides the class of the raised error."""
    error = refusal_of(answer(None, problem("SOMETHING"), problem(code)))
    other_error = refusal_of(answer({"add": None}, problem(code)))

    assert (kind, kind) == (type(error), type(other_error))
    known_code = code if kind is not VendorRejected else "SOMETHING"
    assert (known_code, "the reason") == (
        getattr(error, "vendor_code", None),
        getattr(error, "vendor_message", None),
    )
    assert (kind is RateLimitExceeded) is getattr(error, "by_vendor", False)


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "GRAPHQL_VALIDATION_FAILED", InvalidRequest),
        (400, "UNAUTHENTICATED", AuthenticationFailed),
        (400, "THROTTLED", RateLimitExceeded),
        (400, "OUT_OF_STOCK", InvalidRequest),
        (401, None, AuthenticationFailed),
        (409, "OUT_OF_STOCK", VendorRejected),
        (422, "validation-failed", InvalidRequest),
        (429, None, RateLimitExceeded),
        (500, "INTERNAL_SERVER_ERROR", VendorFailed),
        (500, "BAD_USER_INPUT", VendorFailed),
        (503, "THROTTLED", RateLimitExceeded),
        (503, None, VendorFailed),
    ],
)
def test_graphql_error_code_precedes_the_http_status(
    status: int, code: str | None, kind: type[ConnectorError]
) -> None:
    """The GraphQL error code decides the error class; without a code, the HTTP status does."""
    error = failure_of(Response(status, body=answer(None, problem(code)).body))

    assert kind is type(error)
    assert (status, code, "the reason") == (
        getattr(error, "status", None),
        getattr(error, "vendor_code", None),
        getattr(error, "vendor_message", None),
    )
    assert (kind in {VendorFailed, RateLimitExceeded}) is (error is not None and error.retryable)


def test_message_of_the_service_is_shown() -> None:
    """The error shows the service's message, shortened and without secrets, as with REST."""

    def refusal(message: object) -> Any:
        return refusal_of(answer(None, {"message": message}))

    error = refusal("id must not be empty")
    assert "The GraphQL service answered with an error: id must not be empty" == error.message
    long_error = refusal("x y " * 1_000)
    assert len(long_error.message) < 600
    secret = "sk_live_51HxQ2eKc0ffee0ffee0ffee"
    revealing_error = refusal(f"The key {secret} is wrong")
    body = json.dumps({"message": f"The key {secret} is wrong"}).encode()
    rest_error = classify(Response(422, {"Content-Type": "application/json"}, body))
    assert getattr(rest_error, "vendor_message", "") == revealing_error.vendor_message
    assert secret not in str(revealing_error)
    silent_error = refusal(7)
    assert "The GraphQL service answered with an error." == silent_error.message


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"message": "no"}', b'{"errors": []}'])
def test_http_status_decides_if_the_body_is_not_graphql(body: bytes) -> None:
    """If a response is not GraphQL, the HTTP status alone decides the error class."""
    assert failure_of(Response(400, body=body)) is None


@sync_and_async
async def test_refused_mutation_did_not_happen(harness: Harness) -> None:
    """A mutation rejected with status 400 was not executed; after a 500 this is unknown."""
    refusal = Response(400, body=answer(None, problem("BAD_USER_INPUT")).body)
    failure = Response(500, body=answer(None, problem("BAD_USER_INPUT")).body)
    harness.vendor.answers(refusal, failure)
    manager = harness.manager(shop())
    with pytest.raises(InvalidRequest, match="GraphQL service answered"):
        await manager.perform("shop", SHOP.mutation(ADD, {"id": "7"}), idempotency_key="one")
    with pytest.raises(OutcomeUnknown):
        await manager.perform("shop", SHOP.mutation(ADD, {"id": "8"}), idempotency_key="two")


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"data": None, "errors": [problem(None)]}, VendorFailed),
        ({"data": {"add": None}, "errors": [problem(None)]}, VendorFailed),
        ({"data": {"add": None}, "errors": [problem("OUT_OF_STOCK")]}, VendorRejected),
        ({"errors": [problem(None)]}, VendorRejected),
        ({"data": {"add": {"id": 1}}, "errors": [problem(None)]}, None),
    ],
)
def test_mutation_that_failed_after_it_began_has_unknown_outcome(
    body: object, kind: type[ConnectorError] | None
) -> None:
    """If a mutation fails without an error code after it began, its outcome is unknown."""
    error = refusal_of_mutation(Response(200, body=json.dumps(body).encode()))

    assert kind is (None if error is None else type(error))
    if kind is VendorFailed:
        assert error is not None
        assert not error.retryable
        assert "before you repeat it" in (error.remedy or "")


def test_type_of_a_graphql_error_is_read_as_its_code() -> None:
    """The `type` of a GraphQL error is read as its code.

    A code may be spelt in several ways.
    """
    limit = Response(200, body=b'{"errors": [{"type": "RATE_LIMITED", "message": "slow"}]}')
    denied = answer(None, problem("access-denied"))

    assert RateLimitExceeded is type(refusal_of(limit))
    assert AuthenticationFailed is type(refusal_of(denied))


def test_partial_graphql_result_is_returned_with_its_errors() -> None:
    """A partial GraphQL result is returned with its errors.

    With `whole_data`, an error is raised instead.
    """
    denied = problem("FORBIDDEN", path=["orders", 0, "price"])
    response = answer({"orders": [{"price": None}]}, denied, cost=3)

    assert refusal_of(response) is None
    result = read_answer(response)
    assert {"cost": 3} == result.extensions
    expected = GraphQLProblem(
        "the reason", "FORBIDDEN", ("orders", 0, "price"), {"code": "FORBIDDEN"}
    )
    assert (expected,) == result.problems
    with pytest.raises(AuthenticationFailed, match="answered with an error"):
        result.whole_data()


@pytest.mark.parametrize(
    "response, pause",
    [
        (
            answer(None, {"message": "slow", "extensions": {"code": "THROTTLED", "retryAfter": 3}}),
            3.0,
        ),
        (
            answer(
                None,
                problem("THROTTLED"),
                cost={
                    "requestedQueryCost": 500,
                    "throttleStatus": {"currentlyAvailable": 100, "restoreRate": 50.0},
                },
            ),
            8.0,
        ),
        (
            answer(
                None,
                {"message": "", "extensions": {"code": "THROTTLED", "retryAfter": 10**400}},
            ),
            2.0**53,
        ),
        (
            answer(
                None,
                problem("THROTTLED"),
                cost={
                    "requestedQueryCost": -(10**400),
                    "throttleStatus": {"currentlyAvailable": 10**400, "restoreRate": 1},
                },
            ),
            0.0,
        ),
        (answer(None, problem("THROTTLED"), cost={"requestedQueryCost": 500}), None),
        (answer(None, problem("THROTTLED")), None),
    ],
)
def test_requested_pause_is_read_from_the_response(response: Response, pause: float | None) -> None:
    """The wait is read from the GraphQL response: either seconds, or a cost and a restore rate."""
    error = refusal_of(response)
    assert error is not None
    assert pause == error.vendor_retry_after


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"data": 5}', b'{"data": null}']
)
def test_response_that_is_not_graphql_blames_the_vendor(body: bytes) -> None:
    """If a response is not GraphQL, or has neither data nor errors, the error blames the vendor."""
    with pytest.raises(VendorFailed):
        read_answer(Response(200, body=body))


def pages_of(*connection: tuple[str, Any]) -> GraphQLAnswer:
    """Return a response that has a paged GraphQL connection below `shop`."""
    return GraphQLAnswer({"shop": {"orders": dict(connection)}})


def test_page_of_a_connection_has_its_nodes_and_the_next_cursor() -> None:
    """A page of a GraphQL connection has its nodes and the cursor for the next page."""
    next_page = ("pageInfo", {"hasNextPage": True, "endCursor": "c2"})
    last = ("pageInfo", {"hasNextPage": False, "endCursor": "c3"})
    first_page = pages_of(next_page, ("nodes", [1, 2])).page("shop.orders")
    last_page = pages_of(last, ("edges", [{"node": 3}])).page("shop.orders")

    assert GraphQLPage((1, 2), "c2") == first_page
    assert {"first": 2, "after": "c2"} == first_page.next_variables({"first": 2})
    assert GraphQLPage((3,), None) == last_page
    assert last_page.next_variables({"after": "c2"}) is None


def test_repeated_cursor_raises_an_error() -> None:
    """A service that returns the same cursor again raises an error instead of endless pages."""
    with pytest.raises(InvalidData, match="the same page again"):
        GraphQLPage((), "c2").next_variables({"after": "c2"})


@pytest.mark.parametrize(
    "connection",
    [
        (),
        (("nodes", []),),
        (("pageInfo", {"hasNextPage": False}),),
        (("pageInfo", {"hasNextPage": True}), ("nodes", [])),
        (("pageInfo", {"hasNextPage": "yes"}), ("nodes", [])),
        (("pageInfo", 5), ("nodes", [])),
    ],
)
def test_response_without_a_complete_connection_is_refused(
    connection: tuple[tuple[str, Any], ...],
) -> None:
    """A response without a complete GraphQL connection at the path is refused, with a remedy."""
    with pytest.raises(InvalidData, match="pageInfo"):
        pages_of(*connection).page("shop.orders")


@pytest.mark.parametrize("path", ["shop", "nowhere", "shop.orders.nodes"])
def test_path_without_a_connection_is_refused(path: str) -> None:
    """A path in the response that does not lead to a GraphQL connection is refused."""
    with pytest.raises(InvalidData, match="no page"):
        pages_of(("nodes", [])).page(path)


@pytest.mark.parametrize(
    "make, document, remedy",
    [
        (SHOP.query, ADD, r"GraphQL\.mutation"),
        (SHOP.mutation, ORDERS, r"GraphQL\.query"),
        (SHOP.query, "subscription { changed }", "a WebSocket connector"),
    ],
)
def test_method_refuses_documents_of_another_operation_kind(
    make: Any, document: str, remedy: str
) -> None:
    """Each method refuses documents that contain another kind of operation than the method's."""
    with pytest.raises(InvalidData, match=remedy):
        make(document)


def test_operation_name_is_from_caller_else_document_else_its_kind() -> None:
    """An operation's name is the caller's, else the document's, else that of its kind."""
    names = [
        SHOP.query(ORDERS, name="orders.list").name,
        SHOP.query(ORDERS).name,
        SHOP.query("{ a }").name,
    ]
    assert ["orders.list", "Orders", "query"] == names


@sync_and_async
async def test_credential_that_the_service_repeats_is_removed_from_errors(harness: Harness) -> None:
    """A credential that the service repeats in its error messages is removed from raised errors."""
    echo = {"message": f"bad token {TOKEN}", "extensions": {"code": "UNAUTHENTICATED"}}
    harness.vendor.answers(answer(None, echo))
    with pytest.raises(AuthenticationFailed) as excinfo:
        await harness.manager(shop()).perform("shop", SHOP.query(ORDERS))

    error = excinfo.value
    assert TOKEN not in f"{error!r} {error.vendor_message} {error.response} {vars(error)}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "errors", "extensions", "message", "code", "path", "cost"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_answer_is_read_or_refused(body: object) -> None:
    """Any JSON response becomes a result or one of moorage's errors."""
    response = Response(200, body=json.dumps(body).encode())
    try:
        if refusal_of(response) is None:
            read_answer(response).page("data")
    except ConnectorError:
        pass
