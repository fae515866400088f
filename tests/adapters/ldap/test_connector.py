"""The LDAP connector, with a real server and with the fake one for users' tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import moorage
from moorage import (
    AsyncConnectorManager,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    Service,
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
    has_attribute,
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
    from collections.abc import Generator

    from moorage.domain.connectors.ldap_values import LdapFilter

from tests.adapters.ldap.directory_harness import PEOPLE, Directory

SPECIAL_CHARACTERS = 'Smith, "J" #1 + <a>; b=c\\d *(x) '
"""A value with every letter that has a meaning in names and filters."""


@pytest.fixture(scope="module", name="slapd")
def _slapd() -> Generator[PrivateSlapd]:
    with PrivateSlapd() as server:
        yield server


@pytest.fixture(name="settings", params=["slapd", "fake"])
def _settings(request: pytest.FixtureRequest) -> Generator[Ldap]:
    """Yield the settings for an empty directory on each server."""
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


@pytest.fixture(name="directory", params=["sync", "async"])
def _directory(request: pytest.FixtureRequest, settings: Ldap) -> Generator[Directory]:
    with Directory(settings, is_async=request.param == "async") as directory:
        yield directory


def matching_ids(directory: Directory, where: LdapFilter, **options: Any) -> list[str | None]:
    """Return the ids of the people that match a filter, in order."""
    result = directory.perform(directory.connector.search(where, base=PEOPLE, **options))
    return sorted(entry.text("uid") for entry in result.entries)


def test_each_kind_of_filter_finds_matching_entries(directory: Directory) -> None:
    """Each kind of filter finds the matching entries."""
    directory.add_people("ada", "alan", "grace")

    conditions: dict[str, tuple[LdapFilter, list[str]]] = {
        "equals": (equals("uid", "ADA"), ["ada"]),
        "begins with": (begins_with("uid", "a"), ["ada", "alan"]),
        "contains": (contains("mail", "c"), ["grace"]),
        "ends with": (ends_with("cn", "n 1"), ["alan"]),
        "present": (has_attribute("mail"), ["ada", "alan", "grace"]),
        "absent": (has_attribute("uid") & ~has_attribute("mail"), []),
        "both": (begins_with("uid", "a") & ends_with("uid", "n"), ["alan"]),
        "either": (equals("uid", "ada") | equals("uid", "grace"), ["ada", "grace"]),
        "several": (
            all_of(has_attribute("uid"), any_of(equals("uid", "ada"), equals("uid", "alan"))),
            ["ada", "alan"],
        ),
        "not": (~equals("uid", "ada") & has_attribute("uid"), ["alan", "grace"]),
    }
    assert {name: names for name, (_, names) in conditions.items()} == {
        name: matching_ids(directory, condition) for name, (condition, _) in conditions.items()
    }


def test_at_least_and_at_most_include_the_boundary() -> None:
    """The filters `at_least` and `at_most` include the boundary value itself."""
    entries = {f"n={number},{BASE}": {"uid": str(number), "n": str(number)} for number in (1, 2, 3)}
    with (
        LdapServer({BASE: {"o": "Example"}, PEOPLE: {"ou": "people"}, **entries}) as server,
        Directory(Ldap(url=server.url, base=BASE, start_tls=False)) as directory,
    ):
        connector = directory.connector
        results = [
            [
                entry.text("n")
                for entry in directory.perform(connector.search(condition, base=BASE)).entries
            ]
            for condition in (at_least("n", "2"), at_most("n", "2"))
        ]

    assert [["2", "3"], ["1", "2"]] == results


def test_special_characters_in_a_value_are_matched_literally(directory: Directory) -> None:
    """Special characters of names and filters in a value are matched literally."""
    directory.add_people("ada", SPECIAL_CHARACTERS)

    assert [SPECIAL_CHARACTERS] == matching_ids(directory, equals("uid", SPECIAL_CHARACTERS))
    assert [] == matching_ids(directory, equals("uid", "*"))
    assert [] == matching_ids(directory, equals("uid", "ada)(uid=*"))
    assert ["ada"] == matching_ids(directory, begins_with("uid", "ad"))


def test_entry_is_added_changed_renamed_and_deleted(directory: Directory) -> None:
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
    assert [] == matching_ids(directory, has_attribute("uid"))


def test_entry_is_moved_below_another_parent(directory: Directory) -> None:
    """An entry is moved below another parent, and may keep the value of its old name."""
    ldap = directory.connector
    directory.add_people("ada")

    directory.perform(
        ldap.rename(entry_name("uid", "ada", PEOPLE), "uid=countess", parent=BASE, keep_old=True)
    )

    moved = directory.perform(ldap.search(base=f"uid=countess,{BASE}", scope="base"))
    assert ["ada", "countess"] == sorted(moved.entries[0].texts("uid"))


@pytest.mark.parametrize("pages", [True, False])
def test_search_returns_all_pages_up_to_its_limit(settings: Ldap, *, pages: bool) -> None:
    """A search returns all entries, over several pages, or no more entries than its limit."""
    names = [f"p{number:02}" for number in range(25)]
    with Directory(attrs.evolve(settings, page=7)) as directory:
        connector = directory.connector
        directory.add_people(*names)

        assert names == matching_ids(directory, has_attribute("uid"), pages=pages)
        assert 10 == len(matching_ids(directory, has_attribute("uid"), limit=10, pages=pages))
        assert 3 == len(matching_ids(directory, has_attribute("uid"), limit=3, pages=pages))
        # The connection can be used again after a search that ended before its last page.
        assert names == matching_ids(directory, has_attribute("uid"), pages=pages)
        assert 1 == connector.statistics().created


def test_stream_yields_all_entries_and_may_end_early(settings: Ldap) -> None:
    """An LDAP stream yields all entries, and a program may stop reading early.

    If the caller stops early, the stream's connection still returns to the pool.
    """
    names = [f"p{number:02}" for number in range(25)]
    with Directory(attrs.evolve(settings, page=7, connections=1)) as directory:
        connector = directory.connector
        directory.add_people(*names)
        operation = connector.stream(has_attribute("uid"), base=PEOPLE)

        with directory.perform(operation) as stream:
            assert names == sorted(entry.text("uid") for entry in stream)
        with directory.perform(operation) as stream:
            assert "p00" == next(iter(stream)).text("uid")
            assert 1 == connector.statistics().active
        assert 0 == connector.statistics().active
        with pytest.raises(moorage.LocalFailure, match="closed"):
            next(iter(stream))
        assert names == matching_ids(directory, has_attribute("uid"))


def test_asynchronous_stream_yields_all_entries_over_several_pages(settings: Ldap) -> None:
    """An asynchronous stream yields all entries over several pages."""
    names = [f"p{number:02}" for number in range(25)]
    with Directory(settings) as directory:
        directory.add_people(*names)

    async def read() -> list[str]:
        manager = AsyncConnectorManager([Service("ldap")])
        async with AsyncLdapConnector(attrs.evolve(settings, page=7)) as ldap:
            await ldap.open()
            operation = ldap.stream(has_attribute("uid"), base=PEOPLE)
            async with await manager.perform("ldap", operation) as stream:
                return sorted([entry.text("uid") or "" async for entry in stream])

    assert names == asyncio.run(read())


def test_password_is_checked_on_separate_connection(directory: Directory) -> None:
    """A password is checked on a separate connection, and an empty name or password is refused."""
    ldap = directory.connector

    assert directory.perform(ldap.check_password(READER, READER_PASSWORD)) is True
    assert directory.perform(ldap.check_password(READER, "guess-0815")) is False
    assert directory.perform(ldap.check_password("uid=nobody,dc=example", "guess-0815")) is False
    for name, password in ((READER, ""), ("", "x")):
        with pytest.raises(InvalidData, match="empty"):
            ldap.check_password(name, password)


def test_each_refusal_by_server_has_its_own_error(directory: Directory) -> None:
    """Each error response of the server has its own error, and the connection stays usable."""
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
    """A change by a user without write permission raises AuthenticationFailed."""
    settings = slapd.settings(user=READER, password=READER_PASSWORD)
    with Directory(settings) as directory:
        connector = directory.connector
        error = directory.error(connector.delete(BASE), AuthenticationFailed)

        (entry,) = directory.perform(connector.search(equals("uid", "reader"))).entries

    assert "50" == error.vendor_code
    assert () == entry.values("userPassword")


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_client_certificate_authenticates_connector(slapd: PrivateSlapd, scheme: str) -> None:
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


def test_operations_succeed_after_a_killed_server_restarts() -> None:
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
    """A search's result is stored under its idempotency key and returned for a repeat."""
    directory.add_people("ada")
    search = directory.connector.search(equals("uid", "ada"), base=PEOPLE)

    results = [directory.perform(search, idempotency_key="k") for _ in range(2)]

    assert results[0] == results[1]
    assert "ada" == results[1].entries[0].text("uid")


