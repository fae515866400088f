"""The IMAP connector, with a real server and with scripted ones."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    Credentials,
    InvalidData,
    OAuthCredentials,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.imap.connector_async import AsyncImapConnector
from moorage.adapters.imap.connector_sync import ImapConnector
from moorage.adapters.imap.kind import Imap
from moorage.domain.connectors.imap_values import (
    ImapCondition,
    all_messages,
    arrived_before,
    arrived_since,
    has_flag,
    header_contains,
    sent_by,
    sent_to,
    subject_contains,
)
from moorage.domain.resilience.health import may_have_acted
from moorage.errors import ChangesExpired
from tests.support.connector_modes import ConnectorInMode
from tests.support.imap_servers import PASSWORD, FakeMailboxes, PrivateDovecot, ScriptedImap

if TYPE_CHECKING:
    from collections.abc import Generator

FIRST = (
    b"From: Ada <ada@example.org>\r\nTo: shop@example.com\r\nSubject: Invoice 1\r\n"
    b"List-Id: <bills>\r\n\r\nFirst"
)
SECOND = b"From: grace@example.org\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\n\r\nSecond"


class Mailbox(ConnectorInMode):
    """An IMAP connector of one mailbox and its manager, both synchronous or both asynchronous."""

    def __init__(self, settings: Imap, *, is_async: bool = False, provider: Any = None) -> None:
        kind: Any = AsyncImapConnector if is_async else ImapConnector
        super().__init__(kind(settings, provider=provider), "imap")

    def error(self, operation: Any, kind: type[ConnectorError]) -> Any:
        """Run an operation that fails; return its error, after checking that it has no password."""
        error = super().error(operation, kind)
        assert PASSWORD not in repr(error)
        return error


@pytest.fixture(scope="module", name="server")
def _server() -> Generator[PrivateDovecot]:
    with PrivateDovecot() as server:
        yield server


MODES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture(name="mailboxes", params=["dovecot", "fake"])
def _mailboxes(
    request: pytest.FixtureRequest, server: PrivateDovecot
) -> Generator[PrivateDovecot | FakeMailboxes]:
    with FakeMailboxes() as fake:
        yield server if request.param == "dovecot" else fake


@MODES
def test_search_fetch_flag_and_move(
    mailboxes: PrivateDovecot | FakeMailboxes, *, is_async: bool
) -> None:
    """The IMAP connector finds, flags and moves messages; reading does not mark them as read."""
    user = f"flow-{is_async}"
    mailboxes.create(user, "Entwürfe")
    mailboxes.add(user, FIRST, SECOND)
    with Mailbox(mailboxes.settings(user), is_async=is_async) as mailbox:
        imap = mailbox.connector
        result = mailbox.perform(imap.search())
        first, second = mailbox.perform(imap.fetch(result.uids, validity=result.validity))
        assert ((1, 2), FIRST, SECOND) == (result.uids, first.content, second.content)
        assert "\\Seen" not in first.flags
        assert first.at is not None
        assert (len(FIRST), "INBOX") == (first.size, first.folder)

        mailbox.perform(imap.flag([1, 2], add=["\\Seen", "done"], remove=["other"]))
        assert (1, 2) == mailbox.perform(imap.search(has_flag("done"))).uids
        assert () == mailbox.perform(imap.search(~has_flag("\\Seen"))).uids
        mailbox.perform(imap.move([1], "Entwürfe"))
        assert (2,) == mailbox.perform(imap.search()).uids
        moved = mailbox.perform(imap.search(folder="Entwürfe"))
        assert 1 == len(moved.uids)
        assert () == mailbox.perform(imap.fetch([1]))


def test_each_kind_of_search_condition_finds_matching_messages(
    mailboxes: PrivateDovecot | FakeMailboxes,
) -> None:
    """Each kind of search condition finds the matching messages, even with special characters."""
    mailboxes.add("conditions", FIRST, SECOND)
    day = date(2020, 1, 31)
    conditions: dict[str, tuple[ImapCondition, tuple[int, ...]]] = {
        "everything": (all_messages(), (1, 2)),
        "sender": (sent_by("ADA"), (1,)),
        "recipient": (sent_to("shop"), (1,)),
        "subject": (subject_contains("Café"), (2,)),
        "header": (header_contains("List-Id", "bills"), (1,)),
        "any header": (header_contains("List-Id", ""), (1,)),
        "since": (arrived_since(day), (1, 2)),
        "before": (arrived_before(day), ()),
        "both": (sent_by("example") & subject_contains("Invoice"), (1,)),
        "either": (sent_by("ada") | sent_by("grace"), (1, 2)),
        "not": (~sent_by("ada"), (2,)),
        "syntax": (subject_contains('" ALL'), ()),
        "line break": (subject_contains("x\r\nm9 LOGOUT"), ()),
    }
    with Mailbox(mailboxes.settings("conditions")) as mailbox:
        results = {
            name: mailbox.perform(mailbox.connector.search(condition)).uids
            for name, (condition, _) in conditions.items()
        }

    assert {name: uids for name, (_, uids) in conditions.items()} == results


def test_only_header_of_too_large_message_is_fetched(server: PrivateDovecot) -> None:
    """Of a too large message only the header is fetched; too many bytes in total are refused."""
    server.add("large", FIRST, SECOND + b"x" * 3000, SECOND)
    with Mailbox(server.settings("large", largest=300)) as mailbox:
        messages = mailbox.perform(mailbox.connector.fetch([1, 2, 3]))
        server.add("large", SECOND + b"y" * 100)
        error = mailbox.error(mailbox.connector.fetch([1, 2, 3, 4]), InvalidData)

    assert [True, False, True] == [message.is_complete for message in messages]
    assert messages[1].content.endswith(b"\r\n\r\n")
    assert "uids" == error.field


def test_results_are_stored_under_a_key(server: PrivateDovecot) -> None:
    """An operation's result is stored under its idempotency key and returned for a repeat."""
    server.add("stored", FIRST)
    with Mailbox(server.settings("stored")) as mailbox:
        imap = mailbox.connector
        operations = {"s": imap.search(), "f": imap.fetch([1]), "g": imap.flag([1], add=["x"])}
        for key, operation in operations.items():
            first = mailbox.perform(operation, idempotency_key=key)
            assert first == mailbox.perform(operation, idempotency_key=key)


