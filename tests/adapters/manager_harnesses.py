"""Fake servers of four secret managers: Vault, AWS, Google Cloud and Azure.

Each server's `secrets` holds its secrets by name. A request that the real service would refuse is
refused in the same way, and its fault is recorded in `complaints`.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moorage.adapters.secret_managers.aws_identity import AwsKeys
from moorage.adapters.secret_managers.aws_secrets_manager import AwsSecretsManager
from moorage.adapters.secret_managers.azure_key_vault import AzureClient, AzureKeyVault
from moorage.adapters.secret_managers.gcp_secret_manager import GcpSecretManager, GcpServiceAccount
from moorage.adapters.secret_managers.hashicorp_vault import HashiCorpVault, VaultAppRole
from moorage.testing import Behaviour, VendorServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from moorage.testing.fakes.http_server import ReceivedRequest

SECRET = "s3cr3t-of-ours"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()


class Harness:
    """Base class of the fake secret managers: an HTTP server, its secrets and its issued tokens."""

    kind: ClassVar[str]

    def __init__(self) -> None:
        self.server = VendorServer()
        self.secrets: dict[str, Any] = {}
        self.complaints: list[str] = []
        self.asked: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.lifetime = 3600
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.server.always(self._answer)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        assert [] == self.complaints

    @property
    def url(self) -> str:
        """Return the URL of the fake secret manager."""
        return self.server.url

    def manager(self, **options: Any) -> Any:
        """Return a client of this secret manager with the configuration of the test."""
        raise NotImplementedError

    def handle(self, request: ReceivedRequest) -> Behaviour:
        """Answer a request like the real service."""
        raise NotImplementedError

    def put(self, name: str, content: str) -> None:
        """Store a secret."""
        self.secrets[name] = content

    def token(self) -> str:
        """Issue a token that the fake server then accepts."""
        self.asked["login"] += 1
        token = f"token-{self.asked['login']}"
        self.tokens.add(token)
        return token

    def revoke(self) -> None:
        """Revoke all issued tokens."""
        self.tokens.clear()

    def refuse(self, what: str, behaviour: Behaviour) -> Behaviour:
        """Record that moorage sent a request which it must not send; return an error response."""
        self.complaints.append(what)
        return behaviour

    def _answer(self, request: ReceivedRequest) -> Behaviour:
        if request.headers.get_all("host") != (f"127.0.0.1:{self.server.address[1]}",):
            return self.refuse("host", Behaviour(400))
        return self.handle(request)


def json_behaviour(value: object, status: int = 200, **headers: str) -> Behaviour:
    """Return an HTTP response with a JSON body."""
    return Behaviour.of_json(value, status=status, headers=headers)


class VaultHarness(Harness):
    """A fake HashiCorp Vault with KV version 2 and the AppRole and Kubernetes logins."""

    kind = "vault"

    def __init__(self) -> None:
        super().__init__()
        self.namespace: str | None = None
        self.mount = "secret"
        self.ends: dict[str, datetime] = {}
        self.longest = 10**9
        self.renewable = True
        self.looked = True
        self.began: dict[str, datetime] = {}

    def manager(self, **options: Any) -> HashiCorpVault:
        """Return a client that logs in with AppRole."""
        return HashiCorpVault(self.url, VaultAppRole("our-role", SECRET), **options)

    def put(self, name: str, content: str) -> None:
        """Store a secret as a table of values, because Vault stores tables."""
        self.secrets[name] = json.loads(content) if content.startswith("{") else {"secret": content}

    def issue(self, token: str | None = None) -> str:
        """Return a new token with the configured lifetime."""
        token = token or self.token()
        self.tokens.add(token)
        self.began[token] = self.now()
        self.ends[token] = self.now() + timedelta(seconds=self.lifetime)
        return token

    def handle(self, request: ReceivedRequest) -> Behaviour:
        """Answer a request as Vault's HTTP API does."""
        headers = request.headers
        if headers.get("x-vault-request") != "true":
            return self.refuse("x-vault-request", self._errors(400, "missing header"))
        if headers.get("x-vault-namespace") != self.namespace:
            return self._errors(404, "no handler for route")
        if request.method == "POST" and headers.get("content-type") != "application/json":
            return self.refuse("content-type", self._errors(400, "failed to parse JSON input"))
        if not request.path.startswith("/v1/"):
            return self.refuse(request.path, self._errors(404))
        path = request.path.removeprefix("/v1/")
        if path.startswith("auth/") and path.endswith("/login"):
            return self._login(path, request)
        token = headers.get("x-vault-token", "")
        if token not in self.tokens or self.ends.get(token, self.now()) < self.now():
            return self._errors(403, "permission denied")
        if path.startswith("auth/token/"):
            return self._describe_token(path, request, token)
        return self._kv(path, request)

    def _login(self, path: str, request: ReceivedRequest) -> Behaviour:
        fields = request.json()
        if path == "auth/approle/login":
            if fields.keys() - {"role_id", "secret_id"}:
                return self.refuse("approle", self._errors(400, "unknown field"))
            if (fields["role_id"], fields.get("secret_id")) not in {
                ("our-role", SECRET),
                ("open-role", None),
            }:
                return self._errors(400, "invalid role or secret ID")
        elif path == "auth/clusters/ours/login":
            if fields != {"role": "our-pod", "jwt": "a.service.account"}:
                return self._errors(403, "permission denied")
        else:
            return self._errors(403, "permission denied")
        return self._auth(self.issue())

    def _describe_token(self, path: str, request: ReceivedRequest, token: str) -> Behaviour:
        if (request.method, path) == ("GET", "auth/token/lookup-self"):
            if not self.looked:
                return self._errors(403, "permission denied")
            ttl = self.ends[token] - self.now() if token in self.ends else timedelta()
            return json_behaviour(
                {"data": {"ttl": int(ttl.total_seconds()), "renewable": self.renewable}}
            )
        if (request.method, path) == ("POST", "auth/token/renew-self"):
            self.asked["renew"] += 1
            if not self.renewable:
                return self._errors(400, "lease is not renewable")
            latest_end = self.began[token] + timedelta(seconds=self.longest)
            self.ends[token] = min(self.now() + timedelta(seconds=self.lifetime), latest_end)
            return self._auth(token)
        return self.refuse(path, self._errors(405, "unsupported operation"))

    def _auth(self, token: str) -> Behaviour:
        seconds_left = int((self.ends[token] - self.now()).total_seconds())
        auth = {"client_token": token, "lease_duration": seconds_left, "renewable": self.renewable}
        return json_behaviour({"lease_id": "", "data": None, "auth": auth})

    def _kv(self, path: str, request: ReceivedRequest) -> Behaviour:
        head, _, name = path.partition("/data/")
        if head != self.mount:
            return self._errors(404, f"no handler for route {path!r}")
        if request.method == "POST":
            if request.json().keys() != {"data"} or not isinstance(request.json()["data"], dict):
                return self.refuse("data", self._errors(400, "no data provided"))
            self.secrets[name] = request.json()["data"]
            return json_behaviour({"data": {"version": 1, "destroyed": False}})
        if name not in self.secrets:
            return self._errors(404)
        secret = self.secrets[name]
        metadata = {"version": 1, "deletion_time": "" if secret else "2026-01-01T00:00:00Z"}
        return json_behaviour(
            {"data": {"data": secret, "metadata": metadata}}, 200 if secret else 404
        )

    def _errors(self, status: int, *errors: str) -> Behaviour:
        return json_behaviour({"errors": errors}, status)


