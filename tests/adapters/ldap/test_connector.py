"""The LDAP connector, with a real server and with the fake one for users' tests."""

from __future__ import annotations

import asyncio
import socket
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

import attrs
import pytest

import moorage
from moorage import (
    AsyncConnectorManager,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    InvalidData,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.ldap.connector_async import AsyncLdapConnector
from moorage.adapters.ldap.connector_sync import LdapConnector
from moorage.adapters.ldap.settings import Ldap
from moorage.domain.connectors.ldap_values import (
    all_of,
    any_of,
    at_least,
    at_most,
    begins_with,
    contains,
    ends_with,
    entry_name,
    equals,
    present,
)
from moorage.errors import AlreadyExists
from moorage.testing import LdapServer
from tests.support.ldap_servers import (
    BASE,
    PASSWORD,
    READER,
    READER_PASSWORD,
    USER,
    PrivateSlapd,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.domain.connectors.ldap_values import LdapFilter

PEOPLE = f"ou=people,{BASE}"
HARD = 'Smith, "J" #1 + <a>; b=c\\d *(x) '
"""A value with every letter that has a meaning in names and filters."""


@pytest.fixture(scope="module", name="slapd")
def _slapd() -> Generator[PrivateSlapd]:
    with PrivateSlapd() as server:
        yield server


@pytest.fixture(name="settings", params=["slapd", "fake"])
def _settings(request: pytest.FixtureRequest) -> Generator[Ldap]:
    """Yield the settings of an empty directory of each server."""
    if request.param == "slapd":
        slapd = request.getfixturevalue("slapd")
        yield slapd.settings()
        entries = slapd.perform(lambda ldap: ldap.search(attributes=["1.1"])).entries
        for entry in reversed(entries):
            if entry.name not in {BASE, READER}:
                slapd.perform(lambda ldap, name=entry.name: ldap.delete(name))
        return
    entries = {
        BASE: {"objectClass": ["dcObject", "organization"], "o": "Example"},
        USER: {"userPassword": PASSWORD},
        READER: {"uid": "reader", "userPassword": READER_PASSWORD},
    }
    with LdapServer(entries) as server:
        yield Ldap(url=server.url, user=USER, password=PASSWORD, base=BASE, start_tls=False)


class Directory:
    """A connector of a directory with the manager that performs its operations, in one mode."""

    def __init__(self, settings: Ldap, *, is_async: bool = False) -> None:
        services = [Service("ldap", retry=RetryPolicy.none(), circuit=None)]
        self._runner = asyncio.Runner() if is_async else None
        kinds: Any = (LdapConnector, ConnectorManager)
        if is_async:
            kinds = (AsyncLdapConnector, AsyncConnectorManager)
        self.connector: Any = kinds[0](settings)
        self._manager: Any = kinds[1](services)

    def run(self, call: Callable[[], Any]) -> Any:
        """Call a method, and await its result if it is asynchronous."""
        if self._runner is None:
            return call()

        async def awaited() -> Any:
            return await call()

        return self._runner.run(awaited())

    def perform(self, operation: Any, **options: Any) -> Any:
        """Perform an operation of the connector."""
        return self.run(lambda: self._manager.perform("ldap", operation, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.connector.close)
        if self._runner is not None:
            self._runner.close()

    def error(self, operation: Any, kind: type[ConnectorError]) -> Any:
        """Return the error of an operation, which must be of this class."""
        with pytest.raises(kind) as caught:
            self.perform(operation)
        return caught.value

    def add_people(self, *names: str) -> None:
        """Add people to the directory."""
        ldap = self.connector
        self.perform(ldap.add(PEOPLE, {"objectClass": "organizationalUnit", "ou": "people"}))
        for number, name in enumerate(names):
            person = {"objectClass": "inetOrgPerson", "uid": name, "cn": f"{name} {number}"}
            person |= {"sn": name, "mail": f"{name}@example.org"}
            self.perform(ldap.add(entry_name("uid", name, PEOPLE), person))


@pytest.fixture(name="directory", params=["sync", "async"])
def _directory(request: pytest.FixtureRequest, settings: Ldap) -> Generator[Directory]:
    with Directory(settings, is_async=request.param == "async") as directory:
        yield directory


def found(directory: Directory, where: LdapFilter, **options: Any) -> list[str | None]:
    """Return the ids of the people that fulfil a condition, in order."""
    result = directory.perform(directory.connector.search(where, base=PEOPLE, **options))
    return sorted(entry.text("uid") for entry in result.entries)


def test_conditions(directory: Directory) -> None:
    """Each kind of condition finds the entries that fulfil it."""
    directory.add_people("ada", "alan", "grace")

    conditions: dict[str, tuple[LdapFilter, list[str]]] = {
        "equals": (equals("uid", "ADA"), ["ada"]),
        "begins with": (begins_with("uid", "a"), ["ada", "alan"]),
        "contains": (contains("mail", "c"), ["grace"]),
        "ends with": (ends_with("cn", "n 1"), ["alan"]),
        "present": (present("mail"), ["ada", "alan", "grace"]),
        "absent": (present("uid") & ~present("mail"), []),
        "both": (begins_with("uid", "a") & ends_with("uid", "n"), ["alan"]),
        "either": (equals("uid", "ada") | equals("uid", "grace"), ["ada", "grace"]),
        "several": (
            all_of(present("uid"), any_of(equals("uid", "ada"), equals("uid", "alan"))),
            ["ada", "alan"],
        ),
        "not": (~equals("uid", "ada") & present("uid"), ["alan", "grace"]),
    }
    assert {name: names for name, (_, names) in conditions.items()} == {
        name: found(directory, where) for name, (where, _) in conditions.items()
    }


def test_ordering_conditions() -> None:
    """Conditions of order find values on their side, including the value itself."""
    entries = {f"n={number},{BASE}": {"uid": str(number), "n": str(number)} for number in (1, 2, 3)}
    with (
        LdapServer({BASE: {"o": "Example"}, PEOPLE: {"ou": "people"}, **entries}) as server,
        Directory(Ldap(url=server.url, base=BASE, start_tls=False)) as directory,
    ):
        connector = directory.connector
        results = [
            [
                entry.text("n")
                for entry in directory.perform(connector.search(where, base=BASE)).entries
            ]
            for where in (at_least("n", "2"), at_most("n", "2"))
        ]

    assert [["2", "3"], ["1", "2"]] == results


def test_values_never_become_syntax(directory: Directory) -> None:
    """A value with letters of names and conditions is found as it is, and finds nothing else."""
    directory.add_people("ada", HARD)

    assert [HARD] == found(directory, equals("uid", HARD))
    assert [] == found(directory, equals("uid", "*"))
    assert [] == found(directory, equals("uid", "ada)(uid=*"))
    assert ["ada"] == found(directory, begins_with("uid", "ad"))


def test_change_and_delete(directory: Directory) -> None:
    """An entry is added, compared, changed, renamed and deleted."""
    ldap = directory.connector
    directory.add_people("ada")
    ada, lovelace = entry_name("uid", "ada", PEOPLE), entry_name("uid", "lovelace", PEOPLE)

    directory.perform(
        ldap.modify(
            ada,
            delete={"mail": []},
            add={"description": ["first", "second"]},
            replace={"sn": "Lovelace"},
        )
    )
    assert directory.perform(ldap.compare(ada, "sn", "Lovelace")) is True
    assert directory.perform(ldap.compare(ada, "sn", "Hopper")) is False
    directory.perform(ldap.rename(ada, entry_name("uid", "lovelace")))

    (entry,) = directory.perform(
        ldap.search(base=lovelace, scope="base", attributes=["UID", "mail", "sn", "description"])
    ).entries
    assert ("lovelace", ("Lovelace",)) == (entry.text("uid"), entry.texts("SN"))
    assert ((b"first", b"second"), None) == (entry.values("description"), entry.text("mail"))

    directory.perform(ldap.delete(lovelace))
    assert [] == found(directory, present("uid"))


def test_move(directory: Directory) -> None:
    """An entry is moved below another parent, and may keep the value of its old name."""
    ldap = directory.connector
    directory.add_people("ada")

    directory.perform(
        ldap.rename(entry_name("uid", "ada", PEOPLE), "uid=countess", parent=BASE, keep_old=True)
    )

    moved = directory.perform(ldap.search(base=f"uid=countess,{BASE}", scope="base"))
    assert ["ada", "countess"] == sorted(moved.entries[0].texts("uid"))


@pytest.mark.parametrize("pages", [True, False])
def test_pages_and_limit(settings: Ldap, *, pages: bool) -> None:
    """A search returns all entries over several pages, or as many as its limit."""
    names = [f"p{number:02}" for number in range(25)]
    with Directory(attrs.evolve(settings, page=7)) as directory:
        connector = directory.connector
        directory.add_people(*names)

        assert names == found(directory, present("uid"), pages=pages)
        assert 10 == len(found(directory, present("uid"), limit=10, pages=pages))
        assert 3 == len(found(directory, present("uid"), limit=3, pages=pages))
        # The connection is in order after a search that ended before its last page.
        assert names == found(directory, present("uid"), pages=pages)
        assert 1 == connector.statistics().created


def test_stream(settings: Ldap) -> None:
    """A stream yields all entries, gives its connection back, and may end early."""
    names = [f"p{number:02}" for number in range(25)]
    with Directory(attrs.evolve(settings, page=7, connections=1)) as directory:
        connector = directory.connector
        directory.add_people(*names)
        operation = connector.stream(present("uid"), base=PEOPLE)

        with directory.perform(operation) as stream:
            assert names == sorted(entry.text("uid") for entry in stream)
        with directory.perform(operation) as stream:
            assert "p00" == next(iter(stream)).text("uid")
            assert 1 == connector.statistics().active
        assert 0 == connector.statistics().active
        with pytest.raises(moorage.LocalFailure, match="closed"):
            next(iter(stream))
        assert names == found(directory, present("uid"))


def test_asynchronous_stream(settings: Ldap) -> None:
    """An asynchronous stream yields all entries over several pages."""
    names = [f"p{number:02}" for number in range(25)]
    with Directory(settings) as directory:
        directory.add_people(*names)

    async def read() -> list[str]:
        manager = AsyncConnectorManager([Service("ldap")])
        async with AsyncLdapConnector(attrs.evolve(settings, page=7)) as ldap:
            await ldap.open()
            operation = ldap.stream(present("uid"), base=PEOPLE)
            async with await manager.perform("ldap", operation) as stream:
                return sorted([entry.text("uid") or "" async for entry in stream])

    assert names == asyncio.run(read())


def test_check_password(directory: Directory) -> None:
    """A password is checked on a connection of its own, and an empty one is refused."""
    ldap = directory.connector

    assert directory.perform(ldap.check_password(READER, READER_PASSWORD)) is True
    assert directory.perform(ldap.check_password(READER, "guess-0815")) is False
    assert directory.perform(ldap.check_password("uid=nobody,dc=example", "guess-0815")) is False
    for name, password in ((READER, ""), ("", "x")):
        with pytest.raises(InvalidData, match="empty"):
            ldap.check_password(name, password)


def test_refusals(directory: Directory) -> None:
    """Each refusal of the server is an error of its own, which leaves the connection in order."""
    ldap = directory.connector
    directory.add_people("ada")
    ada = entry_name("uid", "ada", PEOPLE)

    missing = directory.error(ldap.delete(entry_name("uid", "nobody", PEOPLE)), VendorRejected)
    assert "32" == missing.vendor_code
    assert (
        "68"
        == directory.error(ldap.add(ada, {"objectClass": "account"}), AlreadyExists).vendor_code
    )
    assert "66" == directory.error(ldap.delete(PEOPLE), VendorRejected).vendor_code
    absent = directory.error(ldap.modify(ada, delete={"description": "x"}), VendorRejected)
    assert "16" == absent.vendor_code
    assert (
        "16" == directory.error(ldap.compare(ada, "description", "x"), VendorRejected).vendor_code
    )
    assert (
        "32" == directory.error(ldap.search(base="ou=none,dc=example"), VendorRejected).vendor_code
    )
    assert 1 == ldap.statistics().created


def test_reader_may_not_change(slapd: PrivateSlapd) -> None:
    """A change without the right to it is refused as an authentication error."""
    settings = slapd.settings(user=READER, password=READER_PASSWORD)
    with Directory(settings) as directory:
        connector = directory.connector
        error = directory.error(connector.delete(BASE), AuthenticationFailed)

        (entry,) = directory.perform(connector.search(equals("uid", "reader"))).entries

    assert "50" == error.vendor_code
    assert () == entry.values("userPassword")


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_client_certificate(slapd: PrivateSlapd, scheme: str) -> None:
    """A client certificate authenticates the connector, with StartTLS and with LDAPS."""
    port = slapd.port if scheme == "ldap" else slapd.secure_port
    settings = Ldap(
        url=f"{scheme}://127.0.0.1:{port}",
        external=True,
        base=BASE,
        authorities=str(slapd.certificate),
        certificate=str(slapd.certificate),
        key=str(slapd.key),
    )
    with Directory(settings) as directory:
        connector = directory.connector
        directory.perform(connector.modify(BASE, replace={"description": scheme}))

        assert directory.perform(connector.compare(BASE, "description", scheme)) is True


def test_killed_server_comes_back() -> None:
    """After the server was killed and started again, operations succeed."""
    with PrivateSlapd() as slapd, Directory(slapd.settings()) as directory:
        connector = directory.connector
        assert 2 == len(directory.perform(connector.search()).entries)
        slapd.kill()
        error = directory.error(connector.search(), ConnectionFailed)
        assert not error.may_have_been_processed
        slapd.start()

        assert 2 == len(directory.perform(connector.search()).entries)
        assert "healthy" == connector.health().state.value


def test_result_is_stored_under_a_key(directory: Directory) -> None:
    """The result of a search under an idempotency key is stored, and returned again."""
    directory.add_people("ada")
    search = directory.connector.search(equals("uid", "ada"), base=PEOPLE)

    results = [directory.perform(search, idempotency_key="k") for _ in range(2)]

    assert results[0] == results[1]
    assert "ada" == results[1].entries[0].text("uid")


def test_operations_by_name(settings: Ldap) -> None:
    """Every operation but streams and passwords can be run by name with plain JSON."""
    ada = entry_name("uid", "ada", PEOPLE)
    table = {
        "kind": "ldap",
        "url": settings.url,
        "user": USER,
        "password": PASSWORD,
        "base": BASE,
        "start_tls": False,
    }
    with moorage.open({"connectors": {"staff": table}}) as hub:

        def run(operation: str, **arguments: Any) -> Any:
            return hub.connectors.run("staff", operation, arguments)

        run("add", entry=PEOPLE, attributes={"objectClass": "organizationalUnit", "ou": "people"})
        person = {"objectClass": ["inetOrgPerson"], "uid": "ada", "cn": "Ada", "sn": "Lovelace"}
        run("add", entry=ada, attributes={**person, "jpegPhoto": {"hex": "ff00"}})
        run("modify", entry=ada, replace={"mail": ["ada@example.org"]}, repeatable=True)
        assert run("compare", entry=ada, attribute="mail", value="ada@example.org") is True
        run("rename", entry=ada, new_name="uid=countess", keep_old=False)
        everyone = run(
            "search",
            where={"all": [{"present": "uid"}, {"not": {"equals": {"uid": "x"}}}]},
            base=PEOPLE,
            attributes=["uid", "jpegPhoto"],
            limit=5,
        )
        run("delete", entry=f"uid=countess,{PEOPLE}", repeatable=True)
        health = hub.connectors.health("staff")

    (entry,) = everyone["entries"]
    assert {"uid": ["countess"], "jpegPhoto": [{"hex": "ff00"}]} == entry["attributes"]
    assert health.is_healthy


@pytest.mark.parametrize(
    "operation, arguments, field",
    [
        ("search", {"where": {"equals": {"uid": 1}}}, "uid"),
        ("search", {"where": {"like": {"uid": "a"}}}, "where"),
        ("search", {"where": {"equals": {"u(id": "a"}}}, "attribute"),
        ("search", {"where": {"present": 3}}, "attribute"),
        ("search", {"where": []}, "where"),
        ("search", {"where": {"all": []}}, "where"),
        ("search", {"where": {"contains": {"uid": ""}}}, "uid"),
        ("search", {"limit": "5"}, "limit"),
        ("search", {"limit": 0}, "limit"),
        ("search", {"scope": "tree"}, "scope"),
        ("search", {"pages": 1}, "pages"),
        ("search", {"attributes": "uid"}, "attributes"),
        ("search", {"attributes": [1]}, "attributes"),
        ("search", {"base": 1}, "base"),
        ("add", {"entry": BASE, "attributes": {"o": {"hex": "x"}}}, "o"),
        ("add", {"entry": BASE, "attributes": {"o": {}}}, "o"),
        ("add", {"entry": "\ud800", "attributes": {"o": "x"}}, "entry"),
        ("modify", {"entry": BASE, "replace": []}, "replace"),
        ("modify", {"entry": BASE}, "replace"),
        ("rename", {"entry": BASE, "new_name": "o=x", "parent": 1}, "parent"),
        ("compare", {"entry": BASE, "attribute": "o", "value": 1}, "o"),
    ],
)
def test_wrong_arguments(operation: str, arguments: dict[str, Any], field: str) -> None:
    """A wrong argument of an operation by name is refused before anything is sent."""
    connector = LdapConnector(Ldap(url="ldap://directory.invalid"))

    with pytest.raises(InvalidData) as caught:
        connector.operations[operation].operation(arguments)

    assert field == caught.value.field


def test_deep_condition_is_refused() -> None:
    """A condition from outside that is nested too deeply is refused."""
    where: Any = {"present": "uid"}
    for _ in range(200):
        where = {"not": where}
    connector = LdapConnector(Ldap(url="ldap://directory.invalid"))

    with pytest.raises(InvalidData, match="wrong form"):
        connector.operations["search"].operation({"where": where})


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"url": "http://directory.example"}, "url"),
        ({"url": "ldap://directory.example/dc=example"}, "url"),
        ({"url": "ldap://erp@directory.example"}, "url"),
        ({"user": USER}, "password"),
        ({"password": PASSWORD}, "user"),
        ({"user": USER, "password": ""}, "password"),
        ({"external": True}, "external"),
        ({"external": True, "certificate": "c.pem", "user": USER, "password": "x"}, "external"),
        ({"start_tls": False, "authorities": "ca.pem"}, "start_tls"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], path: str) -> None:
    """Settings that contradict each other, or would authenticate nobody, are refused."""
    with pytest.raises(ConfigurationError) as caught:
        LdapConnector(Ldap(**{**settings, "url": settings.get("url", "ldap://directory.example")}))

    assert path == caught.value.path