def test_operations_can_be_run_by_name(server: PrivateDovecot) -> None:
    """Every operation can be run by its name with plain JSON."""
    server.add("named", FIRST, SECOND)
    with server.client("named") as client:
        client.create("Done")
    table = {
        "kind": "imap",
        "url": f"imap://127.0.0.1:{server.port}",
        "user": "named",
        "password": PASSWORD,
        "start_tls": False,
    }
    with moorage.open({"connectors": {"post": table}}) as hub:

        def run(operation: str, **arguments: Any) -> Any:
            return hub.connectors.run("post", operation, arguments)

        condition = {
            "from": "example",
            "not": {"flag": "\\Seen"},
            "any": [{"subject": "Inv"}, {"to": "x"}],
        }
        result = run("search", where=condition)
        (message,) = run("fetch", uids=result["uids"], validity=result["validity"])
        run("flag", uids=[1], add=["\\Flagged"])
        run("move", uids=[1], to="Done")
        health = hub.connectors.health("post")

    assert [1] == result["uids"]
    assert FIRST.decode() == message["content"]
    assert health.is_healthy


def test_asynchronous_program_can_open_imap_connector_from_configuration(
    server: PrivateDovecot,
) -> None:
    """An asynchronous program can open an IMAP connector from a configuration."""
    server.add("aopen", FIRST)
    table = {
        "kind": "imap",
        "url": f"imap://127.0.0.1:{server.port}",
        "user": "aopen",
        "password": PASSWORD,
        "start_tls": False,
    }

    async def run() -> Any:
        async with moorage.aopen({"connectors": {"post": table}}) as hub:
            return await hub.connectors.run("post", "search", {})

    assert [1] == asyncio.run(run())["uids"]


