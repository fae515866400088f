"""Failures of MongoDB: lost servers, error codes, TLS and full pools."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from bson.datetime_ms import DatetimeMS

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    InvalidRequest,
    LocalFailure,
    OutcomeUnknown,
    PoolExhausted,
    RetryPolicy,
    Service,
    Tls,
    TransactionConflict,
    VendorFailed,
)
from moorage.domain.connectors.mongodb_writes import MongoInsert
from moorage.testing import TcpProxy
from moorage.testing.fakes.http_tls import certificate_files
from tests.adapters.mongodb.mongodb_harness import Harness
from tests.support.mongodb_secondary import secondary
from tests.support.mongodb_servers import PrivateMongo

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

THREE_ATTEMPTS = Service("erp", timeout=20.0, retry=RetryPolicy(max_attempts=3), circuit=None)


@contextmanager
def failing_commands(server: PrivateMongo, commands: list[str], times: int = 1, **data: Any) -> Any:
    """Make these commands fail at the server during the block."""
    with server.client() as client:
        mode = {"times": times}
        point = {"data": {"failCommands": commands, **data}, "mode": mode}
        client.admin.command({"configureFailPoint": "failCommand", **point})
        try:
            yield
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@pytest.fixture(name="private")
def _private_server() -> Generator[PrivateMongo]:
    with PrivateMongo() as server:
        yield server


@pytest.mark.parametrize(
    "code, kind",
    [
        (13, AuthenticationFailed),
        (8, VendorFailed),
        (91, ConnectionFailed),
        (10107, ConnectionFailed),
        (50, AttemptTimeout),
        (20, InvalidRequest),
    ],
)
def test_each_error_code_raises_the_matching_moorage_error(
    harness: Harness, server: PrivateMongo, code: int, kind: type[ConnectorError]
) -> None:
    """Each MongoDB error code raises the matching moorage error."""
    harness.do("insert_one", "orders", {})
    with failing_commands(server, ["update"], errorCode=code), pytest.raises(kind):
        harness.do("update_one", "orders", {}, {"$set": {"a": 1}})


def test_write_that_too_few_servers_confirmed_may_have_been_processed(
    harness: Harness, server: PrivateMongo
) -> None:
    """If too few servers confirm a write, the error states that it may have been processed."""
    for code, kind in ((100, ConnectionFailed), (64, AttemptTimeout)):
        concern = {"code": code, "errmsg": "waiting", "errInfo": {"wtimeout": code == 64}}
        operations = [
            harness.connector.insert_one("orders", {}),
            harness.connector.bulk_write("orders", [MongoInsert({})]),
        ]
        for operation in operations:
            with (
                failing_commands(server, ["insert"], writeConcernError=concern),
                pytest.raises(kind) as excinfo,
            ):
                harness.perform(operation)
            assert excinfo.value.may_have_been_processed


def test_write_whose_reply_is_lost_is_not_retried(
    harnesses: Callable[..., Harness], server: PrivateMongo
) -> None:
    """A write whose reply is lost is not retried.

    If the write has an idempotency key, it raises OutcomeUnknown.
    """
    harness = harnesses(server.url(database=Harness.new_name()), service=THREE_ATTEMPTS)
    harness.do("insert_one", "orders", {"_id": 0})
    insert = harness.connector.insert_one("orders", {"_id": 1})
    with (
        failing_commands(server, ["insert"], closeConnection=True),
        pytest.raises((OutcomeUnknown, ConnectionFailed)),
    ):
        harness.perform(insert, idempotency_key="k")
    with pytest.raises(OutcomeUnknown):
        harness.perform(insert, idempotency_key="k")


def test_read_whose_connection_breaks_is_retried(
    harnesses: Callable[..., Harness], server: PrivateMongo
) -> None:
    """A read whose connection breaks is retried."""
    harness = harnesses(server.url(database=Harness.new_name()), service=THREE_ATTEMPTS)
    harness.do("insert_one", "orders", {"_id": 0})
    with failing_commands(server, ["find"], times=2, closeConnection=True):
        assert {"_id": 0} == harness.do("find_one", "orders", {})


def test_transaction_may_be_committed_only_if_its_commit_reply_was_lost(
    harness: Harness, server: PrivateMongo
) -> None:
    """A transaction may be committed only if the reply to its commit was lost."""
    harness.do("insert_one", "orders", {"_id": 0})
    insert = harness.connector.insert_one("orders", {"_id": 1})
    with (
        failing_commands(server, ["commitTransaction"], times=10**6, closeConnection=True),
        pytest.raises((ConnectionFailed, DeadlineExceeded, OutcomeUnknown)) as excinfo,
    ):
        harness.transact(insert, timeout=1.0)
    assert getattr(excinfo.value, "may_have_been_processed", True)
    with (
        failing_commands(server, ["insert"], closeConnection=True),
        pytest.raises((ConnectionFailed, TransactionConflict)) as early_excinfo,
    ):
        harness.transact(harness.connector.insert_one("orders", {"_id": 2}))
    assert not early_excinfo.value.may_have_been_processed


def test_certificates_are_verified(harnesses: Callable[..., Harness], tmp_path: Path) -> None:
    """If a MongoDB server's certificate is not from the given authority, nothing is sent."""
    certificate, key = certificate_files(tmp_path, "127.0.0.1")
    pem_path = tmp_path / "both.pem"
    pem_path.write_bytes(certificate.read_bytes() + key.read_bytes())
    options = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with PrivateMongo(*options) as server:
        trusting = Tls(authorities=str(certificate), certificate=str(pem_path))
        harness = harnesses(server.url(), tls=trusting)
        harness.do("insert_one", "orders", {})
        with pytest.raises(ConnectionFailed, match="TLS failed") as excinfo:
            harnesses(server.url(), tls=Tls(), connect_timeout=4.0).do("count", "orders", {})
        assert not excinfo.value.retryable
        harness.run(harness.connector.close())


