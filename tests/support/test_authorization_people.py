"""Authorization codes from people's consent, and devices that people approve."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from moorage.testing.fakes.clock import VirtualClock
from tests.support.authorization_caller import Caller, Reply, Signer
from tests.support.authorization_people import challenge_of
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.authorization_values import CLIENT, CODE, DEVICE

VERIFIER: Final = "a-verifier_that.is~43-characters-long-or-more"
BACK: Final = "https://erp.example/callback?kept=1"
PUBLIC: Final = Client(method="none", redirect_uris=(BACK,))


def redirect_target(reply: Reply) -> tuple[str, dict[str, str]]:
    """Return the URL that a person was redirected to, and its parameters."""
    place = urlsplit(reply.headers["Location"])
    fields = {name: value for name, (value,) in parse_qs(place.query).items()}
    return place._replace(query="").geturl(), fields


def ask_for_consent(
    server: AuthorizationServer, client: Client | None = None, **changes: str
) -> Reply:
    """Ask the simulated user for consent; empty parameters are left out."""
    request = {
        "response_type": "code",
        "client_id": (client or server.clients[0]).id,
        "redirect_uri": BACK,
        "state": "xyz",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    } | changes
    query = urlencode({name: value for name, value in request.items() if value})
    return Caller(server).send("GET", f"{server.authorize_url}?{query}")


def code_of(reply: Reply) -> dict[str, str]:
    """Return the fields of the token request after a person agreed."""
    code = redirect_target(reply)[1]["code"]
    return {"code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}


def test_code_is_exchanged_for_tokens_once() -> None:
    """A code is exchanged for tokens once; using the code again revokes the tokens."""
    with AuthorizationServer(PUBLIC) as server:
        caller = Caller(server)
        reply = ask_for_consent(server, scope="read")
        place, message = redirect_target(reply)
        assert (302, "https://erp.example/callback") == (reply.status, place)
        assert {"kept": "1", "state": "xyz", "iss": server.issuer} == {
            name: value for name, value in message.items() if name != "code"
        }
        first = caller.token(CODE, code_of(reply))
        opened_reply = caller.open(first.members["access_token"])
        assert ("a person", "read") == (
            opened_reply.members["sub"],
            opened_reply.members["scope"],
        )
        repeated_reply = caller.token(CODE, code_of(reply))
        assert (400, "invalid_grant") == repeated_reply.error
        assert 401 == caller.open(first.members["access_token"]).status
        assert 0 == server.live_families


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"code": "code-0"}, "invalid_grant"),
        ({"code": ""}, "invalid_request"),
        ({"redirect_uri": "https://erp.example/callback"}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_grant"),
        ({"code_verifier": VERIFIER + "x"}, "invalid_grant"),
        ({"code_verifier": challenge_of(VERIFIER)}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
    ],
)
def test_codes_are_read_strictly(changes: dict[str, str], error: str) -> None:
    """A code that is sent with another verifier or redirect URI is refused, and stays valid."""
    with AuthorizationServer(PUBLIC) as server:
        caller = Caller(server)
        request = code_of(ask_for_consent(server))

        assert (400, error) == caller.token(CODE, request | changes).error
        assert 200 == caller.token(CODE, request).status


@pytest.mark.parametrize("verifier", ["x" * 42, "x" * 129, "ä" * 43, "x" * 43 + "+"])
def test_code_verifier_of_invalid_form_is_refused(verifier: str) -> None:
    """A code verifier of invalid form is refused even if it matches the challenge."""
    with AuthorizationServer(PUBLIC) as server:
        reply = ask_for_consent(server, code_challenge=challenge_of(verifier))
        request = code_of(reply) | {"code_verifier": verifier}

        assert (400, "invalid_grant") == Caller(server).token(CODE, request).error


def test_code_of_another_client_or_an_old_code_is_refused() -> None:
    """A code of another client, or a code that is a minute old, is refused."""
    other_client = Client(id="other", method="none")
    with AuthorizationServer(PUBLIC, other_client) as server:
        request = code_of(ask_for_consent(server))

        assert (400, "invalid_grant") == Caller(server, other_client).token(CODE, request).error
        server.advance(60)
        assert (400, "invalid_grant") == Caller(server).token(CODE, request).error


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": ""}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": VERIFIER}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"person": "denies"}, "access_denied"),
    ],
)
def test_invalid_consent_parameter_is_reported_to_the_redirect_uri(
    changes: dict[str, str], error: str
) -> None:
    """An invalid parameter of a consent request is reported to the client's redirect URI."""
    with AuthorizationServer(PUBLIC) as server:
        _, message = redirect_target(ask_for_consent(server, None, **changes))

    assert (error, "xyz", server.issuer) == (message["error"], message["state"], message["iss"])
    assert "code" not in message


