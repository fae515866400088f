"""Four secret managers on this machine, as strict as their documentation says they are.

Each keeps its secrets in `secrets`, by name. A request that the vendor would not take is answered
as the vendor would, and what is wrong with it is noted in `complaints`.
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

from moorage.adapters.aws_identity import AwsKeys
from moorage.adapters.aws_secrets_manager import AwsSecretsManager
from moorage.adapters.azure_key_vault import AzureClient, AzureKeyVault
from moorage.adapters.gcp_secret_manager import GcpSecretManager, GcpServiceAccount
from moorage.adapters.hashicorp_vault import HashiCorpVault, VaultAppRole
from moorage.testing import Behaviour, VendorServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from moorage.testing.http_server import Received

SECRET = "s3cr3t-of-ours"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()


class Lab:
    """A manager, with what all of them have in common."""

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
        """Where it is."""
        return self.server.url

    def manager(self, **options: Any) -> Any:
        """What speaks to it."""
        raise NotImplementedError

    def handle(self, asked: Received) -> Behaviour:
        """Answer a request."""
        raise NotImplementedError

    def put(self, name: str, content: str) -> None:
        """Write a secret as a person would."""
        self.secrets[name] = content

    def token(self) -> str:
        """A token that nobody has."""
        self.asked["login"] += 1
        token = f"token-{self.asked['login']}"
        self.tokens.add(token)
        return token

    def revoke(self) -> None:
        """Forget every token."""
        self.tokens.clear()

    def bad(self, what: str, behaviour: Behaviour) -> Behaviour:
        """Refuse a request that no client of ours may send."""
        self.complaints.append(what)
        return behaviour

    def _answer(self, asked: Received) -> Behaviour:
        if asked.headers.get_all("host") != (f"127.0.0.1:{self.server.address[1]}",):
            return self.bad("host", Behaviour(400))
        return self.handle(asked)


def said(value: object, status: int = 200, **headers: str) -> Behaviour:
    """An answer in JSON."""
    return Behaviour.of_json(value, status=status, headers=headers)


class VaultLab(Lab):
    """HashiCorp Vault with KV version 2, AppRole and Kubernetes."""

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
        """What speaks to it, as a role."""
        return HashiCorpVault(self.url, VaultAppRole("our-role", SECRET), **options)

    def put(self, name: str, content: str) -> None:
        """Write a secret as a person would: Vault keeps tables."""
        self.secrets[name] = json.loads(content) if content.startswith("{") else {"secret": content}

    def issue(self, token: str | None = None) -> str:
        """A token of the lab's lifetime."""
        token = token or self.token()
        self.tokens.add(token)
        self.began[token] = self.now()
        self.ends[token] = self.now() + timedelta(seconds=self.lifetime)
        return token

    def handle(self, asked: Received) -> Behaviour:
        """Answer as Vault's HTTP API does."""
        headers = asked.headers
        if headers.get("x-vault-request") != "true":
            return self.bad("x-vault-request", self._errors(400, "missing header"))
        if headers.get("x-vault-namespace") != self.namespace:
            return self._errors(404, "no handler for route")
        if asked.method == "POST" and headers.get("content-type") != "application/json":
            return self.bad("content-type", self._errors(400, "failed to parse JSON input"))
        if not asked.path.startswith("/v1/"):
            return self.bad(asked.path, self._errors(404))
        path = asked.path.removeprefix("/v1/")
        if path.startswith("auth/") and path.endswith("/login"):
            return self._login(path, asked)
        token = headers.get("x-vault-token", "")
        if token not in self.tokens or self.ends.get(token, self.now()) < self.now():
            return self._errors(403, "permission denied")
        if path.startswith("auth/token/"):
            return self._own(path, asked, token)
        return self._kv(path, asked)

    def _login(self, path: str, asked: Received) -> Behaviour:
        given = asked.json()
        if path == "auth/approle/login":
            if given.keys() - {"role_id", "secret_id"}:
                return self.bad("approle", self._errors(400, "unknown field"))
            if (given["role_id"], given.get("secret_id")) not in {
                ("our-role", SECRET),
                ("open-role", None),
            }:
                return self._errors(400, "invalid role or secret ID")
        elif path == "auth/clusters/ours/login":
            if given != {"role": "our-pod", "jwt": "a.service.account"}:
                return self._errors(403, "permission denied")
        else:
            return self._errors(403, "permission denied")
        return self._auth(self.issue())

    def _own(self, path: str, asked: Received, token: str) -> Behaviour:
        if (asked.method, path) == ("GET", "auth/token/lookup-self"):
            if not self.looked:
                return self._errors(403, "permission denied")
            ttl = self.ends[token] - self.now() if token in self.ends else timedelta()
            return said({"data": {"ttl": int(ttl.total_seconds()), "renewable": self.renewable}})
        if (asked.method, path) == ("POST", "auth/token/renew-self"):
            self.asked["renew"] += 1
            if not self.renewable:
                return self._errors(400, "lease is not renewable")
            most = self.began[token] + timedelta(seconds=self.longest)
            self.ends[token] = min(self.now() + timedelta(seconds=self.lifetime), most)
            return self._auth(token)
        return self.bad(path, self._errors(405, "unsupported operation"))

    def _auth(self, token: str) -> Behaviour:
        left = int((self.ends[token] - self.now()).total_seconds())
        auth = {"client_token": token, "lease_duration": left, "renewable": self.renewable}
        return said({"lease_id": "", "data": None, "auth": auth})

    def _kv(self, path: str, asked: Received) -> Behaviour:
        head, _, name = path.partition("/data/")
        if head != self.mount:
            return self._errors(404, f"no handler for route {path!r}")
        if asked.method == "POST":
            if asked.json().keys() != {"data"} or not isinstance(asked.json()["data"], dict):
                return self.bad("data", self._errors(400, "no data provided"))
            self.secrets[name] = asked.json()["data"]
            return said({"data": {"version": 1, "destroyed": False}})
        if name not in self.secrets:
            return self._errors(404)
        kept = self.secrets[name]
        metadata = {"version": 1, "deletion_time": "" if kept else "2026-01-01T00:00:00Z"}
        return said({"data": {"data": kept, "metadata": metadata}}, 200 if kept else 404)

    def _errors(self, status: int, *errors: str) -> Behaviour:
        return said({"errors": errors}, status)


