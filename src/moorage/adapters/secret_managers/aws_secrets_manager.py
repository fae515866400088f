"""AWS Secrets Manager, by its JSON protocol and Signature Version 4.

A secret's string is a token, or a credential's table in JSON.
"""

from __future__ import annotations

from binascii import a2b_base64
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import attrs

from moorage.adapters.secret_managers._answers import (
    failed,
    nonsense,
    refused,
    secret_at,
    word_at,
)
from moorage.adapters.secret_managers._owner_names import in_folders
from moorage.adapters.secret_managers.aws_identity import AwsEnvironment
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import validate_base_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import encode_json
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from moorage.adapters.secret_managers.aws_identity import AwsIdentity
    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.ports.secret_manager import Line

SERVICE: Final = "secretsmanager"
_TYPE: Final = "application/x-amz-json-1.1"
_REFUSED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_LATER: Final = frozenset(
    {
        "InternalFailure",
        "InternalServiceError",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_GONE: Final = "ResourceNotFoundException"


def _host(region: str) -> str:
    ending = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{SERVICE}.{region}.{ending}"


def _usual(manager: AwsSecretsManager) -> str:
    return _host(manager.region)


@attrs.frozen
class AwsSecretsManager:
    """A `SecretManager`: secrets of one account, in one region.

    The secret of the service `shop` is `moorage/services/shop`, and that of its tenant `acme-fr`
    is `moorage/tenants/acme-fr/shop`, so that a policy may be given for a tenant.

    Attributes:
        region: such as `eu-central-1`.
        identity: who we are: `AwsKeys`; or `AwsEnvironment`, which looks where AWS's own tools do.
        endpoint: the service's address, where it is not the region's own.
        prefix: what the names of secrets begin with.
    """

    region: str
    identity: AwsIdentity = attrs.field(factory=AwsEnvironment)
    endpoint: str = attrs.field(
        default=attrs.Factory(_usual, takes_self=True), converter=validate_base_url, kw_only=True
    )
    prefix: str = attrs.field(default="moorage/", kw_only=True)

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"AWS Secrets Manager in {self.region}"

    def name(self, service: str, tenant: str | None, /) -> str | None:
        """What the secret of an owner is called."""
        return in_folders(self.prefix, service, tenant)

    async def log_in(self, wire: Line, held: Credentials | None, /) -> Credentials:  # noqa: ARG002 - nothing is renewed
        """Keys that sign."""
        return await self.identity.keys(wire, self.region, SERVICE)

    async def read(self, wire: Line, credentials: Credentials, name: str, /) -> Secret | None:
        """What the current version of the secret holds."""
        request = _asked("GetSecretValue", {"SecretId": name})
        answer = await wire.send(self.endpoint, request, credentials)
        if answer.ok:
            content = secret_at(answer, "SecretString") or _binary(answer)
            if content is None:
                raise nonsense(self.where, answer)
            return content
        if _code(answer) == _GONE:
            return None
        raise self._failed(answer, f"Allow this identity secretsmanager:GetSecretValue on {name}.")

    async def write(
        self, wire: Line, credentials: Credentials, name: str, content: Secret, /
    ) -> None:
        """Put a new version of the secret in place, or make the secret."""
        remedy = f"Allow this identity secretsmanager:PutSecretValue and CreateSecret on {name}."
        given = {"ClientRequestToken": str(uuid4())}
        put = _asked("PutSecretValue", given | {"SecretId": name}, content)
        answer = await wire.send(self.endpoint, put, credentials)
        if _code(answer) == _GONE:
            create = _asked("CreateSecret", given | {"Name": name}, content)
            answer = await wire.send(self.endpoint, create, credentials)
        if not answer.ok:
            raise self._failed(answer, remedy)

    def _failed(self, answer: Response, remedy: str) -> ConnectorError:
        code = _code(answer)
        if code in _REFUSED:
            return refused(self.where, answer, code, f"{remedy} Check its keys, and the clock.")
        if code in _LATER:
            return StorageUnavailable(
                f"{self.where} cannot serve us now ({code}).",
                remedy="Ask it less often, with a cache in front; then try again.",
            )
        return failed(self.where, answer, code, remedy)


def _asked(action: str, given: dict[str, str], content: Secret | None = None) -> Request:
    if content is not None:
        given = given | {"SecretString": content.reveal()}
    headers = {"Content-Type": _TYPE, "X-Amz-Target": f"{SERVICE}.{action}"}
    return Request.post("/", headers=headers, body=encode_json(given))


def _code(answer: Response) -> str | None:
    """The name of an error, without the namespace and the address that may stand around it."""
    if answer.ok:
        return None
    said = word_at(answer, "__type") or answer.header("x-amzn-errortype") or ""
    return said.partition(":")[0].rpartition("#")[2] or None


def _binary(answer: Response) -> Secret | None:
    encoded = secret_at(answer, "SecretBinary")
    if encoded is None:
        return None
    try:
        return Secret(a2b_base64(encoded.reveal(), strict_mode=True))
    except ValueError:
        return None
