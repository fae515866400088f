"""AWS Secrets Manager: request signatures, sources of access keys, and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.secret_managers.aws_identity import AwsEnvironment, AwsKeys
from moorage.adapters.secret_managers.aws_secrets_manager import AwsSecretsManager
from moorage.domain.auth.methods import Credentials
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    StorageUnavailable,
)
from moorage.testing import Behaviour
from tests.adapters.managed_providers import BOTH_MODES, ProviderInMode
from tests.adapters.manager_harnesses import SECRET, AwsHarness

if TYPE_CHECKING:
    from pathlib import Path

OLD = Credentials.bearer("old")
NAME = "moorage/services/shop"


class Aws(ProviderInMode):
    """A fake AWS account that contains one secret."""

    harness: AwsHarness

    def __init__(self, *, is_async: bool) -> None:
        super().__init__(AwsHarness(), is_async=is_async)
        self.harness.put(NAME, "old")

    def provider_in(self, **environment: str) -> Any:
        """Return a provider that finds its access keys in these environment variables."""
        return self.provider(self.harness.manager(identity=AwsEnvironment(environment)))

    def instance(self, **environment: str) -> Any:
        """Return a provider that gets its keys from the fake instance metadata service."""
        return self.provider_in(
            AWS_EC2_METADATA_SERVICE_ENDPOINT=f"{self.harness.url}/", **environment
        )


@BOTH_MODES
def test_access_keys_in_variables_need_no_metadata_request(is_async: bool) -> None:
    """If the environment variables contain the access keys, no metadata is requested."""
    with Aws(is_async=is_async) as aws:
        aws.harness.keys["ASIATEMP"] = (SECRET, "a-session")
        keys = {"AWS_ACCESS_KEY_ID": "ASIATEMP", "AWS_SECRET_ACCESS_KEY": SECRET}
        assert OLD == aws.get(aws.instance(**keys, AWS_SESSION_TOKEN="a-session"))
        assert 1 == len(aws.harness.server.requests)
        with pytest.raises(InvalidData, match="its session token is missing"):
            aws.get(aws.provider_in(**keys))


@BOTH_MODES
def test_access_keys_of_a_container_are_requested_with_its_token(
    is_async: bool, tmp_path: Path
) -> None:
    """A container's keys are requested with its token, which is in a variable or a file."""
    proof = tmp_path / "proof"
    proof.write_text("proof of the pod\n")
    with Aws(is_async=is_async) as aws:
        for options in (
            {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "proof of the pod"},
            {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(proof)},
        ):
            container_url = f"{aws.harness.url}/container?id=1"
            assert OLD == aws.get(
                aws.provider_in(AWS_CONTAINER_CREDENTIALS_FULL_URI=container_url, **options)
            )
        with pytest.raises(AuthenticationFailed, match="Check the role of this machine"):
            aws.get(
                aws.provider_in(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{aws.harness.url}/container")
            )


@BOTH_MODES
def test_token_of_a_pod_is_exchanged_for_access_keys(is_async: bool, tmp_path: Path) -> None:
    """The token of a pod's service account is exchanged for keys of the role that it names."""
    token = tmp_path / "token"
    token.write_text("token of the pod\n")
    role = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/ours"}
    with Aws(is_async=is_async) as aws:
        pod = {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ENDPOINT_URL_STS": f"{aws.harness.url}/sts",
        }
        assert OLD == aws.get(aws.instance(**pod, **role))
        assert [] == [item for item in aws.harness.server.requests if "/latest/" in item.path]
        with pytest.raises(ConfigurationError, match="AWS_ROLE_ARN is not"):
            aws.get(aws.provider_in(**pod))
        token.write_text(f"{SECRET} of another pod")
        with pytest.raises(AuthenticationFailed, match="InvalidIdentityToken") as excinfo:
            aws.get(aws.provider_in(**pod, **role))
        assert "trusts the service account" in excinfo.value.remedy
        assert SECRET not in str(excinfo.value)


@pytest.mark.parametrize(
    "status, body, error",
    [
        (400, "<ErrorResponse><Code>IDPCommunicationError</Code></ErrorResponse>", "cannot reach"),
        (503, "busy", "is not available"),
        (200, "<Credentials><AccessKeyId>A</AccessKeyId></Credentials>", "unexpected response"),
    ],
)
def test_token_service_that_gives_no_keys(
    status: int, body: str, error: str, tmp_path: Path
) -> None:
    """If the token service fails or answers with something else, a later attempt may succeed."""
    token = tmp_path / "token"
    token.write_text("token of the pod")
    with Aws(is_async=False) as aws:
        aws.harness.server.always(Behaviour(status, body=body.encode()))
        provider = aws.provider_in(
            AWS_WEB_IDENTITY_TOKEN_FILE=str(token),
            AWS_ROLE_ARN="arn:aws:iam::1:role/ours",
            AWS_ENDPOINT_URL_STS=aws.harness.url,
        )
        with pytest.raises(StorageUnavailable, match=error):
            aws.get(provider)


def test_container_credentials_need_tls_or_a_local_url() -> None:
    """Credentials for containers need TLS, except from this machine or AWS's own addresses."""
    with Aws(is_async=False) as aws:
        for container_url in ("http://evil.example/keys", "ftp://127.0.0.1/", "//169.254.170.3"):
            with pytest.raises(ConfigurationError, match="without TLS"):
                aws.get(aws.provider_in(AWS_CONTAINER_CREDENTIALS_FULL_URI=container_url))
        assert () == aws.harness.server.requests


class RedirectingClient:
    """An HTTP client that records addresses and sends the requests to the fake AWS service."""

    def __init__(self, http: Any, harness: AwsHarness) -> None:
        self._http, self._harness, self.urls = http, harness, list[str]()

    def send(self, request: Any, url: str, timeouts: Any) -> Any:
        """Record the request's address, and send the request to the fake service."""
        self.urls.append(url)
        path = "/" + url.split("/", 3)[3]
        return self._http.send(
            request.with_header("Authorization", "proof of the pod"),
            self._harness.url + path,
            timeouts,
        )


def test_default_address_and_credentials() -> None:
    """Containers and instances use the metadata addresses that AWS documents."""
    from moorage.adapters.http.stdlib.client import StdlibHttpClient  # noqa: PLC0415 - here only

    with Aws(is_async=False) as aws, StdlibHttpClient() as http:
        elsewhere_client: Any = RedirectingClient(http, aws.harness)
        for value in (
            {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/container/1"},
            {},
        ):
            manager = aws.harness.manager(
                identity=AwsEnvironment(value), endpoint="https://x.invalid"
            )
            # From here on the signatures are wrong for AWS itself.
            with pytest.raises(ConnectorError):
                aws.get(aws.provider(manager, http=elsewhere_client))
        requests = [url for url in elsewhere_client.urls if "x.invalid" not in url]
    assert "http://169.254.170.2/container/1" == requests[0]
    assert "http://169.254.169.254/latest/api/token" == requests[1]


@BOTH_MODES
def test_access_keys_of_an_instance_are_cached_and_renewed(is_async: bool) -> None:
    """An instance's keys are requested in two steps, cached, and renewed before they expire."""
    with Aws(is_async=is_async) as aws:
        provider = aws.instance()
        for expected in (1, 1, 2, 2):
            assert OLD == aws.get(provider)
            assert expected == aws.harness.asked["login"]
            aws.clock.advance(1300)
        aws.harness.revoke()
        assert OLD == aws.get(provider)
        assert 3 == aws.harness.asked["login"]


@BOTH_MODES
def test_missing_role_and_unreachable_metadata_have_different_errors(is_async: bool) -> None:
    """A missing role, disabled metadata and unreachable metadata have different errors."""
    with Aws(is_async=is_async) as aws:
        aws.harness.role = None
        with pytest.raises(ConfigurationError, match="has no IAM role"):
            aws.get(aws.instance())
        with pytest.raises(ConfigurationError, match="metadata is disabled"):
            aws.get(aws.instance(AWS_EC2_METADATA_DISABLED="True"))
        with pytest.raises(ConfigurationError, match="not an EC2 instance"):
            aws.get(aws.provider_in(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:1"))


@BOTH_MODES
@pytest.mark.parametrize(
    "answers",
    [
        [Behaviour(403)],
        [Behaviour(200, body=b"metadata-token"), Behaviour(403)],
        [Behaviour(200, body=b"t"), Behaviour(200, body=b"our-role"), Behaviour(403)],
    ],
)
def test_refused_metadata_request_raises_authentication_failed(
    answers: list[Behaviour], is_async: bool
) -> None:
    """If the metadata service refuses any of the three requests, AuthenticationFailed is raised."""
    with Aws(is_async=is_async) as aws:
        provider = aws.instance()
        aws.harness.server.queue(*answers)
        with pytest.raises(AuthenticationFailed, match="the instance's metadata refused"):
            aws.get(provider)


@BOTH_MODES
@pytest.mark.parametrize(
    "broken",
    [
        {"SecretAccessKey": "s", "Expiration": "2027-01-01T00:00:00Z"},
        {"AccessKeyId": "a", "Expiration": "2027-01-01T00:00:00Z"},
        {"AccessKeyId": "a", "SecretAccessKey": "s"},
        {"AccessKeyId": "a", "SecretAccessKey": "s", "Expiration": "2027-01-01T00:00:00"},
    ],
)
def test_incomplete_access_keys_are_not_used(broken: dict[str, str], is_async: bool) -> None:
    """If the metadata service returns incomplete access keys, they are not used."""
    with Aws(is_async=is_async) as aws:
        provider = aws.instance()
        aws.harness.server.queue(
            Behaviour(200, body=b"t"), Behaviour(200, body=b"r"), Behaviour.of_json(broken)
        )
        with pytest.raises(StorageUnavailable, match="the instance's metadata returned an"):
            aws.get(provider)


@BOTH_MODES
def test_binary_secret_is_read_as_text_if_it_is_valid_utf8(is_async: bool) -> None:
    """A binary secret is read as text if it is valid UTF-8; other bytes are refused."""
    with Aws(is_async=is_async) as aws:
        aws.harness.secrets[NAME] = b"old"
        assert OLD == aws.get(aws.provider())
        aws.harness.server.queue(Behaviour.of_json({"SecretBinary": "!"}))
        with pytest.raises(StorageUnavailable, match="an unexpected response"):
            aws.get(aws.provider())


@BOTH_MODES
@pytest.mark.parametrize(
    "fields, status, kind",
    [
        ({"__type": "ThrottlingException"}, 400, StorageUnavailable),
        ({"__type": "com.amazonaws#InternalServiceError"}, 500, StorageUnavailable),
        ({"__type": "AccessDeniedException"}, 400, AuthenticationFailed),
        ({"__type": "ExpiredTokenException:http://x/"}, 400, AuthenticationFailed),
        ({"__type": "DecryptionFailure"}, 400, ConfigurationError),
        ({"__type": f"{SECRET} " * 9}, 400, ConfigurationError),
        ({}, 400, ConfigurationError),
    ],
)
def test_aws_error_code_decides_exception(
    fields: dict[str, str],
    status: int,
    kind: type[ConnectorError],
    is_async: bool,
) -> None:
    """AWS's error code decides which exception is raised, because most errors have status 400."""
    with Aws(is_async=is_async) as aws:
        aws.harness.server.always(Behaviour.of_json({**fields, "message": SECRET}, status=status))
        with pytest.raises(kind) as excinfo:
            aws.get(aws.provider())
        assert SECRET not in repr((str(excinfo.value), vars(excinfo.value)))


@BOTH_MODES
def test_error_code_is_read_from_a_header(is_async: bool) -> None:
    """If a proxy removed the response's body, AWS's error code is read from a header."""
    with Aws(is_async=is_async) as aws:
        error_headers = {"x-amzn-ErrorType": "ResourceNotFoundException:http://internal/"}
        aws.harness.server.always(Behaviour(400, error_headers))
        assert not aws.ask(aws.provider().has, "shop", None)


def test_fake_aws_refuses_wrong_signatures_and_times() -> None:
    """The fake AWS service refuses requests with wrong signatures or wrong times."""
    with Aws(is_async=False) as aws:
        wrong_manager = aws.harness.manager(identity=AwsKeys("AKIDGIVEN", "s3cr3t-of-theirs"))
        with pytest.raises(AuthenticationFailed, match=r"InvalidSignature.*and the clock"):
            aws.get(aws.provider(wrong_manager))
        aws.clock.advance(0)
        aws.harness.now = lambda: aws.clock.utc().replace(year=2020)
        with pytest.raises(AuthenticationFailed, match="InvalidSignature"):
            aws.get(aws.provider())


@pytest.mark.parametrize(
    "region, host",
    [
        ("eu-central-1", "https://secretsmanager.eu-central-1.amazonaws.com"),
        ("cn-north-1", "https://secretsmanager.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_each_region_has_an_address(region: str, host: str) -> None:
    """Each AWS region has its own endpoint."""
    assert host == AwsSecretsManager(region).endpoint


def test_repr_of_aws_identities_shows_no_keys() -> None:
    """The `repr` of AWS identities shows neither the keys nor the environment."""
    representation = repr(
        (
            AwsKeys(f"AKID{SECRET}", SECRET, SECRET),
            AwsEnvironment({"AWS_SECRET_ACCESS_KEY": SECRET}),
            AwsEnvironment(),
        )
    )
    assert SECRET not in representation
    assert "PATH" not in representation