class AwsHarness(Harness):
    """A fake AWS Secrets Manager that checks signatures, with instance and container roles."""

    kind = "aws"
    region = "eu-central-1"

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, tuple[str, str | None]] = {"AKIDGIVEN": (SECRET, None)}
        self.role: str | None = "our-role"

    def manager(self, **options: Any) -> AwsSecretsManager:
        """Return a client with static access keys."""
        options = {"identity": AwsKeys("AKIDGIVEN", SECRET), "endpoint": self.url, **options}
        return AwsSecretsManager(self.region, **options)

    def revoke(self) -> None:
        """Revoke every temporary key."""
        self.keys = {"AKIDGIVEN": self.keys["AKIDGIVEN"]}

    def handle(self, request: ReceivedRequest) -> Behaviour:
        """Answer a request as AWS does."""
        if request.path.startswith("/latest/"):
            return self._instance(request)
        if request.path.startswith("/container"):
            if request.headers.get("authorization") != "proof of the pod":
                return json_behaviour({"code": "AccessDenied"}, 401)
            return self._role()
        if request.path == "/sts/":
            return self._web_identity(dict(parse_qsl(request.body.decode())))
        if request.method != "POST" or request.target != "/":
            return self.refuse(request.target, self._error("UnknownOperationException"))
        if request.headers.get("content-type") != "application/x-amz-json-1.1":
            return self.refuse("content-type", self._error("SerializationException"))
        problem = self._signature_fault(request)
        if problem is not None:
            return self._error(problem)
        return self._operation(request.headers["x-amz-target"], request.json())

    def _web_identity(self, options: dict[str, str]) -> Behaviour:
        """Exchange a pod's token for keys of a role, as AWS's token service (STS) does."""
        if options.pop("WebIdentityToken", "") != "token of the pod":
            error = "<Error><Type>Sender</Type><Code>InvalidIdentityToken</Code></Error>"
            return Behaviour(400, body=f"<ErrorResponse>{error}</ErrorResponse>".encode())
        expected = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": "arn:aws:iam::1:role/ours",
            "RoleSessionName": "moorage",
        }
        if options != expected:
            return self.refuse(f"{options}", Behaviour(400))
        keys: Any = self._role()
        fields = json.loads(keys.body)
        names = {"Token": "SessionToken"}
        credentials = "".join(
            f"<{names.get(name, name)}>{fields[name]}</{names.get(name, name)}>"
            for name in ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
        )
        return Behaviour(
            body="<AssumeRoleWithWebIdentityResponse"
            ' xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>'
            f"<Audience>sts.amazonaws.com</Audience><Credentials>{credentials}</Credentials>"
            "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>".encode()
        )

    def _operation(self, target: str, options: dict[str, str]) -> Behaviour:
        service, _, action = target.partition(".")
        fields = {
            "GetSecretValue": {"SecretId"},
            "PutSecretValue": {"SecretId", "SecretString", "ClientRequestToken"},
            "CreateSecret": {"Name", "SecretString", "ClientRequestToken"},
        }
        if service != "secretsmanager" or options.keys() != fields.get(action):
            return self.refuse(target, self._error("ValidationException"))
        if not 32 <= len(options.get("ClientRequestToken", "-" * 32)) <= 64:
            return self.refuse("ClientRequestToken", self._error("ValidationException"))
        name = options.get("SecretId") or options["Name"]
        if (action == "CreateSecret") == (name in self.secrets):
            is_missing = action != "CreateSecret"
            return self._error(
                "ResourceNotFoundException" if is_missing else "ResourceExistsException"
            )
        if action != "GetSecretValue":
            self.secrets[name] = options["SecretString"]
            return json_behaviour({"Name": name, "VersionId": "v"})
        secret = self.secrets[name]
        if isinstance(secret, bytes):
            return json_behaviour({"Name": name, "SecretBinary": b64encode(secret).decode()})
        return json_behaviour({"Name": name, "SecretString": secret})

    def _signature_fault(self, request: ReceivedRequest) -> str | None:
        """Return the fault in a request's AWS signature; None if the signature is valid."""
        scheme, _, signature_parts = request.headers.get("authorization", "").partition(" ")
        if scheme != "AWS4-HMAC-SHA256":
            return "MissingAuthenticationTokenException"
        parts = dict(part.split("=", 1) for part in signature_parts.split(", "))
        access, day, region, service, ending = parts["Credential"].split("/")
        if access not in self.keys:
            return "UnrecognizedClientException"
        secret, token = self.keys[access]
        if request.headers.get("x-amz-security-token") != token:
            return "UnrecognizedClientException"
        stamp = request.headers["x-amz-date"]
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(signed_at - self.now()) > timedelta(minutes=5):
            return "InvalidSignatureException"
        signed_headers = parts["SignedHeaders"].split(";")
        targets = {"host", "x-amz-date", "x-amz-target", "content-type"}
        if not targets | ({"x-amz-security-token"} if token else set()) <= {*signed_headers}:
            return "InvalidSignatureException"
        lines = "".join(f"{name}:{request.headers[name].strip()}\n" for name in signed_headers)
        body = sha256(request.body).hexdigest()
        canonical = f"{request.method}\n/\n\n{lines}\n{parts['SignedHeaders']}\n{body}"
        scope = f"{day}/{self.region}/secretsmanager/aws4_request"
        digest = sha256(canonical.encode()).hexdigest()
        key = b"AWS4" + secret.encode()
        for step in (day, region, service, ending):
            key = hmac.digest(key, step.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        expected_signature = hmac.digest(key, text.encode(), "sha256").hex()
        return None if expected_signature == parts["Signature"] else "InvalidSignatureException"

    def _instance(self, request: ReceivedRequest) -> Behaviour:
        if (request.method, request.path) == ("PUT", "/latest/api/token"):
            if request.headers.get("x-aws-ec2-metadata-token-ttl-seconds") != "3600":
                return self.refuse("ttl", Behaviour(400))
            return Behaviour(200, body=b"metadata-token")
        if request.headers.get("x-aws-ec2-metadata-token") != "metadata-token":
            return Behaviour(401)
        roles = "/latest/meta-data/iam/security-credentials/"
        if self.role is None:
            return Behaviour(404)
        if request.path == roles:
            return Behaviour(200, body=self.role.encode())
        return self._role() if request.path == roles + self.role else Behaviour(404)

    def _role(self) -> Behaviour:
        token = self.token()
        self.keys[f"ASIA{token}"] = (f"secret-{token}", f"session-{token}")
        expiration = (self.now() + timedelta(seconds=self.lifetime)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json_behaviour(
            {
                "Code": "Success",
                "AccessKeyId": f"ASIA{token}",
                "SecretAccessKey": f"secret-{token}",
                "Token": f"session-{token}",
                "Expiration": expiration,
            }
        )

    def _error(self, code: str, status: int = 400) -> Behaviour:
        return json_behaviour({"__type": code, "Message": f"{SECRET} is not allowed"}, status)


class GcpHarness(Harness):
    """A fake Google Secret Manager with its token service and the machine's metadata server."""

    kind = "gcp"
    project = "our-project"

    def __init__(self) -> None:
        super().__init__()
        self.disabled: set[str] = set()
        self.checksum: str | None = ""

    def account(self) -> GcpServiceAccount:
        """Return a service account whose key is registered at the fake server."""
        return GcpServiceAccount("us@our-project.iam", PEM, "key-1", f"{self.url}/token")

    def manager(self, **options: Any) -> GcpSecretManager:
        """Return a client that logs in as a service account."""
        options = {"identity": self.account(), "endpoint": self.url, **options}
        return GcpSecretManager(self.project, **options)

    def handle(self, request: ReceivedRequest) -> Behaviour:
        """Answer a request as Google Cloud does."""
        if request.path == "/token":
            return self._token(request)
        if request.path.startswith("/computeMetadata/"):
            if request.headers.get("metadata-flavor") != "Google":
                return Behaviour(403)
            token_path = "/computeMetadata/v1/instance/service-accounts/default/token"
            return self._token_response() if request.path == token_path else Behaviour(404)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return self._error(401, "UNAUTHENTICATED")
        return self._secrets(request)

    def _secrets(self, request: ReceivedRequest) -> Behaviour:
        top = f"/v1/projects/{self.project}/secrets"
        if (request.method, request.path) == ("POST", top):
            if request.json() != {"replication": {"automatic": {}}}:
                return self.refuse("replication", self._error(400, "INVALID_ARGUMENT"))
            ((key, name),) = request.query
            if key != "secretId":
                return self.refuse(key, self._error(400, "INVALID_ARGUMENT"))
            self.secrets.setdefault(name, None)
            return json_behaviour({"name": f"projects/1/secrets/{name}"})
        name, _, action = request.path.removeprefix(f"{top}/").partition(":")
        if (request.method, action) == ("POST", "addVersion"):
            return self._add(name, request.json()["payload"])
        name, _, version = name.partition("/versions/")
        if (request.method, action, version) != ("GET", "access", "latest"):
            return self.refuse(request.path, self._error(404, "NOT_FOUND"))
        if name in self.disabled:
            return self._error(400, "FAILED_PRECONDITION")
        if self.secrets.get(name) is None:
            return self._error(404, "NOT_FOUND")
        data = self.secrets[name].encode()
        payload = {"data": b64encode(data).decode(), "dataCrc32c": str(checksum(data))}
        if self.checksum is None:
            del payload["dataCrc32c"]
        elif self.checksum:
            payload["dataCrc32c"] = self.checksum
        return json_behaviour({"name": "projects/1/secrets/…/versions/1", "payload": payload})

    def _add(self, name: str, payload: dict[str, str]) -> Behaviour:
        data = b64decode(payload["data"], validate=True)
        if payload["dataCrc32c"] != str(checksum(data)):
            return self.refuse("crc", self._error(400, "INVALID_ARGUMENT"))
        if name not in self.secrets:
            return self._error(404, "NOT_FOUND")
        self.secrets[name] = data.decode()
        return json_behaviour({"name": "…", "state": "ENABLED"})

    def _token(self, request: ReceivedRequest) -> Behaviour:
        form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self.refuse("grant", json_behaviour({"error": "unsupported_grant_type"}, 400))
        head, claims, signature = form["assertion"].split(".")
        fields = json.loads(_decode(claims))
        is_invalid = (
            json.loads(_decode(head)) != {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
            or fields["iss"] != "us@our-project.iam"
            or fields["aud"] != f"{self.url}/token"
            or fields["scope"] != "https://www.googleapis.com/auth/cloud-platform"
            or not 0 < fields["exp"] - fields["iat"] <= 3600
            or abs(fields["iat"] - self.now().timestamp()) > 300
        )
        if is_invalid:
            return json_behaviour(
                {"error": "invalid_grant", "error_description": "Invalid JWT"}, 400
            )
        KEY.public_key().verify(
            _decode(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        return self._token_response()

    def _token_response(self) -> Behaviour:
        token = self.token()
        return json_behaviour(
            {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}
        )

    def _error(self, status: int, code: str) -> Behaviour:
        error = {"code": status, "message": f"{SECRET} is not allowed", "status": code}
        return json_behaviour({"error": error}, status)


class AzureHarness(Harness):
    """A fake Azure Key Vault with its token service and the machine's metadata server."""

    kind = "azure"

    def __init__(self) -> None:
        super().__init__()
        self.resource = "http://127.0.0.1"
        self.directory = "https://login.windows.net/our-directory"
        self.disabled: set[str] = set()

    def manager(self, **options: Any) -> AzureKeyVault:
        """Return a client that logs in as an application."""
        options = {"identity": AzureClient("our-app", SECRET, authority=self.url), **options}
        return AzureKeyVault(self.url, **options)

    def handle(self, request: ReceivedRequest) -> Behaviour:
        """Answer a request as Azure does."""
        if request.path.endswith("/oauth2/v2.0/token"):
            return self._token(request)
        if request.path == "/metadata/identity/oauth2/token":
            fields = {"api-version": "2018-02-01", "resource": self.resource}
            query = dict(request.query)
            if request.headers.get("metadata") != "true" or query.pop("client_id", "u") != "u":
                return json_behaviour({"error": "invalid_request"}, 400)
            if query != fields:
                return self.refuse("metadata", json_behaviour({"error": "invalid_resource"}, 400))
            return self._token_response(str(self.lifetime))
        if dict(request.query).get("api-version") != "7.4":
            return self.refuse("api-version", self._error(400, "BadParameter"))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            challenge = f'Bearer authorization="{self.directory}", resource="{self.resource}"'
            return json_behaviour(
                {"error": {"code": "Unauthorized", "message": f"AKV10000 {SECRET}"}},
                401,
                **{"WWW-Authenticate": challenge},
            )
        return self._secrets(request)

    def _secrets(self, request: ReceivedRequest) -> Behaviour:
        name = request.path.removeprefix("/secrets/")
        if not name.replace("-", "").isalnum():
            return self.refuse(request.path, self._error(400, "BadParameter"))
        if request.method == "PUT":
            if request.headers.get("content-type") != "application/json":
                return self.refuse("content-type", self._error(415, "UnsupportedMediaType"))
            self.secrets[name] = request.json()["value"]
        elif request.method != "GET":
            return self.refuse(request.method, self._error(405, "MethodNotAllowed"))
        elif name in self.disabled:
            return self._error(403, "Forbidden", {"code": "SecretDisabled"})
        elif name not in self.secrets:
            return self._error(404, "SecretNotFound")
        return json_behaviour({"value": self.secrets[name], "id": f"{self.url}/secrets/{name}/1"})

    def _token(self, request: ReceivedRequest) -> Behaviour:
        form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        if form.get("grant_type") != "client_credentials":
            return self.refuse("grant", json_behaviour({"error": "unsupported_grant_type"}, 400))
        if form.get("scope") != f"{self.resource}/.default":
            return self.refuse("scope", json_behaviour({"error": "invalid_scope"}, 400))
        if (form["client_id"], form["client_secret"]) != ("our-app", SECRET):
            description = f"AADSTS7000215: {SECRET}"
            return json_behaviour(
                {"error": "invalid_client", "error_description": description}, 401
            )
        if request.path != "/our-directory/oauth2/v2.0/token":
            return json_behaviour({"error": "invalid_request"}, 400)
        return self._token_response(self.lifetime)

    def _token_response(self, lifetime: int | str) -> Behaviour:
        token = self.token()
        return json_behaviour(
            {"access_token": token, "expires_in": lifetime, "token_type": "Bearer"}
        )

    def _error(self, status: int, code: str, inner: object = None) -> Behaviour:
        error = {"code": code, "message": f"{SECRET} is not allowed", "innererror": inner}
        return json_behaviour({"error": error}, status)


HARNESSES: dict[str, type[Harness]] = {
    harness.kind: harness for harness in (VaultHarness, AwsHarness, GcpHarness, AzureHarness)
}


def checksum(data: bytes) -> int:
    """Compute CRC-32C bit by bit, as in the standard."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= int(f"{byte:08b}"[::-1], 2) << 24
        for _ in range(8):
            register = (register << 1 ^ (0x1EDC6F41 if register >> 31 else 0)) & 0xFFFFFFFF
    return int(f"{register:032b}"[::-1], 2) ^ 0xFFFFFFFF


def _decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
