"""Access to Google Cloud Storage: signed forms, tokens, keys and options."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from moorage import Credentials
from moorage.domain.http.headers import Headers
from moorage.domain.signing.jwt import JwtSigning
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, SandboxRequest
from moorage.testing.sandboxes.storage.gcs import GcsSandbox
from tests.storage.gcs_harnesses import gcs, gcs_account, over_gcs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.contracts.storage import SignedPost
    from moorage.operations.storage import Storage


@pytest.fixture
def files(gcs_sandbox: GcsSandbox) -> Iterator[Storage]:
    """Return the storage operations of a hub over the sandbox."""
    with over_gcs(gcs_sandbox) as hub:
        yield hub.storage()


def _post(gcs_sandbox: GcsSandbox, signed: SignedPost, data: bytes, **other: str) -> int:
    parts = [
        f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {**signed.fields, **other}.items()
    ]
    head = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = b"".join(parts) + head + data + b"\r\n--xx--\r\n"
    headers = Headers({"Content-Type": "multipart/form-data; boundary=xx"})
    url = urlsplit(signed.url)
    return gcs_sandbox.answer(
        SandboxRequest("POST", url.netloc, url.path, (), headers, body)
    ).status


def test_signed_form_lets_browser_upload_object_that_it_describes(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """A signed form lets a browser upload the object that it describes, and no other."""
    key = "in/ä b.pdf"
    signed_form = files.signed_post(key, largest=10, content_type="application/pdf")
    assert (204, b"%PDF") == (
        _post(gcs_sandbox, signed_form, b"%PDF"),
        files.download(key).read_all(),
    )
    assert "application/pdf" == files.head(key).content_type
    assert b64decode(signed_form.fields["policy"]).isascii()
    assert 400 == _post(gcs_sandbox, signed_form, b"much too long")
    assert 403 == _post(gcs_sandbox, signed_form, b"x", key="in/other.pdf")
    assert 403 == _post(gcs_sandbox, signed_form, b"x", acl="public-read")
    assert 403 == _post(gcs_sandbox, signed_form, b"x", **{"x-goog-signature": "00"})
    assert 403 == _post(gcs_sandbox, signed_form, b"x", **{"x-goog-signature": "no hex"})
    assert 403 == _post(gcs_sandbox, signed_form, b"x", **{"x-goog-credential": "me"})
    assert 400 == _post(gcs_sandbox, signed_form, b"x", **{"x-goog-algorithm": "none"})
    assert "policy" not in repr(signed_form)
    assert 204 == _post(gcs_sandbox, files.signed_post("b", largest=1), b"x")


class _Provider:
    def __init__(self, result: Credentials) -> None:
        self._found = result

    def get(self, service: str, tenant: str | None, /) -> Credentials:
        return self._found

    def refresh(self, service: str, tenant: str | None, stale: object, /) -> Credentials:
        return self._found


def test_service_account_credentials_of_a_provider_sign_urls(gcs_sandbox: GcsSandbox) -> None:
    """A provider's service-account credentials can sign URLs; other credentials cannot."""
    key = json.loads(gcs_sandbox.key_file())
    signing = JwtSigning(algorithm="RS256", issuer=key["client_email"])
    credentials = Credentials.signed(signing, key["private_key"])
    for result in (credentials, Credentials.bearer("token")):
        account = gcs_account(gcs_sandbox, credentials=None)
        with Hub(
            [account], http=SandboxHttpClient(gcs_sandbox), credentials=_Provider(result)
        ) as hub:
            files = hub.storage()
            with pytest.raises(AuthenticationFailed):
                files.upload("a", b"x")
            if result is credentials:
                url = files.signed_url("a", "DELETE").url
                assert key["client_email"] == dict(parse_qsl(url))["X-Goog-Credential"][:35]
            else:
                with pytest.raises(ConfigurationError, match="cannot sign"):
                    files.signed_url("a")


def test_one_access_token_is_used_for_all_requests_until_it_is_refused(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """One access token is used for all requests until it is refused."""
    files.upload("a", b"x")
    files.head("a")
    assert 1 == gcs_sandbox.tokens.grants
    gcs_sandbox.tokens.forget()
    assert b"x" == files.download("a").read_all()
    assert 2 == gcs_sandbox.tokens.grants
    [request, _] = gcs_sandbox.tokens.requests
    assert {"grant_type", "assertion"} == set(dict(request.form))


def test_error_for_refused_key_does_not_show_its_content(gcs_sandbox: GcsSandbox) -> None:
    """The error for a refused key does not show its content."""
    other_sandbox = GcsSandbox(email="other@sandbox.iam.gserviceaccount.com")
    with (
        over_gcs(gcs_sandbox, credentials=other_sandbox.key_file()) as hub,
        pytest.raises(ConnectorError) as excinfo,
    ):
        hub.storage().head("a")
    other_sandbox.close()
    assert "PRIVATE" not in repr(excinfo.value)
    vendor = gcs(gcs_sandbox)
    assert "PRIVATE" not in repr(vendor)
    assert "PRIVATE" not in repr(vendor.clients())


def test_upload_ids_are_not_shown(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """An upload id, which permits writing, is not shown."""
    start_upload = files.start_upload("a")
    assert start_upload.id not in repr(attrs.evolve(start_upload, ref=files.upload("b", b"").ref))
    redaction = gcs(gcs_sandbox).services()[""].redaction
    place = f"https://x/o?uploadType=resumable&upload_id={start_upload.id}"
    assert start_upload.id not in redaction.query(place)
    assert start_upload.id not in repr(redaction.headers(Headers({"Location": place})).pairs)


GOOD = {"client_email": "a@b", "private_key": "PEM"}


@pytest.mark.parametrize(
    "options",
    [
        {"bucket": "No"},
        {"bucket": 5},
        {"credentials": "no json"},
        {"credentials": "[]"},
        {"credentials": "{}"},
        {"credentials": json.dumps(GOOD)},
        {"credentials": json.dumps({**GOOD, "private_key": 5})},
        {"credentials": json.dumps({**GOOD, "client_email": ["a@b"]})},
        {"credentials": json.dumps({"client_email": "a@b"})},
    ],
)
def test_invalid_options_are_refused(gcs_sandbox: GcsSandbox, options: dict[str, Any]) -> None:
    """An invalid bucket or key is refused when the vendor is created."""
    with pytest.raises(ConfigurationError):
        gcs(gcs_sandbox, **options)