class ScriptedServer:
    """A server that sends prepared bytes after each request, and then ends the connection.

    Args:
        responses: the bytes to send after each request.
    """

    def __init__(self, *responses: bytes) -> None:
        self._responses = responses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"ldap://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            for response in self._responses:
                if not connection.recv(65_536):
                    return
                connection.sendall(response)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        self._listener.close()


def message(kind: int, content: bytes, number: int = 1) -> bytes:
    """Return a message of a server."""
    operation = bytes([kind, len(content)]) + content
    body = bytes([2, 1, number]) + operation
    return bytes([0x30, len(body)]) + body


DONE = bytes([0x0A, 1, 0, 4, 0, 4, 0])
GARBAGE: dict[str, tuple[bytes, type[ConnectorError]]] = {
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", VendorFailed),
    "huge": (b"\x30\x84\x7f\xff\xff\xff", VendorFailed),
    "endless length": (b"\x30\x80\x02\x01\x01", VendorFailed),
    "nine bytes of length": (b"\x30\x89" + b"\x01" * 9, VendorFailed),
    "another number": (message(0x65, DONE, number=9), VendorFailed),
    "another kind": (message(0x61, DONE), VendorFailed),
    "empty": (b"\x30\x00", VendorFailed),
    "cut inside": (b"\x30\x05\x02\x01\x01\x65\x09", VendorFailed),
    "no entry": (message(0x64, b"\x04\x01a\x31\x00"), VendorFailed),
    "long number": (b"\x30\x0a\x02\x08" + b"\x01" * 8, VendorFailed),
    "notice of the end": (message(0x78, DONE, number=0), ConnectionFailed),
    "nothing": (b"", ConnectionFailed),
    "a part": (b"\x30\x40\x02\x01", ConnectionFailed),
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("changes", [False, True])
def test_malformed_response(name: str, *, is_async: bool, changes: bool) -> None:
    """A malformed response is an error, which leaves the outcome of a change open."""
    response, kind = GARBAGE[name]
    expected: type[ConnectorError] = ConnectionFailed if changes else kind
    with ScriptedServer(response) as server:
        settings = Ldap(url=server.url, start_tls=False)
        with Directory(settings, is_async=is_async) as directory:
            connector = directory.connector
            operation = connector.delete(BASE) if changes else connector.search()
            error = directory.error(operation, expected)
            idle = connector.statistics().idle

    assert not changes or error.may_have_been_processed
    assert 0 == idle


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_malformed_response_in_a_stream(*, is_async: bool) -> None:
    """A malformed response to the first page of a stream gives its connection back."""
    with ScriptedServer(b"HTTP/1.1") as server:
        settings = Ldap(url=server.url, start_tls=False)
        with Directory(settings, is_async=is_async) as directory:
            directory.error(directory.connector.stream(), VendorFailed)

            assert (0, 0) == (
                directory.connector.statistics().active,
                directory.connector.statistics().idle,
            )


def test_references_are_not_followed() -> None:
    """The URLs of other servers are a part of the result, and nobody connects to them."""
    reference = message(0x73, b"\x04\x08ldap://b")
    with (
        ScriptedServer(reference + message(0x65, DONE)) as server,
        Directory(Ldap(url=server.url, start_tls=False)) as directory,
    ):
        result = directory.perform(directory.connector.search())

    assert ((), ("ldap://b",)) == (result.entries, result.references)


def test_operation_names_its_target() -> None:
    """An operation names the server and the directory for traces, and judges no foreign error."""
    ldap = LdapConnector(Ldap(url="ldap://directory.example", base=BASE))
    other = LdapConnector(Ldap(url="ldap://directory.example:1389"))

    target = ldap.search().target
    assert ("ldap", BASE, "directory.example", None) == (
        target.system,
        target.namespace,
        target.host,
        target.port,
    )
    assert (1389, "delete") == (other.delete(BASE).target.port, other.delete(BASE).target.operation)
    assert (True, False, True) == (
        ldap.search().repeatable,
        ldap.delete(BASE).repeatable,
        ldap.delete(BASE, repeatable=True).repeatable,
    )
    assert ldap.search().judge(ValueError()) is None


def test_asynchronous_kind() -> None:
    """A configuration makes a connector of an asynchronous program too."""

    async def run(url: str) -> Any:
        table = {"kind": "ldap", "url": url, "start_tls": False}
        async with moorage.aopen({"connectors": {"staff": table}}) as hub:
            return await hub.connectors.run("staff", "search", {"base": BASE})

    with LdapServer({BASE: {"o": "Example"}}) as server:
        result = asyncio.run(run(server.url))

    assert [BASE] == [entry["name"] for entry in result["entries"]]


def test_refusals_of_the_fake(slapd: PrivateSlapd) -> None:
    """The fake server refuses what a real one refuses, with the same codes."""
    with LdapServer({BASE: {"o": "Example"}}) as server:
        codes = []
        fake = Ldap(url=server.url, start_tls=False, base=BASE)
        for settings in (fake, slapd.settings()):
            with Directory(settings) as directory:
                ldap = directory.connector
                none = f"uid=none,{BASE}"
                operations = [
                    ldap.add(f"uid=x,ou=none,{BASE}", {"objectClass": "account", "uid": "x"}),
                    ldap.modify(none, replace={"description": "x"}),
                    ldap.rename(none, "uid=x"),
                    ldap.compare(none, "uid", "x"),
                    ldap.modify(BASE, add={"o": "Example"}),
                ]
                codes.append(
                    [
                        directory.error(operation, VendorRejected).vendor_code
                        for operation in operations
                    ]
                )
                children = ldap.search(scope="one", base=BASE)
                assert BASE not in [entry.name for entry in directory.perform(children).entries]

    assert ["32", "32", "32", "32", "20"] == codes[0] == codes[1]


def test_more_entries_than_a_page() -> None:
    """A server that sends more than a page is cut off, so that memory stays bounded."""
    entry = message(0x64, b"\x04\x01a\x30\x00")
    with (
        ScriptedServer(entry * 1000) as server,
        Directory(Ldap(url=server.url, start_tls=False, page=10)) as directory,
    ):
        error = directory.error(directory.connector.search(), VendorFailed)

    assert "larger" in error.message


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_result_larger_than_allowed(*, is_async: bool) -> None:
    """A search whose entries are larger than allowed is refused."""
    entries = {f"cn={number},{BASE}": {"cn": str(number) * 900} for number in range(9)}
    with LdapServer({BASE: {"o": "Example"}, **entries}) as server:
        settings = Ldap(url=server.url, start_tls=False, page=2, largest=4000, base=BASE)
        with Directory(settings, is_async=is_async) as directory:
            error = directory.error(directory.connector.search(), InvalidData)

    assert "limit" == error.field


def test_bytes_before_encryption_are_refused() -> None:
    """A response that came together with that to StartTLS ends the connection."""
    response = message(0x78, DONE) + message(0x61, DONE, number=2)
    with ScriptedServer(response) as server:
        settings = Ldap(url=server.url, user=USER, password=PASSWORD)
        with Directory(settings) as directory:
            error = directory.error(directory.connector.search(), ConnectionFailed)

    assert "TLS" in error.message


def test_no_start_tls() -> None:
    """A server that refuses StartTLS is sent no password."""
    with LdapServer() as server:
        settings = Ldap(url=server.url, user=USER, password=PASSWORD)
        with Directory(settings) as directory:
            error = directory.error(directory.connector.search(), ConnectionFailed)

    assert ("TLS" in error.message, False) == (True, error.retryable)


def test_fake_fails_as_told() -> None:
    """The fake server answers with the result codes that a test asks for."""
    with (
        LdapServer({BASE: {"o": "Example"}}) as server,
        Directory(Ldap(url=server.url, start_tls=False, base=BASE)) as directory,
    ):
        connector = directory.connector
        server.failures.extend([51, 53])
        busy = directory.error(connector.search(), ConnectionFailed)
        refused = directory.error(connector.delete(BASE), VendorRejected)
        server.drop()

        assert 1 == len(directory.perform(connector.search()).entries)

    assert ((False, True), "53") == (
        (busy.may_have_been_processed, busy.retryable),
        refused.vendor_code,
    )


def test_fake_refuses_garbage() -> None:
    """The fake server ends a connection on which something else than LDAP arrives."""
    with LdapServer() as server:
        host, port = server.url.removeprefix("ldap://").split(":")
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"" == connection.recv(100)
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(b"\x30\x05\x02\x01\x01\x42\x00")
            assert b"" == connection.recv(100)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_opening_and_health(*, is_async: bool) -> None:
    """Opening a connector tells what is wrong, and its health does so as a value."""
    with LdapServer(
        {BASE: {"o": "Example", "vendorName": "Acme"}, "": {"vendorName": "Acme"}}
    ) as server:
        settings = Ldap(url=server.url, start_tls=False)
        with Directory(settings, is_async=is_async) as directory:
            ldap = directory.connector
            directory.run(lambda: ldap.open(60.0))
            assert directory.run(lambda: ldap.health(60.0)).is_healthy
            assert "Acme" == ldap.versions.server
            assert "<" in repr(ldap)
            assert "search" in repr(ldap.search())
            server.stop()

            assert not directory.run(lambda: ldap.health(60.0)).is_healthy
        with (
            Directory(settings, is_async=is_async) as directory,
            pytest.raises(ConnectionFailed, match="Nothing accepts"),
        ):
            directory.run(lambda: directory.connector.open(60.0))


def test_wrong_certificate_file() -> None:
    """A file of TLS that cannot be read is named when a connection is opened."""
    with (
        LdapServer() as server,
        Directory(Ldap(url=server.url, authorities="missing.pem")) as directory,
    ):
        error = directory.error(directory.connector.search(), ConfigurationError)

    assert "authorities" == error.path


def test_host_that_is_no_name() -> None:
    """A host that no name server could know is an unknown host."""
    with Directory(Ldap(url=f"ldap://{'x' * 80}.example")) as directory:
        error = directory.error(directory.connector.search(), ConnectionFailed)

    assert "host" in error.message


@pytest.mark.parametrize("name", ["bind", "StartTLS", "LDAPS"])
def test_cancelled_while_opening(name: str) -> None:
    """An opening that is cancelled leaves no connection behind."""

    async def cancel() -> bool:
        closed = asyncio.Event()
        has_request = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            has_request.set()
            await reader.read()
            writer.close()
            closed.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            settings = Ldap(
                url=f"{'ldaps' if name == 'LDAPS' else 'ldap'}://127.0.0.1:{port}",
                user=USER,
                password=PASSWORD,
                start_tls=name == "StartTLS",
            )
            async with AsyncLdapConnector(settings) as connector:
                opening = asyncio.ensure_future(connector.open(60.0))
                await has_request.wait()
                opening.cancel()
                await asyncio.wait([opening])
                async with asyncio.timeout(120):
                    await closed.wait()
                return opening.cancelled() and connector.statistics().size == 0

    assert asyncio.run(cancel()) is True


def test_check_of_a_password_that_the_server_cannot_make() -> None:
    """A check of a password that ends with another code than that of a wrong one is an error."""
    with (
        LdapServer({BASE: {"userPassword": "x"}}) as server,
        Directory(Ldap(url=server.url, start_tls=False)) as directory,
    ):
        server.failures.append(51)
        operation = directory.connector.check_password(BASE, "x")
        error = directory.error(operation, ConnectionFailed)

    assert "busy" in error.message


def test_code_of_failure_while_authenticating() -> None:
    """A server that demands a stronger authentication is told apart from a wrong password."""
    with LdapServer({BASE: {"userPassword": "x"}}) as server:
        settings = Ldap(url=server.url, user=BASE, password="x", start_tls=False)
        with Directory(settings) as directory:
            server.failures.extend([8])
            stronger = directory.error(directory.connector.search(), AuthenticationFailed)

    assert "8" == stronger.vendor_code
