"""The SCIM server is tested with requests as Entra, Okta and moorage's own vendor send them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

import pytest

import moorage
from moorage import AlreadyExists, ConfigurationError, InvalidData, StorageUnavailable
from moorage.contracts.people import MemberKind, NewPerson, PeopleQuery, PersonChanges, Phone
from moorage.scim import (
    AsyncMemoryScimStore,
    AsyncScimApp,
    AsyncScimServer,
    MemoryScimStore,
    ScimApp,
    ScimKind,
    ScimResource,
    ScimServer,
)
from tests.scim.scim_driver import (
    ADA,
    BASE,
    ENTERPRISE,
    TOKEN,
    USER,
    Driver,
    ServerClient,
    patch_body,
    wsgi_environ,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_own_vendor_keeps_people_and_groups() -> None:
    """The vendor `scim` creates, changes, finds, deactivates and deletes people at the server."""
    driver = Driver()
    group = driver.json("POST", "/Groups", {"displayName": "Accounting"})
    configuration = {"vendors": {"scim": {"base_url": BASE, "credentials": TOKEN}}}
    with moorage.open(configuration, http=ServerClient(driver)) as hub:
        people = hub.people()
        charles = people.create(NewPerson(user_name="charles@example.com"))
        ada = people.create(
            NewPerson(
                user_name="ada@example.com",
                given_name="Ada",
                emails=["ada@example.com", "countess@example.com"],
                phones=[Phone("+49 30 1")],
                department="R&D",
                manager=charles.ref,
                external_id="E-1",
                time_zone="Europe/London",
            ),
            password="correct horse",
        )
        with pytest.raises(AlreadyExists):
            people.create(NewPerson(user_name="ADA@example.com"))
        people.change(
            ada.ref,
            PersonChanges(title="Countess", emails=["ada@example.com"], clear=["department"]),
            version=ada.version,
        )
        with pytest.raises(moorage.ChangedMeanwhile):
            people.change(ada.ref, PersonChanges(title="Late"), version=ada.version)
        for _ in range(2):
            people.add_member(f"scim:scim:{group['id']}", ada.ref)
        (member,) = people.members(f"scim:scim:{group['id']}").items
        people.deactivate(ada.ref)
        queries = (
            PeopleQuery(user_name="Ada@example.com"),
            PeopleQuery(external_id="E-1"),
            PeopleQuery(email="ada@example.com", external_id="E-1"),
            PeopleQuery(user_name='x" or userName pr'),
        )
        counts = [len(people.find(query).items) for query in queries]
        read = people.get(ada.ref)
        people.remove_member(f"scim:scim:{group['id']}", ada.ref)
        members = people.members(f"scim:scim:{group['id']}").items
        people.delete(charles.ref)
        people.delete(charles.ref)

    assert [1, 1, 1, 0] == counts
    assert (False, "Countess", None) == (read.active, read.title, read.department)
    assert (ada.ref, MemberKind.UNKNOWN) in [(member.ref, member.kind), (member.ref, "unknown")]
    assert () == members
    assert ("Europe/London", ("ada@example.com",)) == (read.time_zone, read.emails)
    resource = driver.store.get(ScimKind.USER, ada.ref.id)
    assert resource is not None
    assert "correct horse" == resource.content["password"]
    assert "correct horse" not in f"{resource!r}{driver('GET', '/Users').body!r}"


def test_requests_of_entra_are_understood() -> None:
    """Entra's requests work: look-ups, capitalised names, dotted paths, booleans as strings."""
    driver = Driver()
    query = urlencode({"filter": 'externalId eq "E-1815"'})
    assert 0 == driver.json("GET", "/Users", query=query)["totalResults"]
    created = driver.json("POST", "/Users", ADA)
    path = f"/Users/{created['id']}"
    assert 1 == driver.json("GET", "/Users", query=query)["totalResults"]
    changed_answer = driver.patch(
        path,
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Add", "path": 'emails[type eq "home"].value', "value": "a@home.example"},
        {"op": "Replace", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+49 1"},
        {"op": "Replace", "path": f"{ENTERPRISE}:manager", "value": "26"},
        {
            "op": "Replace",
            "value": {
                "name.givenName": "Augusta",
                f"{ENTERPRISE}:department": "R&D",
                "displayName": "Augusta",
                "title": None,
            },
        },
    )

    assert (False, "Augusta", "Augusta") == (
        changed_answer["active"],
        changed_answer["name"]["givenName"],
        changed_answer["displayName"],
    )
    assert {"department": "R&D", "manager": {"value": "26"}} == changed_answer[ENTERPRISE]
    assert "Lovelace" == changed_answer["name"]["familyName"]
    assert {"type": "home", "value": "a@home.example"} in changed_answer["emails"]
    assert [{"type": "mobile", "value": "+49 1"}] == changed_answer["phoneNumbers"]

    group = driver.json("POST", "/Groups", {"displayName": "Accounting", "externalId": "g"})
    place = f"/Groups/{group['id']}"
    driver.patch(place, {"op": "Add", "path": "members", "value": [{"value": "1"}, {"value": "2"}]})
    driver.patch(place, {"op": "Add", "path": "members", "value": [{"value": "1"}]})
    removal = {"op": "Remove", "path": "members", "value": [{"value": "1"}]}
    assert [{"value": "2"}] == driver.patch(place, removal)["members"]
    without = driver.json("GET", place, query="excludedAttributes=members")
    assert "members" not in without
    assert "Accounting" == without["displayName"]


def test_requests_of_okta_are_understood() -> None:
    """Okta's look-ups, replacements without a path, and replacements of whole groups work."""
    driver = Driver(lenient=False)
    user = driver.json("POST", "/Users", {**ADA, "password": "x1y2z3", "locale": "en-US"})
    path = f"/Users/{user['id']}"
    query = urlencode({"filter": 'userName eq "ADA@example.com"', "startIndex": 1, "count": 100})
    assert [user["id"]] == [
        item["id"] for item in driver.json("GET", "/Users", query=query)["Resources"]
    ]
    assert not driver.patch(path, {"op": "replace", "value": {"active": False}})["active"]
    replaced = driver.json("PUT", path, {"userName": "ada@example.com", "active": True})
    assert ({"userName", "active"}, True) == (
        set(replaced) - {"schemas", "id", "meta"},
        replaced["active"],
    )

    group = driver.json("POST", "/Groups", {"displayName": "Sales", "members": []})
    place = f"/Groups/{group['id']}"
    renamed = {"op": "replace", "value": {"id": group["id"], "displayName": "Sellers"}}
    assert "Sellers" == driver.patch(place, renamed)["displayName"]
    members = [{"value": user["id"], "display": "ada@example.com"}]
    driver.patch(place, {"op": "replace", "path": "members", "value": members})
    removal = {"op": "remove", "path": f'members[value eq "{user["id"]}"]'}
    assert "members" not in driver.patch(place, removal)
    assert 204 == driver("DELETE", place).status
    assert 404 == driver("DELETE", place).status


@pytest.mark.parametrize(
    "method, path, body, status, word",
    [
        ("POST", "/Users", b"{", 400, "invalidSyntax"),
        ("POST", "/Users", b"[" * 100_000, 400, "invalidSyntax"),
        ("POST", "/Users", b"[]", 400, "invalidValue"),
        ("POST", "/Users", {}, 400, "invalidValue"),
        ("POST", "/Users", {"userName": None}, 400, "invalidValue"),
        ("POST", "/Users", b" " * 1_048_577, 413, None),
        ("POST", "/Groups", {"displayName": " "}, 400, "invalidValue"),
        ("PATCH", "/Users/1", {}, 404, None),
        ("GET", "/Users/1", None, 404, None),
        ("GET", "/Users/1/2", None, 404, None),
        ("GET", "/Me", None, 404, None),
        ("GET", "", None, 404, None),
        ("PUT", "/Users", {}, 405, None),
        ("POST", "/Users/1", {}, 405, None),
        ("POST", "/Schemas", {}, 405, None),
        ("GET", "/Schemas/urn:x", None, 404, None),
        ("GET", "/Schemas/a/b", None, 404, None),
    ],
)
def test_impossible_requests_are_refused(
    method: str, path: str, body: Any, status: int, word: str | None
) -> None:
    """An impossible request is refused in SCIM's error format, with the fitting status."""
    answer = Driver()(method, path, body)
    error = json.loads(answer.body) if answer.status != 200 else {}

    assert (status, word, str(status)) == (answer.status, error.get("scimType"), error["status"])


def test_descriptions_say_what_server_can_do() -> None:
    """The server's descriptions list its features and each attribute that it knows."""
    driver = Driver()
    configuration = driver.json("GET", "/ServiceProviderConfig")
    types = driver.json("GET", "/ResourceTypes")
    schema = driver.json("GET", f"/Schemas/{USER}")
    names = {attribute["name"]: attribute for attribute in schema["attributes"]}

    assert (True, True, False) == tuple(
        configuration[name]["supported"] for name in ("patch", "etag", "bulk")
    )
    assert ["/Users", "/Groups"] == [item["endpoint"] for item in types["Resources"]]
    assert "User" == driver.json("GET", "/ResourceTypes/User")["name"]
    assert 3 == driver.json("GET", "/Schemas")["totalResults"]
    assert ("never", "server") == (names["password"]["returned"], names["userName"]["uniqueness"])
    assert names["emails"]["multiValued"]


@pytest.mark.parametrize(
    "text",
    [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer \udcff", f"bearer{TOKEN}"],
)
def test_wrong_tokens_are_refused(text: str | None) -> None:
    """A request without a known token is refused before anything else, and no token is shown."""
    driver = Driver()
    headers = [] if text is None else [("Authorization", text)]
    answer = driver.server.answer("GET", "/Elsewhere", headers=headers)

    assert 401 == answer.status
    assert ("WWW-Authenticate", "Bearer") in answer.headers
    assert TOKEN not in f"{driver.server!r}{vars(driver.server)!r}{answer.body!r}"


def test_several_tokens_are_accepted() -> None:
    """While the token is being changed, the server accepts both the current and the next one."""
    server = ScimServer(MemoryScimStore(), tokens=["one", moorage.Secret("two")], base_url=BASE)
    single_token_server = ScimServer(MemoryScimStore(), tokens="one", base_url=BASE)

    for token, expected in (("one", 200), ("two", 200), ("three", 401)):
        headers = [("authorization", f"bearer {token}")]
        assert expected == server.answer("GET", "/Users", headers=headers).status
    assert (
        200
        == single_token_server.answer(
            "GET", "/Users", headers=[("Authorization", "Bearer one")]
        ).status
    )


@pytest.mark.parametrize(
    "options, path",
    [
        ({"tokens": []}, "tokens"),
        ({"tokens": [" "]}, "tokens"),
        ({"tokens": None}, "tokens"),
        ({"lenient": 1}, "lenient"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], path: str) -> None:
    """A server without a token, with a wrong URL or another wrong option is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        ScimServer(MemoryScimStore(), **dict[str, Any](tokens=[TOKEN], base_url=BASE) | options)

    assert path == excinfo.value.path
    with pytest.raises(InvalidData, match="base URL"):
        ScimServer(MemoryScimStore(), tokens=[TOKEN], base_url="erp.example")


@pytest.mark.parametrize(
    "error, status",
    [
        (AlreadyExists("Taken."), 409),
        (InvalidData("Our people need a department.", field="department"), 400),
        (StorageUnavailable("The store is away."), 503),
    ],
)
def test_refusals_of_the_application_reach_the_provider(error: Exception, status: int) -> None:
    """An error raised by the store reaches the identity provider in SCIM's error format."""

    class RefusingScimStore(MemoryScimStore):
        def create(self, kind: ScimKind, content: Mapping[str, Any], /) -> ScimResource:
            raise error

    answer = Driver(RefusingScimStore())("POST", "/Users", ADA)

    assert (status, str(status)) == (answer.status, json.loads(answer.body)["status"])


def test_unknown_times_and_attributes_are_left_out() -> None:
    """Missing times, and attributes meant for the application alone, are not in the response."""
    resource = ScimResource(id="a/b", content={"userName": "a", "salary": 1}, version="1 2")

    class SingleResource(MemoryScimStore):
        def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
            return resource

    answer = Driver(SingleResource())("GET", "/Users/a%2Fb")
    body = json.loads(answer.body)

    assert {"schemas", "id", "userName", "meta"} == set(body)
    assert {"resourceType", "location", "version"} == set(body["meta"])
    assert f"{BASE}/Users/a%2Fb" == body["meta"]["location"]
    assert 'W/"1%202"' == body["meta"]["version"]


@pytest.mark.parametrize(
    "media_type, status",
    [
        ("application/scim+json; charset=utf-8", 201),
        ("Application/JSON", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_other_media_types_are_refused(media_type: str, status: int) -> None:
    """A body must be JSON by its media type, if the request states one."""
    assert status == Driver()("POST", "/Users", ADA, Content_Type=media_type).status


def test_wsgi_application_answers() -> None:
    """The WSGI application passes requests on, and refuses bodies that are too large or cut off."""
    app = ScimApp(Driver().server)
    statuses: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        statuses.append(status)
        assert headers[0][0] == "Content-Type"

    for environ in (
        wsgi_environ("POST", "/Users", json.dumps(ADA).encode()),
        wsgi_environ("GET", "/Users/é".encode().decode("latin-1"), b""),
        wsgi_environ("POST", "/Users", b"{}", CONTENT_LENGTH="99999999"),
        wsgi_environ("POST", "/Users", b"{}", CONTENT_LENGTH="5"),
        wsgi_environ("POST", "/Users", b"{}", CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked"),
    ):
        assert json.loads(b"".join(app(environ, start_response)))["schemas"]

    assert [
        "201 Created",
        "404 Not Found",
        "413 Request Entity Too Large",
        "400 Bad Request",
        "411 Length Required",
    ] == [status.replace("Content Too", "Request Entity Too") for status in statuses]


def test_asgi_application_answers() -> None:
    """The ASGI application passes requests on to an asynchronous server, below its mount."""
    server = AsyncScimServer(AsyncMemoryScimStore(), tokens=[TOKEN], base_url=BASE, lenient=True)
    app = AsyncScimApp(server)

    async def request(method: str, path: str, body: bytes, **fields: str) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {TOKEN}", **fields}
        scope = {
            "type": "http",
            "method": method,
            "path": f"/scim/v2{path}",
            "root_path": "/scim/v2",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        requests: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            requests.append(message)

        await app(scope, receive, send)
        content = requests[1]["body"]
        return requests[0]["status"], json.loads(content) if content else None

    async def run() -> list[int]:
        status, user = await request("POST", "/Users", json.dumps(ADA).encode())
        place = f"/Users/{user['id']}"
        change = patch_body({"op": "Replace", "path": "active", "value": "False"})
        patched = await request("PATCH", place, json.dumps(change).encode())
        answer = await request("GET", "/Users", b"")
        large_answer = await request("POST", "/Users", b"", **{"content-length": "99999999"})
        deletion = await request("DELETE", place, b"")
        assert not patched[1]["active"]
        assert 1 == answer[1]["totalResults"]
        return [status, patched[0], answer[0], large_answer[0], deletion[0]]

    async def start() -> list[Any]:
        requests: list[Any] = []

        async def receive() -> Any:
            return {"type": "lifespan"}

        async def send(message: Any) -> None:
            requests.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        return requests

    assert [201, 200, 200, 413, 204] == asyncio.run(run())
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == asyncio.run(start())


class NoNulStore(MemoryScimStore):
    """A store that refuses texts with NUL characters, as PostgreSQL does."""

    def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
        """Return a resource."""
        assert "\0" not in id
        return super().get(kind, id)

    def delete(self, kind: ScimKind, id: str, version: str | None, /) -> bool:
        """Delete a resource."""
        assert "\0" not in id
        return super().delete(kind, id, version)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_id_that_no_store_can_have_does_not_exist(method: str) -> None:
    """An id with a NUL character does not exist; no store is queried for it."""
    assert 404 == Driver(NoNulStore())(method, "/Users/a%00b").status


def test_token_that_is_no_utf8_is_unknown() -> None:
    """A token that cannot be encoded as UTF-8 is unknown."""
    headers = [("Authorization", "Bearer \ud800")]
    assert 401 == Driver().server.answer("GET", "/Users", headers=headers).status


class PercentStore(MemoryScimStore):
    """A store whose only person has a percent sign in the id."""

    def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
        """Return the person, or None."""
        is_known = id == "a%20b"
        return ScimResource(id=id, content={"userName": "ada"}, version="1") if is_known else None


def test_applications_decode_paths_once() -> None:
    """A path that the web server has already decoded is not decoded again."""
    statuses: list[str] = []
    app = ScimApp(Driver(PercentStore()).server)
    list(app(wsgi_environ("GET", "/Users/a%20b", b""), lambda status, _: statuses.append(status)))
    assert ["200 OK"] == statuses


class _Person:
    """A store that has one person."""

    def __init__(self, id: str) -> None:
        self._id = id

    def get(self, _: ScimKind, id: str, /) -> ScimResource | None:
        """Return the person if this is their id."""
        is_known = id == self._id
        return ScimResource(id=id, content={"userName": "ada"}, version="1") if is_known else None

    find = create = replace = delete = get


class _AsyncPerson(_Person):
    """An asynchronous store that has one person."""

    async def get(  # type: ignore[override] # the other kind of store
        self, kind: ScimKind, id: str, /
    ) -> ScimResource | None:
        """Return the person if the id is theirs."""
        return _Person.get(self, kind, id)

    find = create = replace = delete = get  # type: ignore[assignment] # the other kind of store


@pytest.mark.parametrize("id", ["EMEA/4711", "a/b/c", "/a", "a%2Fb", "urn:ietf:x/y z"])
def test_ids_with_slashes_are_found_by_their_location(id: str) -> None:
    """A resource is found by its location's URL, even if the web server decodes the path."""
    person: Any = _Person(id)
    server = ScimServer(person, tokens=[TOKEN], base_url=BASE)
    answer = server.answer(
        "GET", f"/Users/{quote(id, safe='')}", headers=[("Authorization", f"Bearer {TOKEN}")]
    )
    path = unquote(dict(answer.headers)["Location"].removeprefix(BASE))
    statuses: list[str] = []
    list(ScimApp(server)(wsgi_environ("GET", path, b""), lambda line, _: statuses.append(line)))
    async_person: Any = _AsyncPerson(id)
    app = AsyncScimApp(AsyncScimServer(async_person, tokens=[TOKEN], base_url=BASE))
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/scim/v2{path}",
        "root_path": "/scim/v2",
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        statuses.append(str(message.get("status")))

    asyncio.run(app(scope, receive, send))

    assert ["200 OK", "200"] == statuses[:2]


@pytest.mark.parametrize(
    "server, store, words",
    [
        (ScimServer, None, "no method find"),
        (AsyncScimServer, object(), "no method find"),
        (ScimServer, _AsyncPerson("a"), "find of the SCIM server's store is asynchronous"),
        (AsyncScimServer, _Person("a"), "find of the SCIM server's store is synchronous"),
    ],
)
def test_server_refuses_object_without_store_methods(server: Any, store: Any, words: str) -> None:
    """A server refuses an object without a store's methods, and a store of the wrong mode."""
    with pytest.raises(ConfigurationError, match=words) as excinfo:
        server(store, tokens=[TOKEN], base_url=BASE)

    assert "store" == excinfo.value.path


@pytest.mark.parametrize(
    "field, value",
    [
        ("method", b"GET"),
        ("path", None),
        ("query", b"count=1"),
        ("body", "{}"),
        ("body", None),
        ("headers", None),
        ("headers", 7),
        ("headers", "Authorization"),
        ("headers", b"Authorization"),
        ("headers", {"Authorization": "Bearer x"}),
        ("headers", ["ab"]),
        ("headers", [("Authorization",)]),
        ("headers", [("Authorization", "Bearer x", "more")]),
        ("headers", [(b"Authorization", b"Bearer x")]),
        ("headers", [("Authorization", None)]),
        ("headers", [7]),
    ],
)
def test_wrong_argument_types_are_refused_by_name(field: str, value: Any) -> None:
    """An invalid argument passed by the host's code raises a typed error that names it."""
    arguments: dict[str, Any] = {"method": "GET", "path": "/Users", field: value}
    with pytest.raises(InvalidData) as excinfo:
        Driver().server.answer(**arguments)

    assert field == excinfo.value.field


def test_headers_may_come_from_any_iterable() -> None:
    """A request's headers may be an iterator of two-item lists."""
    headers = iter([["Authorization", f"Bearer {TOKEN}"]])
    arguments: Any = {"headers": headers}
    assert 200 == Driver().server.answer("GET", "/Users", **arguments).status
