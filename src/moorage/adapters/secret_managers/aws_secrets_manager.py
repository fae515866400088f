"""AWS Secrets Manager, with its JSON protocol and Signature Version 4.

A secret's string is a token, or a credential's table in JSON.
"""

from __future__ import annotations

from binascii import a2b_base64
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import attrs

from moorage.adapters.secret_managers._answers import (
    failure_error,
    refusal,
    secret_at,
    unexpected_answer,
    word_at,
)
from moorage.adapters.secret_managers._owner_names import secret_path
from moorage.adapters.secret_managers.aws_identity import AwsEnvironment, default_endpoint
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import validate_private_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import encode_json
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from moorage.adapters.secret_managers.aws_identity import AwsIdentity
    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.ports.secret_manager import NetworkAccess

SERVICE: Final = "secretsmanager"
_TYPE: Final = "application/x-amz-json-1.1"
_REFUSED_CODES: Final = frozenset(
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
_TEMPORARY_CODES: Final = frozenset(
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
_NOT_FOUND: Final = "ResourceNotFoundException"


def _default_endpoint(manager: AwsSecretsManager) -> str:
    return default_endpoint(SERVICE, manager.region)


@attrs.frozen
class AwsSecretsManager:
    """A `SecretManager` for the secrets of one AWS account in one region.

    The secret of the service `shop` is `moorage/services/shop`, and that of its tenant `acme-fr`
    is `moorage/tenants/acme-fr/shop`, so that a policy may be given for a tenant.

    Attributes:
        region: the AWS region, such as `eu-central-1`.
        identity: `AwsKeys`; or `AwsEnvironment`, which finds keys like AWS's own tools.
        endpoint: the URL of the service, if it is not the region's default.
        prefix: the beginning of the secrets' names.
    """

    region: str
    identity: AwsIdentity = attrs.field(factory=AwsEnvironment)
    endpoint: str = attrs.field(
        default=attrs.Factory(_default_endpoint, takes_self=True),
        converter=validate_private_url,
        kw_only=True,
    )
    prefix: str = attrs.field(default="moorage/", kw_only=True)

    @property
    def where(self) -> str:
        """The name of the secret manager in error messages."""
        return f"AWS Secrets Manager in {self.region}"

    def name(self, service: str, tenant: str | None, /) -> str | None:
        """Return the name of the secret for a service and tenant.

        Return None if another service and tenant could have a secret of the same name.
        """
        return secret_path(self.prefix, service, tenant)

    async def log_in(self, wire: NetworkAccess, held: Credentials | None, /) -> Credentials:  # noqa: ARG002 - nothing is renewed
        """Return the access keys that sign requests."""
        return await self.identity.keys(wire, self.region, SERVICE)

    async def read(
        self, wire: NetworkAccess, credentials: Credentials, name: str, /
    ) -> Secret | None:
        """Return the current version of a secret; None if it does not exist."""
        request = _request("GetSecretValue", {"SecretId": name})
        answer = await wire.send(self.endpoint, request, credentials)
        if answer.ok:
            content = secret_at(answer, "SecretString") or _binary(answer)
            if content is None:
                raise unexpected_answer(self.where, answer)
            return content
        if _code(answer) == _NOT_FOUND:
            return None
        raise self._error_of(
            answer, f"Allow this identity secretsmanager:GetSecretValue on {name}."
        )

    async def write(
        self, wire: NetworkAccess, credentials: Credentials, name: str, content: Secret, /
    ) -> None:
        """Store a new version of a secret, or create the secret."""
        remedy = f"Allow this identity secretsmanager:PutSecretValue and CreateSecret on {name}."
        token = {"ClientRequestToken": str(uuid4())}
        put_request = _request("PutSecretValue", token | {"SecretId": name}, content)
        answer = await wire.send(self.endpoint, put_request, credentials)
        if _code(answer) == _NOT_FOUND:
            create_request = _request("CreateSecret", token | {"Name": name}, content)
            answer = await wire.send(self.endpoint, create_request, credentials)
        if not answer.ok:
            raise self._error_of(answer, remedy)

    def _error_of(self, answer: Response, remedy: str) -> ConnectorError:
        code = _code(answer)
        if code in _REFUSED_CODES:
            return refusal(
                self.where,
                answer,
                code,
                f"{remedy} Check the access keys, and the clock of this machine.",
            )
        if code in _TEMPORARY_CODES:
            return StorageUnavailable(
                f"{self.where} is not available ({code}).",
                remedy="Send fewer requests, for example with a cache in front of the secret"
                " manager, and try again.",
            )
        return failure_error(self.where, answer, code, remedy)


def _request(action: str, fields: dict[str, str], content: Secret | None = None) -> Request:
    if content is not None:
        fields = fields | {"SecretString": content.reveal()}
    headers = {"Content-Type": _TYPE, "X-Amz-Target": f"{SERVICE}.{action}"}
    return Request.post("/", headers=headers, body=encode_json(fields))


def _code(answer: Response) -> str | None:
    """Return an AWS error code without its namespace; None for a success."""
    if answer.ok:
        return None
    error_type = word_at(answer, "__type") or answer.header("x-amzn-errortype") or ""
    return error_type.partition(":")[0].rpartition("#")[2] or None


def _binary(answer: Response) -> Secret | None:
    encoded_secret = secret_at(answer, "SecretBinary")
    if encoded_secret is None:
        return None
    try:
        return Secret(a2b_base64(encoded_secret.reveal(), strict_mode=True))
    except ValueError:
        return None
