"""The conformance kit of connectors passes a correct connector, and finds planted faults."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import AuthenticationFailed, ConnectionFailed
from moorage.testing import TcpProxy, name_of, waiting_at_most
from moorage.testing import connector_conformance as kit
from moorage.testing.kits import _connector_checks as checks
from moorage.testing.kits import _connector_network_checks as network
from moorage.testing.kits._connector_harness import Harness
from tests.support.ports import free_port
from tests.testing.ledger import (
    PASSWORD,
    AsyncLedger,
    Ledger,
    LedgerServer,
)
from tests.testing.mistaken_connectors import (
    AlwaysHealthyConnector,
    AlwaysSureConnector,
    BreaksWhenClosedConnector,
    CallsAllTheSameConnector,
    ClaimsSafetyConnector,
    CountsBackwardsConnector,
    ForgetsUsesConnector,
    GoesOnAfterCloseConnector,
    HangsWhenCutConnector,
    KeepsLinksConnector,
    KeepsPasswordInFramesConnector,
    LateConnector,
    LeaksBytesConnector,
    LeaksDescriptorsConnector,
    LeaksObjectsConnector,
    LeaksTasksConnector,
    LeaksThreadsConnector,
    LoyalToItsLinkConnector,
    MixesAnswersConnector,
    MixesAnswersWhenClosedConnector,
    NamelessConnector,
    NeedsManyResponsesConnector,
    NeverSureConnector,
    OpensEachTimeConnector,
    OpensOnceConnector,
    OverspendsPoolConnector,
    RaisesForeignErrorsConnector,
    RaisesHealthConnector,
    RaisesPasswordConnector,
    RepeatsWritesConnector,
    ReusesCancelledLinksConnector,
    SharesWithChildrenConnector,
    ShowsPasswordConnector,
    SickConnector,
    SilentHealthConnector,
    SwallowsCancellationConnector,
    TakesAnyArgumentConnector,
    UnsureWhenClosedConnector,
    WithoutHealthConnector,
    WritesTwiceConnector,
    WrongHealthConnector,
    leaked,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture(name="server")
def _server() -> Generator[LedgerServer]:
    with LedgerServer() as server:
        yield server


@pytest.fixture(name="proxy")
def _proxy(server: LedgerServer) -> Generator[TcpProxy]:
    with TcpProxy(*server.address) as proxy:
        yield proxy


def subject_of(
    server: LedgerServer, proxy: TcpProxy | None, kind: type[Ledger], **settings: Any
) -> kit.ConnectorSubject:
    """Return the description that the conformance kit needs of a connector of the given class."""
    address = server.address if proxy is None else proxy.address
    nobody = ("127.0.0.1", free_port())
    subject = kit.ConnectorSubject(
        make=lambda _: kind(address),
        read=lambda connector, text: connector.line(connector, "echo", text),
        echoes=True,
        write=lambda connector, text: connector.line(connector, "add", text),
        count=server.count,
        network=proxy,
        refusals={
            "wrong password": kit.Refusal(
                make=lambda _: kind(server.address, "guess-4711"),
                error=AuthenticationFailed,
                because="password",
            ),
            "nobody listens": kit.Refusal(make=lambda _: kind(nobody), error=ConnectionFailed),
        },
        secret=PASSWORD,
        timeout=0.3,
        operations=300,
    )
    return attrs.evolve(subject, **settings)


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.CHECKS + kit.NETWORK_CHECKS + kit.FORK_CHECKS, ids=name_of)
def test_right_connector_passes(check: kit.Check, server: LedgerServer, proxy: TcpProxy) -> None:
    """A correct synchronous connector with a connection pool passes all checks."""
    check(subject_of(server, proxy, Ledger))


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS + kit.ASYNC_NETWORK_CHECKS, ids=name_of)
def test_right_asynchronous_connector_passes(
    check: kit.AsyncCheck, server: LedgerServer, proxy: TcpProxy
) -> None:
    """A correct asynchronous connector with a connection pool passes all checks."""
    asyncio.run(check(subject_of(server, proxy, AsyncLedger)))


class _ReadOnly(Ledger):
    """A connector without named operations and without pool statistics."""

    @property
    def operations(self) -> Any:
        """Return no operations."""
        return {}

    def statistics(self) -> None:
        """Return no statistics."""
        return


@pytest.mark.parametrize("check", kit.CHECKS + kit.NETWORK_CHECKS + kit.FORK_CHECKS, ids=name_of)
def test_connector_that_only_reads_passes(
    check: kit.Check, server: LedgerServer, proxy: TcpProxy
) -> None:
    """A connector without writes, statistics, secrets and named operations passes the kit."""
    only_reads: dict[str, Any] = {
        "write": None,
        "count": None,
        "secret": None,
        "refusals": {},
        "echoes": False,
    }
    check(subject_of(server, proxy, _ReadOnly, **only_reads))


class _TakesOptionalArgument(Ledger):
    """A connector whose only operation has no required arguments."""

    @property
    def operations(self) -> Any:
        """Return an operation that adds a text, and whose argument is optional."""
        (named_operation,) = super().operations.values()
        return {"add": attrs.evolve(named_operation, required=frozenset())}


def test_operation_without_required_arguments_passes(server: LedgerServer) -> None:
    """If an operation requires no arguments, the kit lets it accept a call without arguments."""
    harness = Harness(subject_of(server, None, _TakesOptionalArgument), is_async=False)
    asyncio.run(checks.description_connects_nowhere(harness))


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_connector_without_a_network_passes(check: kit.Check, server: LedgerServer) -> None:
    """The checks that need no network pass if the kit is given no network."""
    check(subject_of(server, None, Ledger))


def test_network_checks_demand_a_network(server: LedgerServer) -> None:
    """The checks that need a network fail if the kit gets no network."""
    with pytest.raises(AssertionError, match="has no network"):
        kit.NETWORK_CHECKS[0](subject_of(server, None, Ledger))


# The mistakes: each is a connector that is correct except for one habit.


PLAIN: list[tuple[type[Ledger], Any, str]] = [
    (WritesTwiceConnector, checks.operations_have_their_results, "had 2 effects"),
    (ClaimsSafetyConnector, checks.operations_have_their_results, "calls itself safe"),
    (MixesAnswersConnector, checks.operations_have_their_results, "returned 'another answer'"),
    (OpensOnceConnector, checks.opening_is_optional_and_repeatable, "open already"),
    (NamelessConnector, checks.description_connects_nowhere, "has no name"),
    (ShowsPasswordConnector, checks.description_connects_nowhere, "The secret is shown"),
    (
        TakesAnyArgumentConnector,
        checks.description_connects_nowhere,
        "arguments that it does not declare",
    ),
    (
        OverspendsPoolConnector,
        checks.callers_share_the_connector,
        "more connections than its maximum",
    ),
    (CountsBackwardsConnector, checks.callers_share_the_connector, "is negative"),
    (ForgetsUsesConnector, checks.callers_share_the_connector, "the statistics count"),
    (SickConnector, checks.health_is_good, "is unavailable"),
    (WrongHealthConnector, checks.health_is_good, "is that of another"),
    (KeepsLinksConnector, checks.operations_leave_nothing_behind, "more file descriptors"),
    (LeaksThreadsConnector, checks.operations_leave_nothing_behind, "more threads"),
    (LeaksObjectsConnector, checks.operations_leave_nothing_behind, "more objects in memory"),
    (LeaksBytesConnector, checks.operations_leave_nothing_behind, "more bytes in memory"),
    (OpensEachTimeConnector, checks.operations_leave_nothing_behind, "were opened for one caller"),
    (LeaksDescriptorsConnector, checks.operations_leave_nothing_behind, "after closing"),
    (GoesOnAfterCloseConnector, checks.closing_ends_the_connector, "instead of raising an error"),
    (
        UnsureWhenClosedConnector,
        checks.closing_ends_the_connector,
        "The error of a closed connector says that the operation may have had an effect",
    ),
    (BreaksWhenClosedConnector, checks.closing_ends_operations, "raised ValueError"),
    (
        MixesAnswersWhenClosedConnector,
        checks.closing_ends_operations,
        "returned 'another answer'",
    ),
    (CallsAllTheSameConnector, checks.wrong_settings_are_named, "not AuthenticationFailed"),
    (AlwaysHealthyConnector, checks.wrong_settings_are_named, "reported as healthy"),
    (SilentHealthConnector, checks.wrong_settings_are_named, "does not contain the problem"),
    (RaisesHealthConnector, network.health_says_what_is_wrong, "instead of returning a value"),
    (
        AlwaysHealthyConnector,
        network.health_says_what_is_wrong,
        "reported as healthy while its server is unreachable",
    ),
    (SilentHealthConnector, network.health_says_what_is_wrong, "does not contain the problem"),
    (
        SickConnector,
        network.health_says_what_is_wrong,
        "The server works again, but the connector's health is",
    ),
    (RaisesPasswordConnector, network.refused_connection_did_nothing, "The secret is shown"),
    (KeepsPasswordInFramesConnector, network.refused_connection_did_nothing, "The secret is shown"),
    (RaisesForeignErrorsConnector, network.refused_connection_did_nothing, "raised OSError"),
    (NeverSureConnector, network.refused_connection_did_nothing, "leaves the outcome open"),
    (RaisesForeignErrorsConnector, network.connection_cut_at_each_point, "raised OSError"),
    (AlwaysSureConnector, network.connection_cut_at_each_point, "says that it did not"),
    (RepeatsWritesConnector, network.connection_cut_at_each_point, "says that it did not"),
    (WritesTwiceConnector, network.connection_cut_at_each_point, "had 2 effects"),
    (
        NeedsManyResponsesConnector,
        network.connection_cut_at_each_point,
        "still fails after 40 responses",
    ),
    (AlwaysSureConnector, network.unanswered_write_is_unknown, "says that it did not"),
    (LateConnector, network.silent_server_ends_at_the_deadline, "after its deadline"),
    (LateConnector, network.silent_host_ends_at_the_deadline, "after its deadline"),
    (LoyalToItsLinkConnector, network.restarted_server_is_used_again, "operations still fail"),
]
AWAITED: list[tuple[type[Ledger], Any, str]] = [
    (LeaksTasksConnector, checks.operations_leave_nothing_behind, "more tasks"),
    (SwallowsCancellationConnector, network.cancelled_operation_leaves_no_trace, "ended otherwise"),
    (ReusesCancelledLinksConnector, network.cancelled_operation_leaves_no_trace, "A read for"),
]


@pytest.mark.parametrize(
    "mistake, check, complaint",
    [*PLAIN, *AWAITED],
    ids=[f"{mistake.__name__}-{check.__name__}" for mistake, check, _ in [*PLAIN, *AWAITED]],
)
def test_planted_mistake_is_noticed(
    server: LedgerServer, proxy: TcpProxy, mistake: type[Ledger], check: Any, complaint: str
) -> None:
    """Each planted fault fails its check, with a message that describes the fault."""
    subject = subject_of(server, proxy, mistake, operations=50)
    harness = Harness(subject, is_async=issubclass(mistake, AsyncLedger))
    try:
        with (
            waiting_at_most(1.0 if check is checks.operations_leave_nothing_behind else 20.0),
            pytest.raises((AssertionError, RuntimeError), match=complaint),
        ):
            asyncio.run(check(harness))
    finally:
        while leaked:
            os.close(leaked.pop())


def test_operation_that_hangs_is_noticed(server: LedgerServer, proxy: TcpProxy) -> None:
    """If an operation never ends after its connection was cut, the check fails."""
    harness = Harness(subject_of(server, proxy, HangsWhenCutConnector), is_async=False)
    try:
        with (
            waiting_at_most(0.1),
            pytest.raises(AssertionError, match="A cut connection hangs"),
        ):
            asyncio.run(network.connection_cut_at_each_point(harness))
    finally:
        HangsWhenCutConnector.over.set()


def test_health_that_never_comes_is_noticed(server: LedgerServer) -> None:
    """If a connector never returns its health, the check fails."""
    harness = Harness(subject_of(server, None, WithoutHealthConnector), is_async=True)
    with waiting_at_most(0.1), pytest.raises(AssertionError, match="did not return"):
        asyncio.run(checks.health_is_good(harness))


def test_connection_shared_with_a_child_is_noticed(server: LedgerServer) -> None:
    """If a forked process has connections of its parent, the check fails."""
    subject = subject_of(server, None, SharesWithChildrenConnector)
    with pytest.raises(AssertionError, match="connections of its parent"):
        kit.FORK_CHECKS[0](subject)


def test_child_that_hangs_is_noticed(server: LedgerServer) -> None:
    """A forked process that does not end is killed, and the check fails."""
    with waiting_at_most(0.1):
        problem = checks.in_child(partial(run_forever))
    assert "it did not end." == problem
    assert "broken" == checks.in_child(partial(raise_error))


def run_forever() -> None:  # pragma: no cover - runs in a forked child
    """Run for ever."""
    while True:
        pass


def raise_error() -> None:  # pragma: no cover - runs in a forked child
    """Raise an exception."""
    raise ValueError("broken")


def callable_names(group: tuple[Callable[..., Any], ...]) -> set[str]:
    """Return the names of a group's checks."""
    return {name_of(check) for check in group}


def test_each_check_catches_a_mistake() -> None:
    """Each check fails for at least one planted fault."""
    failed_checks = {name_of(check) for _, check, _ in [*PLAIN, *AWAITED]}
    all_checks = callable_names(kit.CHECKS) | callable_names(kit.ASYNC_NETWORK_CHECKS)

    assert {"closing_ends_a_silent_operation"} == all_checks - failed_checks