def test_caller_that_gets_no_connection_in_time_fails(
    harnesses: Callable[..., Harness], server: PrivateMongo
) -> None:
    """A caller that gets no connection before its timeout fails, and nothing was sent."""
    with TcpProxy("127.0.0.1", server.port) as proxy:
        harness = harnesses(server.url(proxy.address[1]), connections=1)
        count = harness.connector.count("orders", {})
        harness.perform(count)
        proxy.withhold_responses()
        kinds = (PoolExhausted, DeadlineExceeded, ConnectionFailed)

        def failure_of(timeout: float) -> ConnectorError:
            try:
                harness.manager.perform("erp", count, timeout=timeout)
            except kinds as error:
                return error
            raise AssertionError

        async def failures() -> list[Any]:
            calls = [
                harness.manager.perform("erp", count, timeout=timeout) for timeout in (2.0, 0.5)
            ]
            return await asyncio.gather(*calls, return_exceptions=True)

        if harness.is_async:
            errors = harness.run(failures())
        else:
            with ThreadPoolExecutor(2) as threads:
                errors = list(threads.map(failure_of, (2.0, 0.5)))
        assert all(isinstance(error, kinds) for error in errors)
        assert 0 == harness.connector.statistics().waiting
        proxy.restore()


def test_a_restarted_server_is_used_again(
    harnesses: Callable[..., Harness], private: PrivateMongo
) -> None:
    """While MongoDB is down nothing is sent; after its restart the connector works again."""
    harness = harnesses(private.url())
    harness.do("insert_one", "orders", {})
    private.kill()
    with pytest.raises(ConnectionFailed):
        harness.do("find_one", "orders", {})
    with pytest.raises(ConnectionFailed) as excinfo:
        harness.do("insert_one", "orders", {})
    assert not excinfo.value.may_have_been_processed
    assert "Nothing accepts" in excinfo.value.message
    private.start()
    assert harness.run(harness.connector.health(20.0)).is_healthy


def test_a_stream_of_changes_breaks_with_its_server(
    harnesses: Callable[..., Harness], private: PrivateMongo
) -> None:
    """A change stream raises when its server is lost; a new stream continues from its token."""
    harness = harnesses(private.url())
    harness.do("insert_one", "orders", {"_id": 0})
    stream = harness.do("watch", "orders", wait=0.05)
    harness.do("insert_one", "orders", {"_id": 1})
    change = harness.run(stream.next_in_time())
    assert 1 == change.id
    private.kill()
    with pytest.raises(ConnectionFailed):
        harness.run(stream.next_in_time())
    assert change.token == stream.token
    harness.run(stream.close())


def test_a_closed_connector_ends_a_transaction(harness: Harness) -> None:
    """A closed MongoDB connector refuses operations, even inside an open transaction."""
    count = harness.connector.count("orders", {})

    def run_transaction(transaction: Any) -> None:
        harness.connector.close()
        transaction.perform(count)

    async def work_async(transaction: Any) -> None:
        await harness.connector.close()
        await transaction.perform(count)

    with pytest.raises(LocalFailure, match="closed"):
        harness.do(
            "transaction", work_async if harness.is_async else run_transaction, name="orders.late"
        )


@pytest.mark.parametrize("preference", ["secondaryPreferred", "nearest"])
def test_secondary_is_read_while_there_is_no_primary(
    harnesses: Callable[..., Harness], preference: str
) -> None:
    """With a read preference for secondaries, reads go on without a primary, and writes fail."""
    with secondary({"a": 1}) as address:
        options = f"replicaSet=rs&readPreference={preference}"
        harness = harnesses(f"mongodb://{address}/erp?{options}", connect_timeout=0.5)

        assert ({"a": 1},) == harness.do("find", "orders", {})
        with pytest.raises(ConnectionFailed) as lost:
            harness.do("insert_one", "orders", {"a": 1})
        assert not lost.value.may_have_been_processed


def test_date_that_python_does_not_have_is_a_failure_of_the_server(
    harnesses: Callable[..., Harness],
) -> None:
    """A stored date after the year 9999 raises VendorFailed, and an option makes it readable."""
    with secondary({"at": DatetimeMS(2**62)}) as address:
        url = f"mongodb://{address}/erp?directConnection=true"
        with pytest.raises(VendorFailed, match="DATETIME_AUTO") as unread:
            harnesses(url).do("find", "orders", {})
        harness = harnesses(url, options={"datetime_conversion": "DATETIME_AUTO"})

        assert ({"at": DatetimeMS(2**62)},) == harness.do("find", "orders", {})
    assert not unread.value.retryable


@pytest.mark.parametrize("name", ["", "a..b", "$orders"])
def test_collection_name_that_is_not_valid_is_an_invalid_request(
    harness: Harness, name: str
) -> None:
    """An operation on a collection whose name MongoDB does not accept was not sent."""
    with pytest.raises(InvalidRequest, match="name of the collection") as refused:
        harness.do("insert_one", name, {})
    assert not refused.value.may_have_been_processed
