"""OData v4 services called through a connector manager."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConnectorError,
    Credentials,
    IdempotencyConflict,
    InvalidData,
    InvalidRequest,
    OData,
    ODataEntity,
    ODataExpand,
    ODataPage,
    ODataProblem,
    ODataQuery,
    OutcomeUnknown,
    RateLimitExceeded,
    Response,
    VendorFailed,
    VendorRejected,
    odata_field,
)
from moorage.domain.odata.answers import (
    failure_of,
    read_count,
    read_entity,
    read_page,
    read_value,
    refusal_of,
)
from moorage.testing import Behaviour, VendorServer
from tests.odata.odata_harness import ERP, Caller

if TYPE_CHECKING:
    from tests.support.odata_server import ODataServer


def names(page: ODataPage) -> list[str]:
    """Return the names of the orders on a page."""
    return [item["Name"] for item in page.items]


def test_all_options_of_a_query_reach_the_service(caller: Caller) -> None:
    """Filter, order, limit and count of a query reach the OData service."""
    query = ODataQuery(
        select=["Name"],
        filter=odata_field("Pieces").ge(3) & ~odata_field("Name").eq("nut"),
        order_by=["Pieces desc"],
        top=2,
        skip=0,
        count=True,
    )
    page = caller.perform(ERP.query("Orders", query))

    assert ({"Name": "O'Brien"}, {"Name": "bolt"}) == page.items
    assert (2, None) == (page.count, page.next_link)


def test_pages_are_followed_to_the_end(server: ODataServer, caller: Caller) -> None:
    """Pages are followed by their next links, with the requested size, until the last."""
    operation: Any = ERP.query("Orders", page_size=2)
    names_so_far: list[str] = []
    while operation is not None:
        page = caller.perform(operation)
        names_so_far += names(page)
        operation = ERP.next_page(page)

    assert ["bolt", "nut", "O'Brien"] == names_so_far
    headers = [request.headers.get("Prefer") for request in server.service.seen]
    assert ["odata.maxpagesize=2"] * 2 == headers


HOSTILE = [
    "O'Brien", "'", "''", "x' or 1 eq 1 or 'x' eq 'x", "&$top=9#", "%27 or 1 eq 1", "\u00e4\n+?/;",
    "x') or (ID gt 0",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_value_cannot_break_out_of_a_filter(server: ODataServer, value: str) -> None:
    """Any string in a filter is compared as a whole, and cannot add to the condition."""
    server.service.add(Name=value, Pieces=1)
    condition = odata_field("Name").eq(value)
    page = Caller(server, is_async=False).perform(ERP.query("Orders", ODataQuery(filter=condition)))

    assert {value} == set(names(page))


def test_expand_and_nested_conditions_are_encoded() -> None:
    """Options of `$expand` are encoded inside it, and nested conditions use distinct variables."""
    inner = odata_field("Items").any(
        lambda item: item("Parts").all(lambda part: part("Name").contains("a'b"))
    )
    query = ODataQuery(
        filter=inner | odata_field("ID").is_in([1, 2]),
        expand=["Customer", ODataExpand("Items", ODataQuery(select=["ID"], top=1))],
        order_by=["Name", "Customer/ID asc"],
    )
    assert [
        ("$expand", "Customer,Items($select=ID;$top=1)"),
        (
            "$filter",
            "(Items/any(e0:e0/Parts/all(e1:contains(e1/Name,'a''b')))) or (ID eq 1 or ID eq 2)",
        ),
        ("$orderby", "Name,Customer/ID asc"),
    ] == query.options()
    assert "Items" == ODataQuery(expand=[ODataExpand("Items")]).options()[0][1]


@pytest.mark.parametrize(
    "query",
    [
        ODataQuery(select=["Name,ID"]),
        ODataQuery(select="Name"),
        ODataQuery(expand="Items"),
        ODataQuery(order_by=["Name down"]),
        ODataQuery(order_by=[3]),  # type: ignore[list-item]  # what a caller may give
        ODataQuery(expand=["Items($top=1)"]),
        ODataQuery(top=-1),
        ODataQuery(skip=True),
    ],
)
def test_wrong_options_are_refused(query: ODataQuery) -> None:
    """Invalid names and numbers in a query are refused before anything is sent."""
    with pytest.raises(InvalidData):
        ERP.query("Orders", query)


@pytest.mark.parametrize("name", ["", "Orders?x=1", "../x", "Orders(1)", "$metadata", "a//b", 3])
def test_wrong_names_are_refused(name: Any) -> None:
    """An invalid name of an entity set is refused."""
    with pytest.raises(InvalidData):
        ERP.query(name)
    with pytest.raises(InvalidData):
        ERP.action(name)
    with pytest.raises(InvalidData):
        odata_field(name)


def test_entity_is_created_changed_and_deleted(caller: Caller) -> None:
    """An entity is changed or deleted only with its current ETag; any other is refused."""
    created = caller.perform(ERP.create("Orders", {"Name": "cog", "Pieces": 1}))
    assert (4, 'W/"1"') == (created.data["ID"], created.etag)
    changed_entity = caller.perform(
        ERP.update("Orders", 4, {"Pieces": 2}, etag=created.etag, minimal=True)
    )
    assert ({}, 'W/"2"', True) == (
        changed_entity.data,
        changed_entity.etag,
        changed_entity.id.endswith("Orders(4)"),
    )
    with pytest.raises(VendorRejected) as excinfo:
        caller.perform(ERP.update("Orders", 4, {"Pieces": 3}, etag=created.etag))
    assert (412, "VersionMismatch") == (excinfo.value.status, excinfo.value.vendor_code)
    assert "read the entity again" in str(excinfo.value).lower()
    order = caller.perform(ERP.get("Orders", 4, ODataQuery(select=["Pieces"])))
    assert 2 == order.data["Pieces"]
    assert caller.perform(ERP.delete("Orders", 4, etag="*")) is None
    with pytest.raises(VendorRejected) as excinfo:
        caller.perform(ERP.get("Orders", 4))
    assert 404 == excinfo.value.status


@pytest.mark.parametrize("etag", ["", "1", '"a"b"', '"', 'W/"\n"', '"ä"', None])
def test_wrong_etag_is_refused(etag: Any) -> None:
    """An ETag that neither comes from a service nor is `*` is refused."""
    with pytest.raises(InvalidData, match="etag"):
        ERP.delete("Orders", 1, etag=etag)


def test_functions_read_data_and_actions_change_data(caller: Caller) -> None:
    """OData functions read data and actions change data, with and without an entity."""
    assert 19 == caller.perform(ERP.function("Total"))
    assert 16 == caller.perform(ERP.function("Total", {"least": 4}))
    approve = ERP.action("Sales.Approve", {"by": "Ada"}, entity_set="Orders", key=1)
    assert "Ada" == caller.perform(approve)["Approved"]
    assert 3 == caller.perform(ERP.count("Orders"))
    assert 1 == caller.perform(ERP.count("Orders", odata_field("Name").startswith("b")))
    assert caller.perform(ERP.action("Clear")) is None
    assert 0 == caller.perform(ERP.count("Orders"))
    assert (
        "/odata/v4/Orders/Sales.Top()"
        == ERP.function("Sales.Top", entity_set="Orders").request.path
    )


def test_error_of_the_service_becomes_a_typed_error(caller: Caller) -> None:
    """An error of the service becomes a typed error with OData's code, message and details."""
    with pytest.raises(InvalidRequest) as excinfo:
        caller.perform(ERP.create("Orders", {"Pieces": -1}))

    detail = ODataProblem("d", "the detail", "Pieces")
    expected = ODataProblem("InvalidPieces", "Pieces must not be negative.", None, (detail,))
    assert expected == ODataProblem.of(excinfo.value)
    assert ODataProblem.of(ConnectorError("No answer.")) is None


