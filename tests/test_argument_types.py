"""Arguments of a wrong type are refused with an error of moorage, which has a remedy."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage import (
    AsyncHub,
    CachePolicy,
    CircuitState,
    ClientCredentials,
    ConfigurationError,
    ConnectorError,
    ConnectorManager,
    Credentials,
    Hub,
    InvalidData,
    OAuthClient,
    OAuthConsent,
    OutgoingGuard,
    Redaction,
    RetryHandler,
    Service,
    WebhookVerifier,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.hub.copied_stores import arearm, owner, rearm

if TYPE_CHECKING:
    from collections.abc import Callable

WRONG: Final = (None, True, 7, 1.5, Decimal("sNaN"), b"x", "x", ["x"], {"x": "y"}, object(), len)
CLIENT: Final = OAuthClient(
    server="https://login.example/token", client_id="erp", grant=ClientCredentials()
)


def verifier() -> Any:
    """Return a verifier of webhooks from Stripe."""
    return WebhookVerifier("stripe", "whsec_secret")


CALLS: Final[dict[str, Callable[[Any], object]]] = {
    "Credentials.basic": lambda value: Credentials.basic(value, "password"),
    "Credentials.api_key": lambda value: Credentials.api_key("key", header=value),
    "Redaction": lambda value: Redaction(header_names=value),
    "CachePolicy": lambda value: CachePolicy(varies_by=value),
    "OutgoingGuard": lambda value: OutgoingGuard(ports=value),
    "Hub": lambda value: Hub(accounts=value),
    "Hub, routes": lambda value: Hub([], routes=value),
    "Hub, services": lambda value: Hub([], services=value),
    "Hub, safety": lambda value: Hub([], safety=value),
    "Hub, transports": lambda value: Hub([], transports=value),
    "Hub, environment_id": lambda value: Hub([], environment_id=value),
    "rearm": lambda value: rearm(MemoryStorage(), value),
    "RetryHandler": lambda value: RetryHandler(clock=value),
    "set_circuit": lambda value: ConnectorManager([Service("vat")]).set_circuit("vat", value),
    "circuit_state": lambda value: ConnectorManager([Service("vat")]).circuit_state(
        "vat", region=value
    ),
    "verify, method": lambda value: verifier().verify(headers={}, body=b"", method=value),
    "verify, tenant": lambda value: verifier().verify(headers={}, body=b"", tenant=value),
    "done": lambda value: verifier().done(value),
    "confirm": lambda value: verifier().confirm(value),
    "begin": lambda value: OAuthConsent(CLIENT).begin("https://erp.example", parameters=value),
    "finish": lambda value: OAuthConsent(CLIENT).finish("?code=1", value),
    "finish_device": lambda value: OAuthConsent(CLIENT).finish_device(value),
    "revoke": lambda value: OAuthConsent(CLIENT).revoke(value),
}


@pytest.mark.parametrize("name", CALLS)
def test_argument_of_a_wrong_type_is_refused(name: str) -> None:
    """Whatever the types of its arguments, a call returns, or raises an error of moorage."""
    refusals = list[ConnectorError]()
    for value in WRONG:
        try:
            CALLS[name](value)
        except ConnectorError as error:
            refusals.append(error)

    assert refusals
    assert all(error.remedy for error in refusals)


def test_unknown_and_missing_arguments_are_type_errors() -> None:
    """A missing argument, or one with an unknown name, raises Python's own TypeError."""
    with pytest.raises(TypeError, match="missing"):
        Credentials.basic("ann")  # type: ignore[call-arg]  # that is what is wrong
    with pytest.raises(TypeError, match="colour"):
        CachePolicy(colour="red")  # type: ignore[call-arg]  # that is what is wrong


@pytest.mark.parametrize(
    "name", ["accounts", "routes", "services", "safety", "transports", "environment_id"]
)
@pytest.mark.parametrize("kind", [Hub, AsyncHub])
def test_hub_names_an_argument_of_a_wrong_type(kind: Any, name: str) -> None:
    """A hub refuses an argument of a wrong type when it is created, and names the argument."""
    with pytest.raises(InvalidData, match=f"{name} must be") as refusal:
        kind(**{"accounts": [], name: 5})
    assert name == refusal.value.field


@pytest.mark.parametrize("name", [5, None, "", "a\nb"])
def test_rearming_needs_the_name_of_an_environment(name: Any) -> None:
    """Rearming a store without the name of an environment is refused, and writes nothing."""
    memory = MemoryStorage()
    with pytest.raises(InvalidData, match="environment_id must be"):
        rearm(memory, name)
    with pytest.raises(InvalidData, match="environment_id must be"):
        asyncio.run(arearm(AsyncMemoryStorage(memory), name))
    assert owner(memory) is None


def test_refusal_names_the_argument() -> None:
    """The error for a wrong argument names the argument and says what to pass instead."""
    with pytest.raises(InvalidData, match="pending must be a PendingConsent, not a dict"):
        OAuthConsent(CLIENT).finish("?code=1", {})  # type: ignore[arg-type]  # that is what is wrong
    with pytest.raises(ConfigurationError, match="that a person can set"):
        ConnectorManager([Service("vat")]).set_circuit("vat", CircuitState.OPEN)
