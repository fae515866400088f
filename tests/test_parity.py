"""Each sync class and its async variant have the same names, parameters and docstrings."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import moorage
from moorage import (
    AsyncConnectorManager,
    AsyncOAuthTokenRefresher,
    AsyncOutbox,
    AsyncSubjects,
    AsyncWebhookInbox,
    ConnectorManager,
    OAuthTokenRefresher,
    Outbox,
    Subjects,
    WebhookInbox,
    adapters,
    ports,
)
from moorage.hub.streams import AsyncStreamedAnswer, StreamedAnswer
from moorage.parts.guard import Entry
from moorage.parts.retry_handler import AsyncAttempts, Attempts

ASYNC_NAMES = {
    "__iter__": "__aiter__",
    "__next__": "__anext__",
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
}


def ports_in_pairs() -> Iterator[tuple[type, type]]:
    """Return each synchronous port with its asynchronous variant."""
    for result in pkgutil.iter_modules(ports.__path__):
        module = importlib.import_module(f"{ports.__name__}.{result.name}")
        for name, async_port in vars(module).items():
            if name.startswith("Async"):
                yield getattr(module, name.removeprefix("Async")), async_port


def providers_in_pairs() -> Iterator[tuple[type, type]]:
    """Return each synchronous credential provider with its asynchronous variant."""
    for match in pkgutil.iter_modules(adapters.__path__):
        if match.name.startswith("_") or not match.name.endswith("_credentials"):
            continue
        module = importlib.import_module(f"{adapters.__name__}.{match.name}")
        for name, async_provider in vars(module).items():
            if name.startswith("Async") and async_provider.__module__ == module.__name__:
                yield getattr(module, name.removeprefix("Async")), async_provider


PORTS = sorted(ports_in_pairs(), key=lambda pair: pair[0].__name__)
REFRESHERS = (OAuthTokenRefresher, AsyncOAuthTokenRefresher)
PROVIDERS = [REFRESHERS, *sorted(providers_in_pairs(), key=lambda pair: pair[0].__name__)]
MANAGERS = (ConnectorManager, AsyncConnectorManager)
PAIRS = [
    *PORTS,
    *PROVIDERS,
    MANAGERS,
    (StreamedAnswer, AsyncStreamedAnswer),
    (Attempts, AsyncAttempts),
    (WebhookInbox, AsyncWebhookInbox),
    (Outbox, AsyncOutbox),
    (Subjects, AsyncSubjects),
]
IN_PAIRS = pytest.mark.parametrize("plain, twin", PAIRS, ids=lambda kind: kind.__name__)
PARTS = [
    getattr(moorage, name)
    for name in moorage.__all__
    if getattr(moorage, name).__module__.startswith("moorage.parts.")
    and getattr(moorage, name) not in REFRESHERS
]
EACH_PART = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)


def members(kind: type) -> dict[str, Any]:
    """Return the public methods, properties and special methods of a class."""
    return {
        name: member
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") or name in {*ASYNC_NAMES, *ASYNC_NAMES.values(), "__init__"}
    }


def parameters_of(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Return the names, kinds and defaults of a function's parameters."""
    return [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(function).parameters.values()
    ]


def without_mode(text: str) -> str:
    """Return a text without the words that differ between the synchronous and asynchronous mode."""
    text = re.sub(r"\bAsync(?=[A-Z])|(?<=\bAbstract)Async(?=ContextManager)", "", text)
    text = re.sub(r"\ban? (synchronous|asynchronous) function", "a function", text)
    return re.sub(r"Awaitable\[(\w+)\]|Coroutine\[Any, Any, (\w+)\]", r"\1\2", text)


def test_ports_that_may_wait_exist_in_both_modes() -> None:
    """Each port whose methods may wait exists in a synchronous and an asynchronous form."""
    assert {
        "CredentialProvider",
        "Gather",
        "HttpClient",
        "Incoming",
        "IntegrationLogger",
        "Locks",
        "Sleeper",
        "StateStorage",
        "WebhookSecrets",
    } <= {plain_type.__name__ for plain_type, _ in PORTS}
    assert {
        "Bulkhead",
        "CircuitBreaker",
        "Idempotency",
        "OAuthConsent",
        "RateLimiter",
        "RetryHandler",
        "WebhookVerifier",
    } == {part.__name__ for part in PARTS}


@pytest.mark.parametrize("plain, twin", PROVIDERS, ids=lambda kind: kind.__name__)
def test_synchronous_and_asynchronous_providers_have_same_parameters_and_defaults(
    plain: type, twin: type
) -> None:
    """Synchronous and asynchronous providers have the same parameters and defaults."""
    assert parameters_of(plain) == parameters_of(twin)


@IN_PAIRS
def test_synchronous_and_asynchronous_classes_have_same_public_names(
    plain: type, twin: type
) -> None:
    """Synchronous and asynchronous classes have the same public names."""
    assert {ASYNC_NAMES.get(name, name) for name in members(plain)} == {
        ASYNC_NAMES.get(name, name) for name in members(twin)
    }


