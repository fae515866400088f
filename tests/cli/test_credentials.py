"""`moorage credentials` manages a store without showing a secret or taking one as an argument."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moorage import CredentialNotFound, Credentials, Secret
from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.cli.vaults import open_vault
from moorage.domain.state.sealing import KeyRing
from tests.support.command import command, run_typed
from tests.support.configured import VAULTS, unique
from tests.support.terminal import terminal

if TYPE_CHECKING:
    from collections.abc import Callable

MAKES = pytest.mark.parametrize("make", VAULTS.values(), ids=VAULTS)


@pytest.fixture(autouse=True)
def _keys() -> None:
    """Set the encryption keys for these tests in environment variables."""
    os.environ["MOORAGE_KEYS"] = generate_keys().text().reveal()


@MAKES
def test_secret_is_stored_and_deleted(make: Callable[[], str]) -> None:
    """`moorage credentials` stores a secret from standard input, lists it, and deletes it."""
    store, service = make(), unique("crm")
    store_options = ["--credentials", store]
    result = run_typed(
        "hunter2\n", "credentials", "set", service, "--tenant", "acme", "--migrate", *store_options
    )
    listed_credentials = command("credentials", "list", *store_options, "--json")

    assert (0, f"stored for {service} of acme\n") == (result.code, result.out)
    assert Credentials.bearer("hunter2") == open_vault(store).get(service, "acme")
    assert {"service": service, "tenant": "acme"} in listed_credentials.result["credentials"]
    assert service in command("credentials", "list", *store_options).out
    assert "hunter2" not in listed_credentials.out

    os.environ["MOORAGE_CREDENTIALS"] = store
    assert 0 == command("credentials", "delete", service, "--tenant", "acme").code
    assert 1 == command("credentials", "delete", service, "--tenant", "acme").code
    with pytest.raises(CredentialNotFound):
        open_vault(store).get(service, "acme")


@pytest.mark.parametrize(
    "options, made",
    [
        ([], Credentials.bearer("hunter2")),
        (["--username", "me"], Credentials.basic("me", "hunter2")),
        (["--header", "X-Key"], Credentials.api_key("hunter2", header="X-Key")),
        (["--query", "key"], Credentials.api_key("hunter2", query="key")),
    ],
)
def test_options_choose_the_kind_of_credential(options: list[str], made: Credentials) -> None:
    """The options of `moorage credentials` choose a token, a password or an API key."""
    store = "sqlite:///credentials.db"
    assert (
        0
        == run_typed("hunter2", "credentials", "set", "crm", "--credentials", store, *options).code
    )
    assert made == open_vault(store).get("crm", None)


@pytest.mark.parametrize(
    "options", [["--username", "me", "--query", "key"], ["--header", "a", "--query", "b"]]
)
def test_two_options_that_place_secret_differently_in_request_are_refused_together(
    options: list[str],
) -> None:
    """Two options that place the secret differently in a request cannot be used together."""
    store = "sqlite:///credentials.db"
    assert run_typed("x", "credentials", "set", "crm", "--credentials", store, *options).code in {
        1,
        2,
    }


def test_empty_input_is_refused_as_a_secret() -> None:
    """An empty line is refused as a secret."""
    result = run_typed(
        "\n", "credentials", "set", "crm", "--credentials", "sqlite:///credentials.db"
    )

    assert (2, True) == (result.code, "The secret is empty" in result.err)


def test_no_option_accepts_a_secret() -> None:
    """No option of `moorage credentials` accepts a secret; no error message repeats a secret."""
    result = command("credentials", "set", "crm", "hunter2", "--credentials", "sqlite:///c.db")

    assert 2 == result.code
    assert "hunter2" not in result.out + result.err


def test_key_rotation_encrypts_secrets_with_the_first_key() -> None:
    """Key rotation decrypts secrets under older keys, and encrypts them with the first key."""
    store = "sqlite:///credentials.db"
    run_typed("hunter2", "credentials", "set", "crm", "--credentials", store)
    ring = KeyRing.from_environment(os.environ)
    os.environ["MOORAGE_KEYS"] = generate_keys(ring).text().reveal()
    result = command("credentials", "rotate", "--credentials", store)

    assert (0, "1 re-encrypted\n") == (result.code, result.out)
    assert Secret("hunter2") == open_vault(store).get("crm", None).secret


def test_typed_secret_is_not_shown() -> None:
    """On a terminal, `moorage credentials` prompts for the secret without showing it."""
    store = "sqlite:///credentials.db"
    with terminal("credentials", "set", "crm", "--credentials", store) as shown_terminal:
        shown_terminal.wait_for_text("secret for crm: ")
        shown_terminal.type("hunter2\n")
        shown_terminal.wait_for_text("stored for crm")
        assert 0 == shown_terminal.wait_for_exit()
        assert "hunter2" not in shown_terminal.seen
    assert Secret("hunter2") == open_vault(store).get("crm", None).secret
