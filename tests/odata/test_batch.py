"""Batches of OData operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    HttpOperation,
    InvalidData,
    InvalidRequest,
    Request,
    Response,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.odata.batch import batch_of
from tests.odata.odata_harness import ERP

if TYPE_CHECKING:
    from tests.odata.odata_harness import Caller
    from tests.support.odata_server import ODataServer

CREATE = ERP.create("Orders", {"Name": "cog", "Pieces": 1})
REFUSED = ERP.create("Orders", {"Pieces": -1})


def test_operations_of_a_batch_have_their_own_results(caller: Caller) -> None:
    """Reads and change sets of a batch run in order, and each operation has a result."""
    batch = ERP.batch([
        ERP.get("Orders", 1),
        [CREATE],
        [ERP.delete("Orders", 2, etag="*"), CREATE],
        ERP.function("Total"),
    ])  # fmt: skip
    got, created, deleted, second, total = caller.perform(batch)

    assert ("bolt", 4, None, 5, 14) == (
        got.unwrap().data["Name"],
        created.unwrap().data["ID"],
        deleted.unwrap(),
        second.unwrap().data["ID"],
        total.unwrap(),
    )


def test_change_set_is_atomic(server: ODataServer, caller: Caller) -> None:
    """If one operation of an OData change set fails, none takes effect, and all get its error."""
    results = caller.perform(
        ERP.batch([[CREATE, REFUSED], ERP.count("Orders")], continue_on_error=True)
    )

    assert [InvalidRequest, InvalidRequest] == [type(item.error) for item in results[:2]]
    assert 3 == results[2].unwrap()
    assert 3 == len(server.service.orders)


def test_service_stops_at_the_first_failure(server: ODataServer, caller: Caller) -> None:
    """Operations after a failed one are not run, unless the batch continues on errors."""
    entries: list[Any] = [ERP.get("Orders", 99), [CREATE, CREATE]]
    missing, *other_answers = caller.perform(ERP.batch(entries))
    assert 404 == missing.error.status
    assert [VendorRejected] * 2 == [type(item.error) for item in other_answers]
    assert "was not performed" in str(other_answers[0].error)
    assert 3 == len(server.service.orders)

    _, *created = caller.perform(ERP.batch(entries, continue_on_error=True))
    assert [4, 5] == [item.unwrap().data["ID"] for item in created]


def test_operation_refers_to_a_created_entity(server: ODataServer, caller: Caller) -> None:
    """A later operation of a change set can refer to an entity that an earlier one creates."""
    approve = ERP.action("Sales.Approve", {"by": "Ada"}, entity_set="$1")
    created, approved = caller.perform(ERP.batch([[CREATE, approve]]))

    assert created.unwrap().data["ID"] == approved.unwrap()["ID"]
    assert "Ada" == server.service.orders[4]["Approved"]


def test_batch_that_only_reads_is_retried(caller: Caller) -> None:
    """A batch of reads is retried; a batch with a write is not, but always has the same bytes."""
    reads, writes = ERP.batch([ERP.count("Orders")]), ERP.batch([[CREATE]])
    assert (True, True) == (reads.safe, reads.repeatable)
    assert (False, False) == (writes.safe, writes.repeatable)
    assert ERP.batch([[CREATE]]).request.body == writes.request.body
    for _ in range(2):
        results = caller.perform(writes, idempotency_key="x")
        assert results[0].ok


@pytest.mark.parametrize(
    "entries, problem",
    [
        ([], "1 to 1000 operations"),
        ([ERP.count("Orders")] * 1001, "1 to 1000 operations"),
        ([[]], "not an operation or a list"),
        ([3], "not an operation or a list"),
        (["text"], "not an operation or a list"),
        ([[3]], "not made by `OData`"),
        ([[ERP.count("Orders")]], "contains an operation that reads"),
        ([ERP.batch([CREATE])], "is a batch itself"),
        (
            [HttpOperation(name="x", request=Request.get("/x"), read=lambda _: None)],
            "not made by `OData`",
        ),
    ],
)
def test_batch_accepts_only_its_own_service_operations(entries: Any, problem: str) -> None:
    """A batch accepts only operations of its own service, and a change set only changes."""
    with pytest.raises(InvalidData, match=problem):
        ERP.batch(entries)


def answer(body: bytes, content_type: str = "multipart/mixed; boundary=b") -> Response:
    """Return a response to a batch."""
    return Response(200, {"Content-Type": content_type}, body)


def part(status: bytes = b"HTTP/1.1 200 OK", body: bytes = b"{}", head: bytes = b"") -> bytes:
    """Return one part of a batch response."""
    return (
        b"".join(
            (b"--b\r\nContent-Type: application/http\r\n", head, b"\r\n", status, b"\r\n\r\n", body)
        )
        + b"\r\n"
    )


END = b"--b--"


@pytest.mark.parametrize(
    "response",
    [
        Response(200, body=END),
        answer(END, "multipart/mixed"),
        answer(END, "multipart/mixed; boundary=\u00e4"),
        answer(b""),
        answer(END),
        answer(b"--b\r\n\r\n"),
        answer(b"\r\n--b" * 5000 + END),
        answer(part() + part() + END),
        answer(part(b"HTTP/9 200") + END),
        answer(part(b"") + END),
        answer(b"--bx\r\n\r\nHTTP/1.1 200 OK\r\n" + END),
        answer(b"--b\r\nno header\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + END),
        answer(b"--b\r\na: " + b"x" * 70_000 + b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\r\n" + END),
        answer(b"--b\r\na: \x01\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\r\n" + END),
    ],
)
def test_garbage_is_the_failure_of_the_service(response: Response) -> None:
    """A malformed response to a batch is a failure of the service, with an unknown outcome."""
    with pytest.raises(VendorFailed) as excinfo:
        batch_of([ERP.get("Orders", 1)], "").read(response)
    assert not excinfo.value.retryable


def test_operation_without_a_part_may_have_run_if_none_failed() -> None:
    """If no operation of a batch failed, one without a part in the response may have run."""
    content = batch_of([ERP.delete("Orders", number, etag="*") for number in (1, 2)], "")
    with pytest.raises(VendorFailed, match="fewer parts") as excinfo:
        content.read(answer(part(b"HTTP/1.1 204 No Content", b"") + END))
    assert excinfo.value.may_have_been_processed

    failed, stopped = content.read(answer(part(b"HTTP/1.1 412 Precondition Failed") + END))
    assert "not performed" in str(stopped.error)
    assert failed.error is not None


def test_unusual_but_valid_multipart_answers_are_accepted() -> None:
    """A batch response with quoted boundaries, a preamble or no blank lines is accepted."""
    content = batch_of([ERP.delete("Orders", 1, etag="*")], "")
    raw = b"before\r\n--b \r\n\r\nHTTP/1.1 204 No Content\r\nETag: x\r\n--b--\r\nafter"
    (result,) = content.read(answer(raw, 'multipart/mixed; charset=utf-8; boundary="b"'))
    assert result.ok


def test_operation_whose_part_of_response_is_unreadable_fails_alone() -> None:
    """If one part of a batch response is unreadable, only the operation of this part fails."""
    content = batch_of([ERP.get("Orders", 1), ERP.count("Orders")], "")
    bad, good = content.read(answer(part(body=b"x") + part(body=b"3") + END))
    assert isinstance(bad.error, VendorFailed)
    assert 3 == good.unwrap()


@pytest.mark.parametrize(
    "inner",
    [
        part(),
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n",
    ],
)
def test_change_set_whose_responses_are_missing_is_not_successful(inner: bytes) -> None:
    """If a change set's responses are missing, none of its operations is reported successful."""
    content = batch_of([[CREATE]], "")
    try:
        (result,) = content.read(answer(inner + END))
    except VendorFailed:
        return
    assert isinstance(result.error, VendorFailed)


PIECES = [part(), END, b"--b", b"\r\n", b"\r\n\r\n", b"HTTP/1.1 200 OK", b"a: b", b"\xff"]


@given(st.lists(st.sampled_from(PIECES)))
def test_any_answer_is_read_or_refused(pieces: list[bytes]) -> None:
    """Any response to a batch becomes results or a moorage error."""
    try:
        results = batch_of([ERP.get("Orders", 1)], "").read(answer(b"".join(pieces)))
    except VendorFailed:
        return
    assert 1 == len(results)
