"""Addresses of HTTP services that refuse clients, for the connector conformance kit."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from moorage import AuthenticationFailed, ConnectionFailed
from moorage.testing import Behaviour, VendorServer, connector_conformance
from tests.support.ports import free_port
from tests.support.untrusted_server import UntrustedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


class RefusingServices:
    """Services that refuse every client.

    Attributes:
        guarded: the URL of a server that accepts no credential.
        untrusted: the URL of a server whose certificate nobody trusts.
    """

    def __init__(self, guarded: str, untrusted: str) -> None:
        self.guarded = guarded
        self.untrusted = untrusted

    def refusals(self, make: Callable[[Any], Any]) -> dict[str, connector_conformance.Refusal]:
        """Return a connector's refusing addresses, each with the error that must follow."""

        def refusal(
            base_url: str, error: type[Any], because: str = ""
        ) -> connector_conformance.Refusal:
            return connector_conformance.Refusal(
                make=make, error=error, because=because, base_url=base_url
            )

        return {
            "wrong password": refusal(self.guarded, AuthenticationFailed),
            "unknown host": refusal("http://shop.invalid", ConnectionFailed, "shop.invalid"),
            "nobody listens": refusal(f"http://127.0.0.1:{free_port()}", ConnectionFailed),
            "untrusted certificate": refusal(self.untrusted, ConnectionFailed, "certificate"),
            "no TLS": refusal(self.guarded.replace("http:", "https:"), ConnectionFailed),
        }


@contextmanager
def refusing_services(folder: Path) -> Generator[RefusingServices]:
    """Run services that refuse every client."""
    with VendorServer() as guarded, UntrustedServer(folder) as untrusted:
        guarded.always(lambda _: Behaviour(status=401))
        yield RefusingServices(guarded.url, f"https://127.0.0.1:{untrusted.port}")
