"""Access keys for AWS: passed explicitly, or found on the machine."""

from __future__ import annotations

import os
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

import attrs

from moorage.adapters.secret_managers._answers import (
    failure_error,
    refusal,
    secret_at,
    unexpected_answer,
    value_at,
)
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import validate_private_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.domain.values.text import is_encodable
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.ports.secret_manager import NetworkAccess

_CONTAINERS: Final = "http://169.254.170.2"
_INSTANCE: Final = "http://169.254.169.254"
_ROLES: Final = "/latest/meta-data/iam/security-credentials/"
_HOUR: Final = "3600"
_TOKEN_SERVICE: Final = "AWS's token service"  # noqa: S105 - the name of a service
_RETRYABLE_CODE: Final = "IDPCommunicationError"
"""The token service could not reach the issuer of the token, such as a Kubernetes cluster."""
_LOGIN_REFUSED: Final = (400, 401, 403)
_TRUSTED_HOSTS: Final = frozenset(
    {"127.0.0.1", "::1", "localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"}
)
"""The hosts that may provide keys without TLS: this machine, and AWS's container endpoints."""


@with_careful_constructor
@attrs.frozen
class AwsKeys:
    """AWS access keys that the program passes.

    Attributes:
        access_key_id: the id of the key; it is not shown.
        secret_access_key: the secret of the key.
        session_token: the token of temporary keys.
    """

    access_key_id: str = attrs.field(repr=False)
    secret_access_key: Secret = attrs.field(converter=as_secret, hash=False)
    session_token: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), hash=False
    )

    async def keys(self, wire: NetworkAccess, region: str, service: str) -> Credentials:  # noqa: ARG002 - sends no request
        """Return the access keys that the program passed."""
        return _signing_credentials(self, region, service, None)


def _environment(variables: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if variables is None else variables


@attrs.frozen
class AwsEnvironment:
    """AWS access keys from environment variables, the container or the EC2 instance.

    1. The variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
    2. The role AWS_ROLE_ARN, for the token in AWS_WEB_IDENTITY_TOKEN_FILE, which Kubernetes (EKS)
       writes for the service account of a pod. AWS_ENDPOINT_URL_STS sets the address of AWS's token
       service, if it is not the default.
    3. The endpoint in AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI, in a container.
    4. The metadata of the instance, in its second version, unless AWS_EC2_METADATA_DISABLED is
       `true`. AWS_EC2_METADATA_SERVICE_ENDPOINT sets its address, if it is not the default.

    Attributes:
        environment: the variables; by default those of the process.
    """

    environment: Mapping[str, str] = attrs.field(
        default=None, converter=_environment, repr=False, eq=False
    )

    async def keys(self, wire: NetworkAccess, region: str, service: str) -> Credentials:
        """Return the access keys of the first source that has any."""
        keys_of_variables = _keys_of_variables(self)
        if keys_of_variables is not None:
            return _signing_credentials(keys_of_variables, region, service, None)
        token_file = self.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE")
        if token_file:
            return await self._keys_of_role(wire, token_file, region, service)
        container = self._container()
        if container is not None:
            return await self._of_container(wire, container, region, service)
        if self.environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            raise ConfigurationError(
                "The environment has no AWS access keys, and reading the instance metadata is"
                " disabled.",
                path="identity",
                remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass AwsKeys.",
            )
        return await self._of_instance(wire, region, service)

    def secret(self, variable: str) -> Secret | None:
        """Return an environment variable as a secret; None if it is unset or empty."""
        text = self.environment.get(variable, "")
        return Secret(text) if text and is_encodable(text) else None

    async def _keys_of_role(
        self, wire: NetworkAccess, token_file: str, region: str, service: str
    ) -> Credentials:
        """Return the access keys of a role that AWS gives to the holder of a token."""
        role = self.environment.get("AWS_ROLE_ARN")
        if not role:
            raise ConfigurationError(
                "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not.",
                path="identity",
                remedy="Set AWS_ROLE_ARN, for example with the annotation"
                " eks.amazonaws.com/role-arn of the pod's service account.",
            )
        endpoint = self.environment.get("AWS_ENDPOINT_URL_STS") or default_endpoint("sts", region)
        session = self.environment.get("AWS_ROLE_SESSION_NAME") or "moorage"
        token = await wire.read(token_file)
        answer = await wire.send(
            validate_private_url(endpoint), _role_request(role, session, token)
        )
        if not answer.ok:
            raise _role_error(answer)
        key, expires_at = _xml_text(answer, "AccessKeyId"), _xml_text(answer, "Expiration")
        secret = _xml_secret(answer, "SecretAccessKey")
        session_token, ends_at = _xml_secret(answer, "SessionToken"), _utc_time(expires_at)
        if key is None or secret is None or session_token is None or ends_at is None:
            raise unexpected_answer(_TOKEN_SERVICE, answer)
        return _signing_credentials(AwsKeys(key, secret, session_token), region, service, ends_at)

    def _container(self) -> str | None:
        """Return the URL from which this container gets access keys; None on a plain machine."""
        relative_uri = self.environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        if relative_uri:
            return _CONTAINERS + relative_uri
        full_uri = self.environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        if not full_uri:
            return None
        parts = urlsplit(full_uri)
        if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _TRUSTED_HOSTS):
            return full_uri
        raise ConfigurationError(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI points to another machine, without TLS.",
            path="identity",
            remedy="Correct the variable. moorage fetches access keys without TLS only from"
            " this machine.",
        )

    async def _of_container(
        self, wire: NetworkAccess, container: str, region: str, service: str
    ) -> Credentials:
        parts = urlsplit(container)
        request = Request.get(f"{parts.path}?{parts.query}" if parts.query else parts.path)
        proof = await self._proof(wire)
        if proof is not None:
            request = request.with_header("Authorization", proof.reveal())
        answer = await wire.send(f"{parts.scheme}://{parts.netloc}", request)
        return _endpoint_credentials("the container's source of keys", answer, region, service)

    async def _proof(self, wire: NetworkAccess) -> Secret | None:
        path = self.environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        if path:
            return await wire.read(path)
        return self.secret("AWS_CONTAINER_AUTHORIZATION_TOKEN")

    async def _of_instance(self, wire: NetworkAccess, region: str, service: str) -> Credentials:
        base = self.environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _INSTANCE
        base = base.rstrip("/")
        source = "the instance's metadata"
        try:
            token_response = await wire.send(
                base,
                Request.put(
                    "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": _HOUR}
                ),
            )
        except StorageUnavailable:
            raise ConfigurationError(
                "The environment has no AWS access keys, and this machine is not an EC2 instance.",
                path="identity",
                remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass AwsKeys.",
            ) from None
        if not token_response.ok:
            raise failure_error(
                source, token_response, None, "Allow this process to access the instance metadata."
            )
        token = Secret(token_response.body)
        roles = await wire.send(base, _with_token(Request.get(_ROLES), token))
        if roles.status == 404:
            raise ConfigurationError(
                "This EC2 instance has no IAM role.",
                path="identity",
                remedy="Assign a role that may read the secrets to the instance, or pass AwsKeys.",
            )
        if not roles.ok:
            raise failure_error(
                source, roles, None, "Allow this process to access the instance metadata."
            )
        role = roles.text.partition("\n")[0].strip()
        answer = await wire.send(base, _with_token(Request.get(f"{_ROLES}{role}"), token))
        return _endpoint_credentials(source, answer, region, service)