def test_unknown_clients_get_no_redirect() -> None:
    """An unknown client, or an unregistered redirect URI, gets no redirect."""
    several_client = Client(id="several", redirect_uris=("https://a.example", "https://b.example"))
    with AuthorizationServer(PUBLIC, several_client) as server:
        replies = [
            ask_for_consent(server, client_id="stranger"),
            ask_for_consent(server, redirect_uri="https://evil.example/callback"),
            ask_for_consent(server, redirect_uri=BACK + "&more=1"),
            ask_for_consent(server, several_client, redirect_uri=""),
        ]
        doubled_reply = Caller(server).send(
            "GET",
            f"{server.authorize_url}?client_id=erp&state=a&state=b&"
            + urlencode({"redirect_uri": BACK}),
        )

    assert [400] * 4 == [reply.status for reply in replies]
    assert not any("Location" in reply.headers for reply in replies)
    assert "invalid_request" == redirect_target(doubled_reply)[1]["error"]


def test_person_can_refuse_consent() -> None:
    """If a person refuses, or the client lacks permission, the redirect contains an error."""
    forbidden_client = Client(id="robot", redirect_uris=(BACK,), grants=frozenset({CLIENT}))
    with AuthorizationServer(PUBLIC, forbidden_client) as server:
        server.people.approve = False
        assert "access_denied" == redirect_target(ask_for_consent(server))[1]["error"]
        server.people.approve = True
        assert "code" in redirect_target(ask_for_consent(server))[1]
        assert (
            "unauthorized_client"
            == redirect_target(ask_for_consent(server, forbidden_client))[1]["error"]
        )


def test_loopback_redirect_may_have_any_port() -> None:
    """A loopback redirect URI may have any port, but no other path or host."""
    client = Client(method="none", redirect_uris=("http://127.0.0.1/done",))
    with AuthorizationServer(client) as server:
        replies = [
            ask_for_consent(server, redirect_uri=f"http://{place}")
            for place in (
                "127.0.0.1:41234/done",
                "127.0.0.1:41234/other",
                "127.0.0.2/done",
                "somebody@127.0.0.1/done",
            )
        ]
        loopback_reply = ask_for_consent(server, redirect_uri="")
        fields = {"code": redirect_target(loopback_reply)[1]["code"], "code_verifier": VERIFIER}
        assert 200 == Caller(server).token(CODE, fields).status

    assert [302, 400, 400, 400] == [reply.status for reply in replies]
    assert "http://127.0.0.1/done" == redirect_target(loopback_reply)[0]


def test_client_that_may_not_refresh_gets_only_access_token_for_its_code() -> None:
    """A client that may not refresh gets only an access token for its code."""
    first_client = Client(method="none", redirect_uris=(BACK,), grants=frozenset({CODE}))
    with AuthorizationServer(first_client) as server:
        reply = Caller(server).token(CODE, code_of(ask_for_consent(server)))

        assert 200 == reply.status
        assert "refresh_token" not in reply.members
        assert 0 == server.live_families


def test_wrong_issuer_is_in_redirects() -> None:
    """If the server claims a wrong issuer, its redirects contain that wrong issuer."""
    with AuthorizationServer(PUBLIC) as server:
        server.claimed_issuer = "https://evil.example"

        assert "https://evil.example" == redirect_target(ask_for_consent(server))[1]["iss"]


