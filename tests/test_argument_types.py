"""Arguments of a wrong type are refused with an error of moorage, which has a remedy."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage import (
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


def test_refusal_names_the_argument() -> None:
    """The error for a wrong argument names the argument and says what to pass instead."""
    with pytest.raises(InvalidData, match="pending must be a PendingConsent, not a dict"):
        OAuthConsent(CLIENT).finish("?code=1", {})  # type: ignore[arg-type]  # that is what is wrong
    with pytest.raises(ConfigurationError, match="that a person can set"):
        ConnectorManager([Service("vat")]).set_circuit("vat", CircuitState.OPEN)
