"""Access to Amazon's services: keys, regions, and requests in their JSON protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.secret_managers.aws_identity import AwsEnvironment, AwsKeys
from moorage.adapters.steps._cloud_wire import CloudApi
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.adapters.secret_managers.aws_identity import AwsIdentity
    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.domain.secrets.secret import Secret
    from moorage.ports.clock import Clock
    from moorage.ports.http import HttpClient
    from moorage.ports.secret_manager import NetworkAccess

_REGION: Final = late_pattern(r"[a-z]{2}(?:-[a-z]+)+-[0-9]+")
_JSON: Final = "application/x-amz-json-1.1"


def is_region(_: object, __: object, value: str) -> None:
    """Validate that a setting is an AWS region."""
    if _REGION.fullmatch(str(value)) is None:
        raise ConfigurationError(
            "This is not the name of an AWS region.",
            path="region",
            remedy="Give a name such as 'eu-central-1'.",
        )


@attrs.frozen
class AwsAccess:
    """The access to one service of Amazon; a `Session` renews its keys.

    Attributes:
        identity: the source of the access keys.
        region: the region of the service.
        service: the name of the service in signatures.
    """

    identity: AwsIdentity
    region: str
    service: str

    @property
    def where(self) -> str:
        """The name of the service for error messages."""
        return f"AWS {self.service} in {self.region}"

    async def log_in(self, wire: NetworkAccess, held: Credentials | None, /) -> Credentials:  # noqa: ARG002 - nothing is renewed
        """Return the access keys that sign requests."""
        return await self.identity.keys(wire, self.region, self.service)


def aws_identity(key: str | None, secret: Secret | None, token: Secret | None) -> AwsIdentity:
    """Return an identity with the keys in the settings, or else with the machine's keys.

    Raises:
        ConfigurationError: there is an access key id without its secret, or the reverse.
        InvalidData: the keys have characters that no keys of AWS have.
    """
    if (key is None) != (secret is None):
        raise ConfigurationError(
            "An access key of AWS needs an id and a secret, and one of them is missing.",
            path="access_key_id",
            remedy="Give access_key_id and secret_access_key, or neither.",
        )
    if key is None or secret is None:
        return AwsEnvironment()
    signing = AwsSigV4(access_key_id=key, region="any", service="any", session_token=token)
    signing.check_key(secret)
    return AwsKeys(key, secret, token)


class AwsJsonApi:
    """Sends requests of Amazon's JSON protocol to one service.

    Args:
        name: the name of the service in messages.
        prefix: the beginning of the targets of its actions.
        access: the access to the service.
        endpoint: the URL of the service.
        http: the HTTP client; by default one of its own.
        clock: the clock for the times in signatures.
    """

    def __init__(
        self,
        name: str,
        prefix: str,
        access: AwsAccess,
        endpoint: str,
        http: HttpClient | None,
        *,
        clock: Clock | None,
    ) -> None:
        self._prefix = prefix
        self._endpoint = endpoint
        self.api = CloudApi(
            name, access, http, clock, remedy="Check the access keys, and the policy of their user."
        )

    def act(
        self,
        action: str,
        fields: dict[str, Any],
        timeout: float,
        *,
        allowed: frozenset[int] = frozenset(),
    ) -> Response:
        """Send an action with its fields, and return the answer."""
        headers = {"Content-Type": _JSON, "X-Amz-Target": f"{self._prefix}.{action}"}
        return self.api.ask(
            "POST", self._endpoint, "/", timeout, body=fields, headers=headers, allowed=allowed
        )