@pytest.mark.parametrize(
    "operation, arguments, field",
    [
        ("search", {"where": []}, "where"),
        ("search", {"where": {"like": "x"}}, "where"),
        ("search", {"where": {"any": []}}, "where"),
        ("search", {"where": {"any": [{"from": "x"}] * 30}}, "where"),
        ("search", {"where": {"from": "\0"}}, "where"),
        ("search", {"where": {"flag": "a b"}}, "flag"),
        ("search", {"folder": "a\r\nb"}, "folder"),
        ("fetch", {"uids": 1}, "uids"),
        ("fetch", {"uids": []}, "uids"),
        ("fetch", {"uids": [0]}, "uids"),
        ("fetch", {"uids": ["1:*"]}, "uids"),
        ("fetch", {"uids": [1], "validity": "7"}, "validity"),
        ("flag", {"uids": [1]}, "add"),
        ("flag", {"uids": [1], "add": ["a)"]}, "flag"),
        ("move", {"uids": [1], "to": ""}, "folder"),
    ],
)
def test_wrong_argument_of_operation_by_name_is_refused_before_anything_is_sent(
    operation: str, arguments: dict[str, Any], field: str
) -> None:
    """A wrong argument of an operation by name is refused, and nothing is sent."""
    connector = ImapConnector(Imap(url="imaps://mail.invalid", user="ada", password="x"))

    with pytest.raises(InvalidData) as excinfo:
        connector.operations[operation].operation(arguments)

    assert field == excinfo.value.field
    assert "search" in repr(connector.search())
    assert "imap" in repr(connector)
    assert connector.search().translate_error(ValueError()) is None


def test_header_name_with_a_space_is_refused() -> None:
    """A search condition refuses a header field name that contains a space."""
    with pytest.raises(InvalidData, match="the name"):
        header_contains("a b", "x")


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"url": "https://mail.example"}, "url"),
        ({"url": "imaps://ada@mail.example"}, "url"),
        ({"token": "t"}, "token"),
        ({"user": "a\0b"}, "user"),
        ({"password": None}, "password"),
        ({"url": "imap://mail.example", "start_tls": False, "authorities": "ca.pem"}, "start_tls"),
    ],
)
def test_invalid_imap_settings_are_refused(settings: dict[str, Any], path: str) -> None:
    """Invalid IMAP settings are refused; the error contains the setting's name."""
    standard: dict[str, Any] = {"url": "imaps://mail.example", "user": "ada", "password": "x"}
    with pytest.raises(ConfigurationError) as excinfo:
        ImapConnector(Imap(**{**standard, **settings}))

    assert path == excinfo.value.path


class ExpiredTokenProvider:
    """A credential provider whose first token has expired."""

    def __init__(self) -> None:
        self.refreshed = 0

    def get(self, service: str, tenant: str | None, /) -> OAuthCredentials:
        """Return the token that has expired."""
        assert ("imap", None) == (service, tenant)
        return OAuthCredentials(access_token="old-token")

    def refresh(self, _: str, __: str | None, stale: Any, /) -> OAuthCredentials:
        """Return a new token."""
        assert "old-token" == stale.access_token.reveal()
        self.refreshed += 1
        return OAuthCredentials(access_token="new-token")


class AsyncExpiredTokenProvider(ExpiredTokenProvider):
    """An asynchronous credential provider whose first token has expired."""

    async def get(self, service: str, tenant: str | None, /) -> OAuthCredentials:  # type: ignore[override]  # awaited
        """Return the token that has expired."""
        return super().get(service, tenant)

    async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> OAuthCredentials:  # type: ignore[override]  # awaited
        """Return a new token."""
        return super().refresh(service, tenant, stale)


@MODES
@pytest.mark.parametrize("capabilities", ["AUTH=XOAUTH2 SASL-IR", "AUTH=XOAUTH2"])
def test_token_is_renewed(capabilities: str, *, is_async: bool) -> None:
    """A token that the server refuses is renewed once, and the renewed token is used."""
    response = b64encode(b"user=ada\1auth=Bearer new-token\1\1").decode()

    def answer(line: str) -> bytes | None:
        if line == "AUTHENTICATE XOAUTH2":
            return b"+ \r\n"
        if response in line:
            return b"TAG OK\r\n"
        if line == "":
            return b"TAG NO [AUTHENTICATIONFAILED] refused\r\n"
        return b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n" if "dXNlcj1" in line else None

    with ScriptedImap(answer, capabilities=capabilities) as server:
        provider = AsyncExpiredTokenProvider() if is_async else ExpiredTokenProvider()
        settings = server.settings(password=None)
        with Mailbox(settings, is_async=is_async, provider=provider) as mailbox:
            assert 7 == mailbox.perform(mailbox.connector.search()).validity

    assert 1 == provider.refreshed