def test_credentials_never_follow_a_link_to_another_host() -> None:
    """A next link to another host is refused, and nothing is sent to that host."""
    with VendorServer() as other, VendorServer() as server:
        link = {"value": [], "@odata.nextLink": f"{other.url}/odata/v4/Orders?$skiptoken=2"}
        server.always(Behaviour.of_json(link))
        page = ODataPage((), next_link=link["@odata.nextLink"], url=f"{other.url}/x")  # type: ignore[arg-type]  # a text
        for is_async in (False, True):
            caller = Caller(server, is_async=is_async)
            credentials = {"credentials": Credentials.bearer("hunter2")}
            first = caller.perform(ERP.query("Orders"), credentials)
            with pytest.raises(VendorFailed, match="another origin") as excinfo:
                ERP.next_page(first)
            assert not excinfo.value.retryable
            # The manager also refuses it if the operation is made without its page.
            with pytest.raises(InvalidData, match="another origin"):
                caller.perform(ERP.next_page(page), credentials)

    assert () == other.requests
    assert "Bearer hunter2" == server.requests[0].headers.get("Authorization")


@pytest.mark.parametrize(
    "url, link, problem",
    [
        ("https://a.example/o", "http://a.example/o?2", "another origin"),
        ("https://a.example/o", "//b.example/o", "another origin"),
        ("https://a.example/o", "https://a.example:444/o", "another origin"),
        ("https://a.example/o", "http://[/o", "not at a URL"),
        ("https://a.example/o", "https://a.example/o", "the same page again"),
        (None, "https://a.example/o", "another origin"),
        (None, "//a.example/o", "another origin"),
    ],
)
def test_invalid_foreign_or_repeated_next_link_is_refused(
    url: str | None, link: str, problem: str
) -> None:
    """A next link that is invalid, or leads to another origin or the same page, is refused."""
    with pytest.raises(VendorFailed, match=problem):
        ODataPage((), next_link=link, url=url).next_path()


