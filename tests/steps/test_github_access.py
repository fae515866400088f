"""The token of a GitHub App is fetched once, and each caller waits within its own time limit."""

from __future__ import annotations

from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from moorage import AttemptTimeout
from moorage.adapters.steps._github_access import AppAccess
from moorage.domain.secrets.secret import Secret


class SilentApi:
    """An API of GitHub that does not answer."""

    def __init__(self) -> None:
        self.asked, self.end = Event(), Event()

    def ask(self, method: str, path: str, timeout: float, **options: Any) -> Any:
        """Wait until the test ends, and raise the error of a request without an answer."""
        self.asked.set()
        self.end.wait(timeout)
        raise AttemptTimeout("GitHub did not answer in time.")


def test_caller_waits_for_the_token_request_of_another_one_within_its_own_time_limit() -> None:
    """A caller with little time gives up while another caller still requests the token."""
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    access, silent_api = AppAccess("Iv1", 1, Secret(pem.decode()), "shop"), SilentApi()
    api: Any = silent_api

    def ask_patiently() -> None:
        with pytest.raises(AttemptTimeout, match="did not answer"):
            access.header(api, 60.0)

    thread = Thread(target=ask_patiently)
    thread.start()
    assert silent_api.asked.wait(10.0)
    start_time = monotonic()

    with pytest.raises(AttemptTimeout, match="another call") as excinfo:
        access.header(api, 0.1)

    assert access.renew(Secret("Bearer old"))
    assert monotonic() - start_time < 30.0
    assert not excinfo.value.may_have_been_processed
    silent_api.end.set()
    thread.join()
