"""Encryption of stored results, with keys from a configuration file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.state.sealing import KeyRing

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.secrets.secret import Secret

KEYS = generate_keys()
SOURCE: dict[str, Any] = {
    "services": {"vat": {"idempotency_ttl": 60}},
    "cipher": {"keys": KEYS.text()},
}


def with_keys(keys: Secret) -> dict[str, Any]:
    """Return the configuration with these encryption keys."""
    return {**SOURCE, "cipher": {"keys": keys}}


def run(source: dict[str, Any], **ports: Any) -> object:
    """Run a function under an idempotency key in a new hub, and return its result."""
    with moorage.open(source, **ports) as hub:
        return hub.manager.run("vat", lambda: 7, idempotency_key="k")


@pytest.mark.parametrize("is_async", [False, True])
def test_stored_answers_are_sealed_with_the_keys(is_async: bool, tmp_path: Path) -> None:
    """A stored result can be read by another hub only with the same cipher keys."""
    place = {"state": {"url": f"sqlite:///{tmp_path}/state.db"}}

    async def run_function() -> int:
        return 7

    async def call() -> object:
        async with moorage.aopen({**SOURCE, **place}) as hub:
            return await hub.manager.run("vat", run_function, idempotency_key="k")

    assert 7 == (asyncio.run(call()) if is_async else run({**SOURCE, **place}))
    assert 7 == run({**with_keys(generate_keys(KEYS).text()), **place})
    with pytest.raises(ConfigurationError, match="no cipher"):
        run({"services": SOURCE["services"], **place})
    with pytest.raises(ConfigurationError, match="differs from the key of this version"):
        run({**with_keys(generate_keys().text()), **place})


def test_cipher_passed_by_program_takes_precedence_over_configured_one() -> None:
    """A cipher passed by the program takes precedence over the configured cipher."""
    state, cipher = MemoryStorage(), AesGcmCipher(generate_keys())
    assert 7 == run(SOURCE, state=state, cipher=cipher)
    assert 7 == run({"services": SOURCE["services"]}, state=state, cipher=cipher)


def test_unusable_keys_are_refused_by_path() -> None:
    """A cipher table without keys, or with invalid keys, is refused without showing them."""
    for table in ({"keys": "secret-of-mine"}, {}):
        with pytest.raises(ConfigurationError) as excinfo:
            moorage.open({**SOURCE, "cipher": table})
        assert "cipher.keys" in [problem.path for problem in excinfo.value.problems]
        assert "secret-of-mine" not in str(excinfo.value)


def test_reload_that_names_other_cipher_keys_is_refused() -> None:
    """A reload that names other cipher keys is refused."""
    with moorage.open(SOURCE) as hub:
        with pytest.raises(ConfigurationError, match="cannot change its cipher"):
            hub.reload(with_keys(generate_keys(KEYS).text()))
        hub.reload(with_keys(KeyRing.parse(KEYS.text()).text()))