def test_operations_can_be_run_by_name(settings: Ldap) -> None:
    """Every operation except streams and password checks can be run by name with plain JSON."""
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
        all_entries = run(
            "search",
            where={"all": [{"present": "uid"}, {"not": {"equals": {"uid": "x"}}}]},
            base=PEOPLE,
            attributes=["uid", "jpegPhoto"],
            limit=5,
        )
        run("delete", entry=f"uid=countess,{PEOPLE}", repeatable=True)
        health = hub.connectors.health("staff")

    (entry,) = all_entries["entries"]
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
        ("add", {"entry": BASE, "attributes": []}, "attributes"),
        ("add", {"entry": "\ud800", "attributes": {"o": "x"}}, "entry"),
        ("modify", {"entry": BASE, "replace": []}, "replace"),
        ("modify", {"entry": BASE}, "replace"),
        ("rename", {"entry": BASE, "new_name": "o=x", "parent": 1}, "parent"),
        ("compare", {"entry": BASE, "attribute": "o", "value": 1}, "o"),
    ],
)
def test_wrong_argument_of_operation_by_name_is_refused_before_anything_is_sent(
    operation: str, arguments: dict[str, Any], field: str
) -> None:
    """A wrong argument of an operation by name is refused, and nothing is sent."""
    connector = LdapConnector(Ldap(url="ldap://directory.invalid"))

    with pytest.raises(InvalidData) as excinfo:
        connector.operations[operation].operation(arguments)

    assert field == excinfo.value.field