def test_relative_and_unencoded_next_links_are_followed() -> None:
    """A next link may be relative, or contain characters that must be encoded."""
    page = ODataPage(
        (), next_link="Orders?$skiptoken=a b\u00e4%20c", url="https://a.example/v4/Orders"
    )
    assert "https://a.example/v4/Orders?$skiptoken=a%20b%C3%A4%20c" == page.next_path()
    assert "Orders?2" == ODataPage((), next_link="Orders?2").next_path()
    assert ERP.next_page(ODataPage(())) is None
    with pytest.raises(InvalidData, match="is the last page"):
        ODataPage(()).next_path()


def test_read_is_retried_after_retry_after_and_write_is_not() -> None:
    """A read is retried after the service's `Retry-After`; a write is not retried."""
    with VendorServer() as server:
        caller = Caller(server, is_async=False)
        for status in (429, 503):
            server.respond(status, {"Retry-After": "0"})
        server.respond_json({"value": []})
        assert () == caller.perform(ERP.query("Orders")).items
        for operation in (
            ERP.create("Orders", {}),
            ERP.update("Orders", 1, {}, etag="*"),
            ERP.delete("Orders", 1, etag="*"),
            ERP.action("Go"),
        ):
            server.respond(503)
            before = len(server.requests)
            with pytest.raises(VendorFailed) as failed:
                caller.perform(operation)
            assert (1, True) == (len(server.requests) - before, failed.value.retryable)
        server.respond(429, {"Retry-After": "3"})
        with pytest.raises(RateLimitExceeded) as limited:
            caller.perform(ERP.query("Orders"), {"retry": None})
        assert 3 == limited.value.vendor_retry_after
        server.respond(403)
        with pytest.raises(AuthenticationFailed):
            caller.perform(ERP.query("Orders"))