class FixedCredentialProvider:
    """A credential provider that always returns the same credentials, or None."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    def get(self, _: str, __: str | None, /) -> Credentials | None:
        """Return the credentials."""
        return self._credentials

    def refresh(self, _: str, __: str | None, ___: Any, /) -> Credentials | None:
        """Return the same credentials."""
        return self._credentials


def test_password_that_cannot_be_renewed() -> None:
    """If the server refuses the password, and the provider has no new one, the call fails."""
    refuse = b"TAG NO no\r\n"
    with ScriptedImap(lambda line: refuse if "AUTHENTICATE" in line else None) as server:
        provider = FixedCredentialProvider(Credentials.basic("bob", "guess-0815"))
        with Mailbox(server.settings(password=None), provider=provider) as mailbox:
            mailbox.error(mailbox.connector.search(), AuthenticationFailed)
        response = b64encode(b"\0bob\0guess-0815").decode()
        assert [f"AUTHENTICATE PLAIN {response}"] == [
            line for line in server.lines if "AUTHENTICATE" in line
        ]


def test_connector_without_credentials_does_not_log_in() -> None:
    """If the provider has no credentials, the connector does not log in."""
    with (
        ScriptedImap(lambda _: None) as server,
        Mailbox(server.settings(password=None), provider=FixedCredentialProvider(None)) as mailbox,
    ):
        mailbox.perform(mailbox.connector.search())

    assert not [line for line in server.lines if line.startswith(("AUTH", "LOGIN"))]


@pytest.mark.parametrize(
    "capabilities, line",
    [("", 'LOGIN "ada" "correct-horse-4711"'), ("LOGINDISABLED", None)],
)
def test_connector_sends_the_password_by_login_without_sasl(
    capabilities: str, line: str | None
) -> None:
    """Without SASL, the connector sends the password by LOGIN, unless the server forbids LOGIN."""
    with ScriptedImap(lambda _: None, capabilities=capabilities) as server:
        with Mailbox(server.settings()) as mailbox:
            if line is None:
                error = mailbox.error(mailbox.connector.search(), AuthenticationFailed)
                assert "encrypted" in error.message
            else:
                mailbox.perform(mailbox.connector.search())
        logins = [item for item in server.lines if item.startswith("LOGIN")]

    assert [line] * (line is not None) == logins


@pytest.mark.parametrize(
    "greeting, start_tls, message",
    [
        (b"* PREAUTH hello\r\n", False, None),
        (b"* PREAUTH hello\r\n", True, "TLS"),
        (b"* BYE too busy\r\n", False, "closed the connection"),
        (b"SSH-2.0-OpenSSH\r\n", False, "is not an IMAP reply"),
        (b"* OK ready\r\n", True, "TLS"),
    ],
)
def test_greeting_that_refuses_the_client_raises_an_error(
    greeting: bytes, message: str | None, *, start_tls: bool
) -> None:
    """A greeting that refuses the client, or claims a login before STARTTLS, raises an error."""

    def answer(line: str) -> bytes | None:
        return b"TAG OK\r\n* OK injected\r\n" if line == "STARTTLS" else None

    with (
        ScriptedImap(answer, greeting=greeting) as server,
        Mailbox(server.settings(start_tls=start_tls)) as mailbox,
    ):
        search = mailbox.connector.search()
        if message is None:
            mailbox.perform(search)
        else:
            assert message in mailbox.error(search, ConnectorError).message


def test_move_copies_and_deletes_without_the_extension() -> None:
    """Without MOVE, a move copies and deletes the message; without UIDPLUS too, it is refused."""
    with ScriptedImap(lambda _: None, capabilities="UIDPLUS") as server:
        with Mailbox(server.settings()) as mailbox:
            mailbox.perform(mailbox.connector.move([1, 2, 5], "Done"))
        moves = server.lines[-3:]
    with ScriptedImap(lambda _: None) as server, Mailbox(server.settings()) as mailbox:
        mailbox.error(mailbox.connector.move([1], "Done"), UnsupportedByVendor)

    assert [
        'UID COPY 1:2,5 "Done"',
        "UID STORE 1:2,5 +FLAGS.SILENT (\\Deleted)",
        "UID EXPUNGE 1:2,5",
    ] == moves


REPLIES: dict[str, tuple[bytes, type[ConnectorError]]] = {
    "NO": (b"TAG NO no\r\n", VendorRejected),
    "BAD": (b"TAG BAD what\r\n", moorage.InvalidRequest),
    "unavailable": (b"TAG NO [UNAVAILABLE] later\r\n", ConnectionFailed),
    "forbidden": (b"TAG NO [NOPERM] no\r\n", AuthenticationFailed),
    "limit": (b"TAG NO [LIMIT] no\r\n", moorage.RateLimitExceeded),
    "goodbye": (b"* BYE shutting down\r\n", ConnectionFailed),
    "no number": (b"* SEARCH one\r\nTAG OK\r\n", VendorFailed),
    "a list": (b"* SEARCH (1)\r\nTAG OK\r\n", VendorFailed),
    "open list": (b"* SEARCH (((\r\nTAG OK\r\n", VendorFailed),
    "closed list": (b"* SEARCH )\r\nTAG OK\r\n", VendorFailed),
    "deep list": (b"* " + b"(" * 99 + b")" * 99 + b"\r\nTAG OK\r\n", VendorFailed),
    "huge literal": (b"* SEARCH {4000000000}\r\n", VendorFailed),
    "open quotation": (b'* SEARCH "a\r\nTAG OK\r\n', VendorFailed),
    "other tag": (b"m99 1 EXISTS\r\n", VendorFailed),
    "many literals": (b"* X" + b" {60}\r\n" + b"x" * 60 + b" {199970}\r\n", VendorFailed),
    "wide line": (b"* " + b"x" * 300_000 + b"\r\n", VendorFailed),
    "long line": (b"x" * 1_100_000, VendorFailed),
}


@pytest.mark.parametrize("name", REPLIES)
def test_refusals_and_malformed_replies_become_errors(name: str) -> None:
    """Each error response and each malformed reply of an IMAP server raises a moorage error."""
    reply, kind = REPLIES[name]
    with (
        ScriptedImap(lambda line: reply if "SEARCH" in line else None) as server,
        Mailbox(server.settings(largest=100_000)) as mailbox,
    ):
        mailbox.error(mailbox.connector.search(), kind)


def test_lost_reply_to_a_change() -> None:
    """After a malformed reply to a change, the error states that the change may have happened."""
    with (
        ScriptedImap(lambda line: b"* )\r\n" if "STORE" in line else None) as server,
        Mailbox(server.settings()) as mailbox,
    ):
        error = mailbox.error(mailbox.connector.flag([1], add=["x"]), ConnectionFailed)

    assert error.may_have_been_processed


@pytest.mark.parametrize(
    "reply, kind",
    [
        (b"TAG NO no\r\n", VendorRejected),
        (b"TAG NO [NONEXISTENT] no\r\n", VendorRejected),
        (b"TAG OK\r\n", UnsupportedByVendor),
    ],
)
def test_folders_that_cannot_be_opened(reply: bytes, kind: type[ConnectorError]) -> None:
    """The connector refuses to select a missing folder, or a folder without stable uids."""
    with (
        ScriptedImap(lambda line: reply if "SELECT" in line else None) as server,
        Mailbox(server.settings()) as mailbox,
    ):
        mailbox.error(mailbox.connector.search(), kind)


def test_uids_of_earlier_uidvalidity_are_refused() -> None:
    """Uids from before the folder's UIDVALIDITY changed are refused, and nothing is changed."""
    with ScriptedImap(lambda _: None) as server, Mailbox(server.settings()) as mailbox:
        error = mailbox.error(mailbox.connector.flag([1], validity=6, add=["x"]), ChangesExpired)

    assert not [line for line in server.lines if "STORE" in line]
    assert "renumbered" in error.message


