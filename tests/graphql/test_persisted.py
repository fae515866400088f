"""Persisted GraphQL documents, which a service identifies by hash or id."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    GraphQL,
    IdempotencyConflict,
    InvalidRequest,
    PersistedDocuments,
    Response,
    RetryPolicy,
    Service,
)
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from tests.support.virtual_ports import SentRequest

ORDERS = "query Orders($after: String) { orders(after: $after) { id } }"
ADD = "mutation Add($id: ID!) { add(id: $id) { id } }"
AUTOMATIC = GraphQL("/graphql", persisted=PersistedDocuments.automatic())


class DocumentStore:
    """A fake service that stores documents by hash, as Apollo's server does."""

    def __init__(self, status: int = 200, code: str | None = "PERSISTED_QUERY_NOT_FOUND") -> None:
        self.status, self.code = status, code
        self.documents: dict[str, str] = {}
        self.bodies: list[dict[str, Any]] = []

    def function(self) -> Any:
        """Return the function that answers requests."""

        async def answer(sent: SentRequest) -> Response:
            return self._answer(sent)

        return answer

    def _answer(self, sent: SentRequest) -> Response:
        """Return data for a known document, or the error for an unknown one."""
        body = json.loads(bytes(sent.request.body))  # type: ignore[arg-type]  # JSON is sent as bytes
        self.bodies.append(body)
        code = body["extensions"]["persistedQuery"]["sha256Hash"]
        if "query" in body:
            assert code == sha256(body["query"].encode()).hexdigest()
            self.documents[code] = body["query"]
        if code in self.documents:
            return _answer(200, {"data": {"document": self.documents[code]}})
        extensions = {} if self.code is None else {"extensions": {"code": self.code}}
        problem = {"message": "PersistedQueryNotFound", **extensions}
        return _answer(self.status, {"errors": [problem]})


def _answer(status: int, body: object) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def shop(**options: Any) -> Service:
    """Return a GraphQL service with retries."""
    return Service("shop", base_url="https://shop.example", retry=RetryPolicy(3, 0), **options)


@pytest.mark.parametrize("status", [200, 400, 404])
@pytest.mark.parametrize("code", ["PERSISTED_QUERY_NOT_FOUND", None])
@sync_and_async
async def test_unknown_document_hash_is_sent_again_with_the_text(
    harness: Harness, status: int, code: str | None
) -> None:
    """Only a document's hash is sent; if the service does not know it, the text is sent once."""
    store = DocumentStore(status, code)
    harness.vendor.answers(*[store.function()] * 3)
    manager = harness.watched(shop())
    for after in ("c1", "c2"):
        result = await manager.perform("shop", AUTOMATIC.query(ORDERS, {"after": after}))
        assert {"document": ORDERS} == result.data

    assert [False, True, False] == ["query" in body for body in store.bodies]
    assert ["c1", "c1", "c2"] == [body["variables"]["after"] for body in store.bodies]
    assert ["Orders"] * 3 == [body["operationName"] for body in store.bodies]
    assert 2 == harness.event_names().count("CallFinished")


@sync_and_async
async def test_mutation_whose_hash_service_did_not_know_is_sent_again_with_its_text(
    harness: Harness,
) -> None:
    """If the service does not know a mutation's hash, it is sent again with its text."""
    store = DocumentStore()
    harness.vendor.answers(store.function(), store.function())
    manager = harness.manager(shop())
    mutation = AUTOMATIC.mutation(ADD, {"id": "7"})
    results = [await manager.perform("shop", mutation, idempotency_key="order-7") for _ in range(2)]

    assert [False, True] == [result.replayed for result in results]
    assert 2 == len(store.bodies)
    with pytest.raises(IdempotencyConflict):
        await manager.perform(
            "shop", AUTOMATIC.mutation(ADD, {"id": "8"}), idempotency_key="order-7"
        )


@sync_and_async
async def test_call_fails_if_the_service_refuses_a_document_even_with_its_text(
    harness: Harness,
) -> None:
    """If the service rejects a document even with its text, the call fails after two requests."""
    refusal = _answer(200, {"errors": [{"message": "PersistedQueryNotSupported"}]})
    harness.vendor.answers(refusal, refusal)
    with pytest.raises(InvalidRequest) as excinfo:
        await harness.manager(shop()).perform("shop", AUTOMATIC.query(ORDERS))

    assert "PERSISTED_QUERY_NOT_SUPPORTED" == excinfo.value.vendor_code
    assert 2 == len(harness.vendor.requests)


@pytest.mark.parametrize(
    "ids, field, expected",
    [
        ({"Orders": "orders-v3"}, "id", "orders-v3"),
        (None, "documentId", f"sha256:{sha256(ORDERS.encode()).hexdigest()}"),
    ],
)
@sync_and_async
async def test_registered_document_is_sent_by_its_id_alone(
    harness: Harness, ids: Any, field: str, expected: str
) -> None:
    """A registered document is sent by its id alone; an unknown id is refused."""
    persisted = PersistedDocuments.registered(ids, field=field)
    service = GraphQL("/graphql", persisted=persisted)
    unknown = {"message": "no", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}
    harness.vendor.answers(
        _answer(200, {"data": {"orders": 1}}), _answer(400, {"errors": [unknown]})
    )
    manager = harness.manager(shop())
    await manager.perform("shop", service.query(ORDERS))
    with pytest.raises(InvalidRequest) as excinfo:
        await manager.perform("shop", service.query(ORDERS))

    assert "Register the document" in (excinfo.value.remedy or "")
    for request in harness.vendor.requests:
        body = json.loads(bytes(request.request.body))  # type: ignore[arg-type]  # JSON is sent as bytes
        assert {field: expected, "operationName": "Orders"} == body