@IN_PAIRS
def test_synchronous_and_asynchronous_methods_have_same_parameters_and_defaults(
    plain: type, twin: type
) -> None:
    """Synchronous and asynchronous methods have the same parameters and defaults."""
    twin_members = members(twin)
    for name, member in members(plain).items():
        twin_member = twin_members.get(name) or twin_members[ASYNC_NAMES[name]]
        assert callable(member) == callable(twin_member)
        if callable(member) and name != "__init__":
            assert parameters_of(member) == parameters_of(twin_member), name


@IN_PAIRS
def test_synchronous_and_asynchronous_methods_have_same_types(plain: type, twin: type) -> None:
    """Synchronous and asynchronous methods have the same types, apart from `await`."""
    twin_members = members(twin)
    for name, member in members(plain).items():
        if not callable(member) or name == "__init__":
            continue
        twin_member = twin_members.get(name) or twin_members[ASYNC_NAMES[name]]
        notes, twins = (inspect.signature(item).return_annotation for item in (member, twin_member))
        assert without_mode(str(notes)) == without_mode(str(twins)), name
        for own_parameter, async_parameter in zip(
            inspect.signature(member).parameters.values(),
            inspect.signature(twin_member).parameters.values(),
            strict=True,
        ):
            assert without_mode(str(own_parameter.annotation)) == without_mode(
                str(async_parameter.annotation)
            ), name


@IN_PAIRS
def test_asynchronous_methods_are_awaitable_and_synchronous_ones_are_not(
    plain: type, twin: type
) -> None:
    """Asynchronous methods are awaitable, and synchronous ones are not."""
    waiting = [
        name for name, member in members(twin).items() if inspect.iscoroutinefunction(member)
    ]
    if twin is not AsyncAttempts:
        assert waiting

    for name, member in members(plain).items():
        assert not inspect.iscoroutinefunction(member), name


def test_managers_have_the_same_constructor_parameters() -> None:
    """The sync and async manager have the same constructor parameters."""
    plain_parameters, twin_parameters = (
        inspect.signature(kind).parameters.values() for kind in MANAGERS
    )

    assert [(item.name, item.kind, item.default) for item in plain_parameters] == [
        (item.name, item.kind, item.default) for item in twin_parameters
    ]
    assert [without_mode(str(item.annotation)) for item in plain_parameters] == [
        without_mode(str(item.annotation)) for item in twin_parameters
    ]


def test_managers_have_the_same_docstrings() -> None:
    """The sync and async manager have the same docstrings."""
    sync_members, async_members = (members(kind) for kind in MANAGERS)
    for name in sync_members:
        if not name.startswith("_"):
            assert inspect.getdoc(sync_members[name])
            assert without_mode(str(inspect.getdoc(sync_members[name]))) == without_mode(
                str(inspect.getdoc(async_members[name]))
            )

    sync_docstring, async_docstring = (
        str(inspect.getdoc(kind)).partition("Args:") for kind in MANAGERS
    )
    assert sync_docstring[2] == async_docstring[2]


def twins(part: type) -> list[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    """Return the methods of a protection that exist in sync and async mode."""
    offered_members = members(part)
    return [
        (name, member, offered_members[f"a{name}"])
        for name, member in offered_members.items()
        if f"a{name}" in offered_members
    ]


@EACH_PART
def test_protection_methods_exist_in_both_modes(part: type) -> None:
    """Protection methods have the same parameters in both modes; docstrings name the mode."""
    for name, plain_function, twin_function in twins(part):
        assert parameters_of(plain_function) == parameters_of(twin_function), name
        assert not inspect.iscoroutinefunction(plain_function)
        assert inspect.iscoroutinefunction(twin_function)
        words, twin_docstring = inspect.getdoc(plain_function), inspect.getdoc(twin_function)
        assert words
        assert twin_docstring
        assert "asynchronous" in twin_docstring


def test_methods_that_use_a_store_exist_in_both_modes() -> None:
    """Every method of a protection that uses a store exists in sync and async mode."""
    in_both = {"accepted", "begin", "call", "guard", "only_hints", "keyed", "receive"}
    unpaired_members = {
        f"{part.__name__}.{name}"
        for part in PARTS
        for name in members(part)
        if not name.startswith("_")
        and name not in in_both
        and name not in {item for pair in twins(part) for item in (pair[0], f"a{pair[0]}")}
    }

    assert set() == unpaired_members


@EACH_PART
def test_protection_accepts_each_port_in_both_modes(part: type) -> None:
    """A protection accepts the synchronous and the asynchronous form of each port."""
    parameters = inspect.signature(part).parameters

    for name in ("sleeper", "locks"):
        assert (name in parameters) == (f"async_{name}" in parameters)


def test_guard_works_with_sync_and_async_with_statements() -> None:
    """The context manager that `guard` returns works with both `with` and `async with`."""
    for name in ("__enter__", "__exit__"):
        sync_method, async_method = getattr(Entry, name), getattr(Entry, ASYNC_NAMES[name])
        assert parameters_of(sync_method) == parameters_of(async_method)
        assert inspect.iscoroutinefunction(async_method)


def test_function_that_never_waits_is_same_object_in_both_modes() -> None:
    """A function that never waits is the same object in sync and async mode."""
    assert StreamedAnswer.settle is AsyncStreamedAnswer.settle