FETCHES: dict[str, tuple[bytes, type[ConnectorError] | None]] = {
    "another uid": (b"* 1 FETCH (UID 2 BODY[] {1}\r\nx)\r\nTAG OK\r\n", VendorFailed),
    "odd": (b"* 1 FETCH (UID 1 BODY[])\r\nTAG OK\r\n", VendorFailed),
    "no list": (b"* 1 FETCH x\r\nTAG OK\r\n", VendorFailed),
    "no date": (b'* 1 FETCH (UID 1 INTERNALDATE "today" BODY[] "x")\r\nTAG OK\r\n', None),
    "wrong date": (
        b'* 1 FETCH (UID 1 INTERNALDATE "31-Feb-2024 00:00:00 +0000" BODY[] "x")\r\nTAG OK\r\n',
        None,
    ),
}


@pytest.mark.parametrize("name", FETCHES)
def test_reply_with_different_uid_is_refused(name: str) -> None:
    """A reply about another uid is refused; a message without a valid date gets no date."""
    reply, kind = FETCHES[name]

    def answer(line: str) -> bytes | None:
        if "RFC822.SIZE" in line:
            return b"* 1 FETCH (FLAGS ())\r\n* 1 FETCH (RFC822.SIZE 1 UID 1)\r\nTAG OK\r\n"
        return reply if "FETCH" in line else None

    with ScriptedImap(answer) as server, Mailbox(server.settings()) as mailbox:
        operation = mailbox.connector.fetch([1])
        if kind is not None:
            mailbox.error(operation, kind)
        else:
            (message,) = mailbox.perform(operation)
            assert (b"x", None) == (message.content, message.at)