def test_deep_condition_is_refused() -> None:
    """A filter from JSON that is nested too deeply is refused."""
    condition: Any = {"present": "uid"}
    for _ in range(200):
        condition = {"not": condition}
    connector = LdapConnector(Ldap(url="ldap://directory.invalid"))

    with pytest.raises(InvalidData, match="wrong form"):
        connector.operations["search"].operation({"where": condition})


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
def test_settings_that_contradict_each_other_or_lack_credentials_are_refused(
    settings: dict[str, Any], path: str
) -> None:
    """Settings that contradict each other or lack credentials are refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        LdapConnector(Ldap(**{**settings, "url": settings.get("url", "ldap://directory.example")}))

    assert path == excinfo.value.path


def test_operation_names_its_target() -> None:
    """Telemetry shows an operation's server and base; unknown exceptions stay unchanged."""
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
    assert ldap.search().translate_error(ValueError()) is None


def test_asynchronous_program_can_open_ldap_connector_from_configuration() -> None:
    """An asynchronous program can open an LDAP connector from a configuration."""

    async def run(url: str) -> Any:
        table = {"kind": "ldap", "url": url, "start_tls": False}
        async with moorage.aopen({"connectors": {"staff": table}}) as hub:
            return await hub.connectors.run("staff", "search", {"base": BASE})

    with LdapServer({BASE: {"o": "Example"}}) as server:
        result = asyncio.run(run(server.url))

    assert [BASE] == [entry["name"] for entry in result["entries"]]


def test_fake_server_refuses_the_same_operations_as_a_real_one(slapd: PrivateSlapd) -> None:
    """The fake server refuses the same operations as a real one, with the same result codes."""
    with LdapServer({BASE: {"o": "Example"}}) as server:
        codes = []
        fake = Ldap(url=server.url, start_tls=False, base=BASE)
        for settings in (fake, slapd.settings()):
            with Directory(settings) as directory:
                ldap = directory.connector
                missing_name = f"uid=none,{BASE}"
                operations = [
                    ldap.add(f"uid=x,ou=none,{BASE}", {"objectClass": "account", "uid": "x"}),
                    ldap.modify(missing_name, replace={"description": "x"}),
                    ldap.rename(missing_name, "uid=x"),
                    ldap.compare(missing_name, "uid", "x"),
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