AwsIdentity: TypeAlias = AwsKeys | AwsEnvironment


def _keys_of_variables(identity: AwsEnvironment) -> AwsKeys | None:
    secret, token = identity.secret("AWS_SECRET_ACCESS_KEY"), identity.secret("AWS_SESSION_TOKEN")
    key = identity.environment.get("AWS_ACCESS_KEY_ID")
    return AwsKeys(key, secret, token) if key and secret is not None else None


def default_endpoint(service: str, region: str) -> str:
    """Return the URL of an AWS service in a region."""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service}.{region}.{domain}"


def _role_request(role: str, session: str, token: Secret) -> Request:
    return Request.post(
        "/",
        form={
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": session,
            "WebIdentityToken": token.reveal(),
        },
    )


def _role_error(answer: Response) -> ConnectorError:
    """Return the error for a token that AWS's token service refused to exchange for keys."""
    code = _xml_text(answer, "Code")
    if code == _RETRYABLE_CODE:
        return StorageUnavailable(
            f"{_TOKEN_SERVICE} cannot reach the issuer of the token (status {answer.status}).",
            remedy="Try again, and check the address of the role's identity provider.",
        )
    remedy = "Check AWS_ROLE_ARN, and that the role trusts the service account of this pod."
    if answer.status in _LOGIN_REFUSED:
        return refusal(_TOKEN_SERVICE, answer, code, remedy)
    return failure_error(_TOKEN_SERVICE, answer, code, remedy)


def _xml_text(answer: Response, name: str) -> str | None:
    """Return the text of the first XML element with this name that contains no others."""
    match = re.search(f"<{name}>([^<>&]{{1,200}})</{name}>", answer.text)
    return None if match is None else match[1].strip()


def _xml_secret(answer: Response, name: str) -> Secret | None:
    match = re.search(f"<{name}>([^<>&]+)</{name}>", answer.text)
    return None if match is None else Secret(match[1].strip())


def _with_token(request: Request, token: Secret) -> Request:
    return request.with_header("X-aws-ec2-metadata-token", token.reveal())


def _endpoint_credentials(source: str, answer: Response, region: str, service: str) -> Credentials:
    """Return the access keys in the answer of a container's or an instance's metadata endpoint."""
    if not answer.ok:
        raise failure_error(source, answer, None, "Check the role of this machine.")
    key, secret = value_at(answer, "AccessKeyId"), secret_at(answer, "SecretAccessKey")
    expires_at = _utc_time(value_at(answer, "Expiration"))
    if not isinstance(key, str) or secret is None or expires_at is None:
        raise unexpected_answer(source, answer)
    return _signing_credentials(
        AwsKeys(key, secret, secret_at(answer, "Token")), region, service, expires_at
    )


def _utc_time(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment


def _signing_credentials(
    keys: AwsKeys, region: str, service: str, expires_at: datetime | None
) -> Credentials:
    signature_method = AwsSigV4(
        access_key_id=keys.access_key_id,
        region=region,
        service=service,
        session_token=keys.session_token,
    )
    return Credentials.signed(signature_method, keys.secret_access_key, expires_at=expires_at)