@MODES
def test_idle_connection_on_which_server_sent_bye_or_garbage_is_replaced_before_reuse(
    *, is_async: bool
) -> None:
    """An idle connection that received BYE or garbage from the server is replaced before reuse."""
    last_replies = iter([b"TAG OK\r\n* 3 EXISTS\r\n", b"TAG OK\r\n* BYE\r\n", b"TAG OK\r\n* )\r\n"])
    with (
        ScriptedImap(lambda line: next(last_replies, None) if "SEARCH" in line else None) as server,
        Mailbox(server.settings(), is_async=is_async) as mailbox,
    ):
        for _ in range(4):
            mailbox.perform(mailbox.connector.search())
        created = mailbox.connector.statistics().created

    assert 3 == created


@MODES
def test_server_that_is_down_fails_opening_and_health(
    server: PrivateDovecot, *, is_async: bool
) -> None:
    """If the server is down, `open` raises an error, and `health` returns the problem."""
    with Mailbox(server.settings("health"), is_async=is_async) as mailbox:
        mailbox.run(lambda: mailbox.connector.open(60.0))
        assert mailbox.run(lambda: mailbox.connector.health(60.0)).is_healthy
    settings = server.settings("health", url="imap://127.0.0.1:1")
    with Mailbox(settings, is_async=is_async) as absent:
        assert not absent.run(lambda: absent.connector.health(60.0)).is_healthy
        with pytest.raises(ConnectionFailed, match="Nothing accepts"):
            absent.run(lambda: absent.connector.open(60.0))


@pytest.mark.parametrize("greeting", [b"", b"* OK ready\r\n"])
def test_cancelled_opening_leaves_no_connection(greeting: bytes) -> None:
    """If `open` is cancelled, the connector leaves no connection open."""

    async def cancel() -> bool:
        accepted, closed = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(greeting)
            if greeting:
                await reader.readline()
            accepted.set()
            await reader.read()
            writer.close()
            closed.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            url = f"imap://127.0.0.1:{port}"
            settings = Imap(url=url, user="ada", password=PASSWORD, start_tls=False)
            async with AsyncImapConnector(settings) as connector:
                opening = asyncio.ensure_future(connector.open(60.0))
                await accepted.wait()
                opening.cancel()
                await asyncio.wait([opening])
                async with asyncio.timeout(120):
                    await closed.wait()
                return opening.cancelled() and connector.statistics().size == 0

    assert asyncio.run(cancel()) is True


@MODES
@pytest.mark.parametrize("refused", ["STORE", "EXPUNGE"])
@pytest.mark.parametrize("code", ["[INUSE]", "[NOPERM]", ""])
def test_error_of_an_incomplete_move_states_that_messages_were_copied(
    is_async: bool, refused: str, code: str
) -> None:
    """If a move copied messages but did not delete them, the error states that they were copied."""

    def answer(line: str) -> bytes | None:
        return f"TAG NO {code} refused\r\n".encode() if f"UID {refused}" in line else None

    with ScriptedImap(answer, capabilities="UIDPLUS") as server:
        with Mailbox(server.settings(), is_async=is_async) as mailbox:
            error = mailbox.error(mailbox.connector.move([1], "Done"), ConnectorError)
        copies = [line for line in server.lines if "COPY" in line]

    assert may_have_acted(error)
    assert "copied to the other folder" in f"{error.message} {error.__cause__}"
    assert copies == ['UID COPY 1 "Done"']