class AwsLab(Lab):
    """AWS Secrets Manager, which checks signatures; and an instance and a container with a role."""

    kind = "aws"
    region = "eu-central-1"

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, tuple[str, str | None]] = {"AKIDGIVEN": (SECRET, None)}
        self.role: str | None = "our-role"

    def manager(self, **options: Any) -> AwsSecretsManager:
        """What speaks to it, with keys."""
        options = {"identity": AwsKeys("AKIDGIVEN", SECRET), "endpoint": self.url, **options}
        return AwsSecretsManager(self.region, **options)

    def revoke(self) -> None:
        """Let no temporary key hold any longer."""
        self.keys = {"AKIDGIVEN": self.keys["AKIDGIVEN"]}

    def handle(self, asked: Received) -> Behaviour:
        """Answer as AWS does."""
        if asked.path.startswith("/latest/"):
            return self._instance(asked)
        if asked.path.startswith("/container"):
            if asked.headers.get("authorization") != "proof of the pod":
                return said({"code": "AccessDenied"}, 401)
            return self._role()
        if asked.method != "POST" or asked.target != "/":
            return self.bad(asked.target, self._error("UnknownOperationException"))
        if asked.headers.get("content-type") != "application/x-amz-json-1.1":
            return self.bad("content-type", self._error("SerializationException"))
        problem = self._unsigned(asked)
        if problem is not None:
            return self._error(problem)
        return self._operation(asked.headers["x-amz-target"], asked.json())

    def _operation(self, target: str, given: dict[str, str]) -> Behaviour:
        service, _, action = target.partition(".")
        wanted = {
            "GetSecretValue": {"SecretId"},
            "PutSecretValue": {"SecretId", "SecretString", "ClientRequestToken"},
            "CreateSecret": {"Name", "SecretString", "ClientRequestToken"},
        }
        if service != "secretsmanager" or given.keys() != wanted.get(action):
            return self.bad(target, self._error("ValidationException"))
        if not 32 <= len(given.get("ClientRequestToken", "-" * 32)) <= 64:
            return self.bad("ClientRequestToken", self._error("ValidationException"))
        name = given.get("SecretId") or given["Name"]
        if (action == "CreateSecret") == (name in self.secrets):
            missing = action != "CreateSecret"
            return self._error(
                "ResourceNotFoundException" if missing else "ResourceExistsException"
            )
        if action != "GetSecretValue":
            self.secrets[name] = given["SecretString"]
            return said({"Name": name, "VersionId": "v"})
        kept = self.secrets[name]
        if isinstance(kept, bytes):
            return said({"Name": name, "SecretBinary": b64encode(kept).decode()})
        return said({"Name": name, "SecretString": kept})

    def _unsigned(self, asked: Received) -> str | None:
        """What is wrong with the signature, worked out from AWS's description of it."""
        scheme, _, rest = asked.headers.get("authorization", "").partition(" ")
        if scheme != "AWS4-HMAC-SHA256":
            return "MissingAuthenticationTokenException"
        parts = dict(part.split("=", 1) for part in rest.split(", "))
        access, day, region, service, ending = parts["Credential"].split("/")
        if access not in self.keys:
            return "UnrecognizedClientException"
        secret, token = self.keys[access]
        if asked.headers.get("x-amz-security-token") != token:
            return "UnrecognizedClientException"
        stamp = asked.headers["x-amz-date"]
        sent = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(sent - self.now()) > timedelta(minutes=5):
            return "InvalidSignatureException"
        signed = parts["SignedHeaders"].split(";")
        wanted = {"host", "x-amz-date", "x-amz-target", "content-type"}
        if not wanted | ({"x-amz-security-token"} if token else set()) <= {*signed}:
            return "InvalidSignatureException"
        lines = "".join(f"{name}:{asked.headers[name].strip()}\n" for name in signed)
        body = sha256(asked.body).hexdigest()
        canonical = f"{asked.method}\n/\n\n{lines}\n{parts['SignedHeaders']}\n{body}"
        scope = f"{day}/{self.region}/secretsmanager/aws4_request"
        digest = sha256(canonical.encode()).hexdigest()
        key = b"AWS4" + secret.encode()
        for step in (day, region, service, ending):
            key = hmac.digest(key, step.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        good = hmac.digest(key, text.encode(), "sha256").hex()
        return None if good == parts["Signature"] else "InvalidSignatureException"

    def _instance(self, asked: Received) -> Behaviour:
        if (asked.method, asked.path) == ("PUT", "/latest/api/token"):
            if asked.headers.get("x-aws-ec2-metadata-token-ttl-seconds") != "3600":
                return self.bad("ttl", Behaviour(400))
            return Behaviour(200, body=b"metadata-token")
        if asked.headers.get("x-aws-ec2-metadata-token") != "metadata-token":
            return Behaviour(401)
        roles = "/latest/meta-data/iam/security-credentials/"
        if self.role is None:
            return Behaviour(404)
        if asked.path == roles:
            return Behaviour(200, body=self.role.encode())
        return self._role() if asked.path == roles + self.role else Behaviour(404)

    def _role(self) -> Behaviour:
        token = self.token()
        self.keys[f"ASIA{token}"] = (f"secret-{token}", f"session-{token}")
        ends = (self.now() + timedelta(seconds=self.lifetime)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return said(
            {
                "Code": "Success",
                "AccessKeyId": f"ASIA{token}",
                "SecretAccessKey": f"secret-{token}",
                "Token": f"session-{token}",
                "Expiration": ends,
            }
        )

    def _error(self, code: str, status: int = 400) -> Behaviour:
        return said({"__type": code, "Message": f"{SECRET} is not allowed"}, status)


class GcpLab(Lab):
    """Google's Secret Manager, its token service, and a machine's metadata."""

    kind = "gcp"
    project = "our-project"

    def __init__(self) -> None:
        super().__init__()
        self.disabled: set[str] = set()
        self.checksum: str | None = ""

    def account(self) -> GcpServiceAccount:
        """An account whose key the lab knows."""
        return GcpServiceAccount("us@our-project.iam", PEM, "key-1", f"{self.url}/token")

    def manager(self, **options: Any) -> GcpSecretManager:
        """What speaks to it, as a service account."""
        options = {"identity": self.account(), "endpoint": self.url, **options}
        return GcpSecretManager(self.project, **options)

    def handle(self, asked: Received) -> Behaviour:
        """Answer as Google does."""
        if asked.path == "/token":
            return self._token(asked)
        if asked.path.startswith("/computeMetadata/"):
            if asked.headers.get("metadata-flavor") != "Google":
                return Behaviour(403)
            whose = "/computeMetadata/v1/instance/service-accounts/default/token"
            return self._granted() if asked.path == whose else Behaviour(404)
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return self._error(401, "UNAUTHENTICATED")
        return self._secrets(asked)

    def _secrets(self, asked: Received) -> Behaviour:
        top = f"/v1/projects/{self.project}/secrets"
        if (asked.method, asked.path) == ("POST", top):
            if asked.json() != {"replication": {"automatic": {}}}:
                return self.bad("replication", self._error(400, "INVALID_ARGUMENT"))
            ((key, name),) = asked.query
            if key != "secretId":
                return self.bad(key, self._error(400, "INVALID_ARGUMENT"))
            self.secrets.setdefault(name, None)
            return said({"name": f"projects/1/secrets/{name}"})
        name, _, action = asked.path.removeprefix(f"{top}/").partition(":")
        if (asked.method, action) == ("POST", "addVersion"):
            return self._add(name, asked.json()["payload"])
        name, _, version = name.partition("/versions/")
        if (asked.method, action, version) != ("GET", "access", "latest"):
            return self.bad(asked.path, self._error(404, "NOT_FOUND"))
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
        return said({"name": "projects/1/secrets/…/versions/1", "payload": payload})

    def _add(self, name: str, payload: dict[str, str]) -> Behaviour:
        data = b64decode(payload["data"], validate=True)
        if payload["dataCrc32c"] != str(checksum(data)):
            return self.bad("crc", self._error(400, "INVALID_ARGUMENT"))
        if name not in self.secrets:
            return self._error(404, "NOT_FOUND")
        self.secrets[name] = data.decode()
        return said({"name": "…", "state": "ENABLED"})

    def _token(self, asked: Received) -> Behaviour:
        form = dict(parse_qsl(asked.body.decode(), strict_parsing=True))
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self.bad("grant", said({"error": "unsupported_grant_type"}, 400))
        head, claims, signature = form["assertion"].split(".")
        told = json.loads(_decoded(claims))
        wrong = (
            json.loads(_decoded(head)) != {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
            or told["iss"] != "us@our-project.iam"
            or told["aud"] != f"{self.url}/token"
            or told["scope"] != "https://www.googleapis.com/auth/cloud-platform"
            or not 0 < told["exp"] - told["iat"] <= 3600
            or abs(told["iat"] - self.now().timestamp()) > 300
        )
        if wrong:
            return said({"error": "invalid_grant", "error_description": "Invalid JWT"}, 400)
        KEY.public_key().verify(
            _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        return self._granted()

    def _granted(self) -> Behaviour:
        token = self.token()
        return said({"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"})

    def _error(self, status: int, code: str) -> Behaviour:
        error = {"code": status, "message": f"{SECRET} is not allowed", "status": code}
        return said({"error": error}, status)


class AzureLab(Lab):
    """Azure Key Vault, its token service, and a machine's metadata."""

    kind = "azure"

    def __init__(self) -> None:
        super().__init__()
        self.resource = "http://127.0.0.1"
        self.directory = "https://login.windows.net/our-directory"
        self.disabled: set[str] = set()

    def manager(self, **options: Any) -> AzureKeyVault:
        """What speaks to it, as an application."""
        options = {"identity": AzureClient("our-app", SECRET, authority=self.url), **options}
        return AzureKeyVault(self.url, **options)

    def handle(self, asked: Received) -> Behaviour:
        """Answer as Azure does."""
        if asked.path.endswith("/oauth2/v2.0/token"):
            return self._token(asked)
        if asked.path == "/metadata/identity/oauth2/token":
            wanted = {"api-version": "2018-02-01", "resource": self.resource}
            query = dict(asked.query)
            if asked.headers.get("metadata") != "true" or query.pop("client_id", "u") != "u":
                return said({"error": "invalid_request"}, 400)
            if query != wanted:
                return self.bad("metadata", said({"error": "invalid_resource"}, 400))
            return self._granted(str(self.lifetime))
        if dict(asked.query).get("api-version") != "7.4":
            return self.bad("api-version", self._error(400, "BadParameter"))
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            challenge = f'Bearer authorization="{self.directory}", resource="{self.resource}"'
            return said(
                {"error": {"code": "Unauthorized", "message": f"AKV10000 {SECRET}"}},
                401,
                **{"WWW-Authenticate": challenge},
            )
        return self._secrets(asked)

    def _secrets(self, asked: Received) -> Behaviour:
        name = asked.path.removeprefix("/secrets/")
        if not name.replace("-", "").isalnum():
            return self.bad(asked.path, self._error(400, "BadParameter"))
        if asked.method == "PUT":
            if asked.headers.get("content-type") != "application/json":
                return self.bad("content-type", self._error(415, "UnsupportedMediaType"))
            self.secrets[name] = asked.json()["value"]
        elif asked.method != "GET":
            return self.bad(asked.method, self._error(405, "MethodNotAllowed"))
        elif name in self.disabled:
            return self._error(403, "Forbidden", {"code": "SecretDisabled"})
        elif name not in self.secrets:
            return self._error(404, "SecretNotFound")
        return said({"value": self.secrets[name], "id": f"{self.url}/secrets/{name}/1"})

    def _token(self, asked: Received) -> Behaviour:
        form = dict(parse_qsl(asked.body.decode(), strict_parsing=True))
        if form.get("grant_type") != "client_credentials":
            return self.bad("grant", said({"error": "unsupported_grant_type"}, 400))
        if form.get("scope") != f"{self.resource}/.default":
            return self.bad("scope", said({"error": "invalid_scope"}, 400))
        if (form["client_id"], form["client_secret"]) != ("our-app", SECRET):
            description = f"AADSTS7000215: {SECRET}"
            return said({"error": "invalid_client", "error_description": description}, 401)
        if asked.path != "/our-directory/oauth2/v2.0/token":
            return said({"error": "invalid_request"}, 400)
        return self._granted(self.lifetime)

    def _granted(self, lifetime: int | str) -> Behaviour:
        token = self.token()
        return said({"access_token": token, "expires_in": lifetime, "token_type": "Bearer"})

    def _error(self, status: int, code: str, inner: object = None) -> Behaviour:
        error = {"code": code, "message": f"{SECRET} is not allowed", "innererror": inner}
        return said({"error": error}, status)


LABS: dict[str, type[Lab]] = {lab.kind: lab for lab in (VaultLab, AwsLab, GcpLab, AzureLab)}


def checksum(data: bytes) -> int:
    """CRC-32C, bit by bit in the order of its polynomial, as the standard writes it."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= int(f"{byte:08b}"[::-1], 2) << 24
        for _ in range(8):
            register = (register << 1 ^ (0x1EDC6F41 if register >> 31 else 0)) & 0xFFFFFFFF
    return int(f"{register:032b}"[::-1], 2) ^ 0xFFFFFFFF


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