def test_a_code_may_be_bound_to_a_key() -> None:
    """If a code was requested with a key's thumbprint, redeeming it needs a proof of the key."""
    key, other_key = Signer(), Signer()
    with AuthorizationServer(PUBLIC) as server:
        caller, url = Caller(server), server.token_url
        request = code_of(ask_for_consent(server, dpop_jkt=key.thumbprint))

        assert (400, "invalid_grant") == caller.token(CODE, request).error
        proof = other_key.proof("POST", url, server.now())
        assert (400, "invalid_grant") == caller.token(CODE, request, proof).error
        reply = caller.token(CODE, request, key.proof("POST", url, server.now()))
        assert (200, "DPoP") == (reply.status, reply.members["token_type"])


# --- devices -----------------------------------------------------------------


def begin(server: AuthorizationServer, **form: str) -> Reply:
    """Start a device login."""
    return Caller(server).post(server.device_url, {"client_id": "erp"} | form)


def test_a_device_waits_for_a_person() -> None:
    """A device has to poll until a person agrees, and then gets both tokens, but only once."""
    with AuthorizationServer(PUBLIC) as server:
        caller = Caller(server)
        result = begin(server, scope="read").members
        fields = {"device_code": result["device_code"]}
        assert (5, 600) == (result["interval"], result["expires_in"])
        assert (
            f"{result['verification_uri']}?user_code={result['user_code']}"
            == (result["verification_uri_complete"])
        )
        assert (400, "authorization_pending") == caller.token(DEVICE, fields).error
        server.advance(5)
        assert (400, "authorization_pending") == caller.token(DEVICE, fields).error
        server.decide(result["user_code"])
        reply = caller.token(DEVICE, fields)
        assert (200, "read") == (reply.status, reply.members["scope"])
        assert 200 == caller.refresh(reply.members["refresh_token"]).status
        assert (400, "invalid_grant") == caller.token(DEVICE, fields).error
        assert 0 == server.hasty_polls


def test_device_that_polls_too_early_is_slowed_down() -> None:
    """Each poll that comes too early lengthens the device's interval by five seconds."""
    clock = VirtualClock()
    with AuthorizationServer(PUBLIC, clock=clock) as server:
        fields = {"device_code": begin(server).members["device_code"]}
        messages = []
        for wait in (0, 4, 9, 15, 14, 20):
            clock.advance(wait)
            messages.append(Caller(server).token(DEVICE, fields).error[1])

        pending, slow_down = "authorization_pending", "slow_down"
        assert [pending, slow_down, slow_down, pending, slow_down, pending] == messages
        assert 3 == server.hasty_polls


def test_rejected_device_or_expired_code_ends_the_login() -> None:
    """A rejected device and an expired code each get their own error, which ends the login."""
    other_client = Client(id="other", method="none")
    with AuthorizationServer(PUBLIC, other_client) as server:
        caller = Caller(server)
        first, second = begin(server).members, begin(server).members
        server.decide(first["user_code"], approve=False)
        fields = {"device_code": first["device_code"]}
        assert (400, "invalid_grant") == Caller(server, other_client).token(DEVICE, fields).error
        assert (400, "access_denied") == caller.token(DEVICE, fields).error
        server.advance(600)
        late_reply = caller.token(DEVICE, {"device_code": second["device_code"]})
        assert (400, "expired_token") == late_reply.error
        assert (400, "invalid_grant") == caller.token(DEVICE, {"device_code": "device-0"}).error


def test_unsuitable_clients_start_no_device_login() -> None:
    """Unknown clients, excessive scopes and clients without this grant start no device login."""
    client = Client(id="robot", method="none", grants=frozenset({CODE}))
    with AuthorizationServer(PUBLIC, client) as server:
        replies = [
            begin(server, client_id="stranger"),
            begin(server, scope="admin"),
            begin(server, client_id="robot"),
        ]

    assert [(401, "invalid_client"), (400, "invalid_scope"), (400, "unauthorized_client")] == [
        reply.error for reply in replies
    ]