def test_write_is_repeated_under_a_key_that_the_service_honours() -> None:
    """A lost write has an unknown outcome; with a key that the service honours it is sent again."""
    with VendorServer() as server:
        caller = Caller(server, is_async=False)
        create = ERP.create("Orders", {"ID": 1})
        server.respond(503)
        with pytest.raises(OutcomeUnknown):
            caller.perform(create, idempotency_key="one")
        server.respond(503)
        server.respond_json({"ID": 1}, status=201)
        idempotency_settings = {
            "idempotency_header": "Repeatability-Request-ID",
            "idempotency_memory": 60,
        }
        created = caller.perform(create, idempotency_settings, idempotency_key="two")

    assert ({"ID": 1}, False) == (created.data, created.replayed)
    keys = [item.headers.get("Repeatability-Request-ID") for item in server.requests]
    assert [None, "two", "two"] == keys


@pytest.mark.parametrize(
    "status, kind, remedy",
    [(412, VendorRejected, "Read the entity again"), (428, InvalidRequest, "pass its etag")],
)
def test_error_for_a_failed_precondition_has_a_remedy(
    status: int, kind: type[ConnectorError], remedy: str
) -> None:
    """The error for a failed precondition has a remedy, even if its body is not JSON."""
    error = failure_of(Response(status, body=b"<html>"))
    assert error is not None
    assert kind is type(error)
    assert remedy in str(error)
    assert failure_of(Response(404)) is None


def test_error_in_a_successful_response_is_a_failure() -> None:
    """A response with an error in a successful body is a failure of the service."""
    error = refusal_of(Response(200, body=b'{"value":[],"error":{"code":"x","message":7}}'))
    assert isinstance(error, VendorFailed)
    assert "x" == error.vendor_code
    assert refusal_of(Response(200, body=b'{"error":3}')) is None
    assert refusal_of(Response(200, body=b"{")) is None


GARBAGE = [b"", b"x", b"[]", b"{}", b"null", b"[" * 100_000, b"\xff\xfe", b'{"value":3}']


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_is_the_failure_of_the_service(body: bytes) -> None:
    """A response that is not OData raises an error that is not retryable."""
    for read in (read_page, read_count):
        with pytest.raises(VendorFailed) as excinfo:
            read(Response(200, body=body))
        assert not excinfo.value.retryable
    if body not in {b"", b"{}", b'{"value":3}'}:
        for read_other in (read_entity, read_value):
            with pytest.raises(VendorFailed):
                read_other(Response(200, body=body))


def test_count_may_be_a_string_and_value_a_field_of_an_object() -> None:
    """Counts may be strings; a field `value` beside other fields stays part of its object."""
    page = read_page(Response(200, body=b'{"value":[],"@odata.count":"12","@odata.nextLink":3}'))
    assert (12, None) == (page.count, page.next_link)
    assert read_page(Response(200, body=b'{"value":[],"@odata.count":true}')).count is None
    assert {"value": 1, "a": 2} == read_value(Response(200, body=b'{"value":1,"a":2}'))
    assert [1] == read_value(Response(200, body=b'{"@odata.context":"c","value":[1]}'))
    entity = read_entity(Response(200, body=b'{"@odata.etag":3,"@odata.id":4}'))
    assert ODataEntity({"@odata.etag": 3, "@odata.id": 4}) == entity
    with pytest.raises(VendorFailed):
        read_count(Response(200, body=b"9" * 50))


def test_key_cannot_be_used_for_something_else(server: ODataServer, caller: Caller) -> None:
    """An idempotency key that is repeated with a different change is refused."""
    erp = OData("/odata/v4")
    assert caller.perform(erp.create("Orders", {"ID": 8, "Pieces": 1}), idempotency_key="k")
    from moorage import ConnectorManager, Service  # noqa: PLC0415 - one manager for both calls

    with ConnectorManager([Service("erp", base_url=server.url)]) as manager:
        manager.perform("erp", erp.create("Orders", {"ID": 9, "Pieces": 1}), idempotency_key="k")
        second_result = manager.perform(
            "erp", erp.create("Orders", {"ID": 9, "Pieces": 1}), idempotency_key="k"
        )
        assert second_result.replayed
        with pytest.raises(IdempotencyConflict):
            manager.perform("erp", erp.create("Orders", {"ID": 7}), idempotency_key="k")
    body = json.loads(server.service.seen[-1].body)
    assert 9 == body["ID"]
