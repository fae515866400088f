"""HTTP Message Signatures, compared with the examples of RFC 9421."""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from moorage.domain.http.body import BodyStream
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import join_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.message import MessageSignature
from moorage.errors import InvalidData

# The examples of RFC 9421's appendix B.2, except B.2.4, which signs a response.
RFC = json.loads(Path(__file__).with_name("rfc9421_vectors.json").read_text(encoding="utf-8"))
AT = datetime.fromtimestamp(1618884473, UTC)
BASE = "https://example.com"
REQUEST = Request.post(
    "/foo?param=Value&Pet=dog",
    headers={
        "Date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "Content-Type": "application/json",
        "Content-Digest": (
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHW"
            "XvJwew==:"
        ),
        "Content-Length": "18",
    },
    body=b'{"hello": "world"}',
)


def _key(name: str) -> Secret:
    text = RFC["keys"][name]
    return Secret(b64decode(text) if name == "test-shared-secret" else text)


def _simple_signature(*components: str, **settings: Any) -> MessageSignature:
    options: dict[str, Any] = {"key_id": "k", "algorithm": "hmac-sha256"} | settings
    return MessageSignature(components=components, **options)


def _signature_base(signing: MessageSignature, request: Request, base: str = BASE) -> list[str]:
    signed_bytes = signing.base(request, join_url(base, request), SigningContext(AT, "n-1"))
    return signed_bytes.decode("latin-1").split("\n")


@pytest.mark.parametrize("case", RFC["cases"], ids=lambda case: str(case["label"]))
def test_signs_as_the_rfc_does(case: dict[str, Any]) -> None:
    """HTTP message signatures equal the examples of RFC 9421.

    Signatures of random messages can be verified.
    """
    signing = MessageSignature(
        components=case["components"],
        key_id=case["key"],
        algorithm=case["algorithm"],
        label=case["label"],
        tag=case["tag"],
        with_nonce=case["nonce"] is not None,
        with_algorithm=False,
    )
    key, url = _key(case["key"]), join_url(BASE, REQUEST)
    context = SigningContext(AT, case["nonce"] or "")
    base = signing.base(REQUEST, url, context)
    assert case["base"] == base.decode()

    headers = signing.sign(REQUEST, url, key, context).headers

    assert case["signature_input"] == headers["signature-input"]
    if case["algorithm"] != "rsa-pss-sha512":
        assert case["signature"] == headers["signature"]
        return
    private = load_pem_private_key(key.reveal_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    for text in (case["signature"], headers["signature"]):
        private.public_key().verify(
            b64decode(text.partition("=:")[2].rstrip(":")),
            base,
            padding.PSS(padding.MGF1(hashes.SHA512()), 64),
            hashes.SHA512(),
        )


def test_signature_is_of_the_base() -> None:
    """An HTTP message signature covers the signature base, for any components."""
    signing = _simple_signature("@target-uri", "@query", "date")
    url, context = join_url(BASE, REQUEST), SigningContext(AT, "n-1")
    expected = hmac.digest(b"k", signing.base(REQUEST, url, context), "sha256")
    text = signing.sign(REQUEST, url, Secret("k"), context).headers["signature"]
    assert f"sig1=:{b64encode(expected).decode()}:" == text


def test_algorithm_of_tokens_is_refused() -> None:
    """A message signature with RSA-PSS and SHA-256 is refused, since RFC 9421 does not have it."""
    with pytest.raises(InvalidData, match="do not support RSA-PSS with SHA-256"):
        _simple_signature("@method", algorithm="rsa-pss-sha256")


def test_signs_with_ecdsa() -> None:
    """An ECDSA message signature contains both of its numbers, in 32 bytes each."""
    signing = _simple_signature("@method", algorithm="ecdsa-p256-sha256")
    key, url, context = _key("test-key-ecc-p256"), f"{BASE}/", SigningContext(AT, "n-1")
    signing.check_key(key)
    text = signing.sign(REQUEST, url, key, context).headers["signature"]
    signature = b64decode(text.removeprefix("sig1=:").removesuffix(":"))
    assert 64 == len(signature)
    private = load_pem_private_key(key.reveal_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    pair = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    private.public_key().verify(
        utils.encode_dss_signature(*pair),
        signing.base(REQUEST, url, context),
        ec.ECDSA(hashes.SHA256()),
    )


def test_takes_the_parts_of_a_request() -> None:
    """Each derived component of a message signature has the value of RFC 9421, section 2.2."""
    request = Request.get("/a%20b?x=1&y=%20%2a~é", headers={"X": "1"}).evolve(
        headers=[("X-A", "1"), ("x-a", "2, 3")]
    )
    names = (
        *("@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path"),
        *("@query", '@query-param;name="y"', "x-a"),
    )
    query = "x=1&y=%20%2a~%C3%A9"
    assert [
        '"@method": GET',
        f'"@target-uri": https://h.example:8443/a%20b?{query}',
        '"@authority": h.example:8443',
        '"@scheme": https',
        f'"@request-target": /a%20b?{query}',
        '"@path": /a%20b',
        f'"@query": ?{query}',
        '"@query-param";name="y": %20*%7E%C3%A9',
        '"x-a": 1, 2, 3',
    ] == _signature_base(_simple_signature(*names), request, "https://h.example:8443")[:-1]


def test_takes_parameters_as_the_rfc_does() -> None:
    """Query parameters are signed as in RFC 9421's section 2.2.8."""
    request = Request.get(
        "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace"
        "&fa%C3%A7ade%22%3A%20=something"
    )
    names = ("var", "bar", "fa%C3%A7ade%22%3A%20")
    assert [
        '"@query-param";name="var": this%20is%20a%20big%0Amultiline%20value',
        '"@query-param";name="bar": with%20plus%20whitespace',
        '"@query-param";name="fa%C3%A7ade%22%3A%20": something',
    ] == _signature_base(
        _simple_signature(*(f'@query-param;name="{name}"' for name in names)), request
    )[:-1]


def test_a_parameter_may_be_empty() -> None:
    """A query parameter without a value is signed with an empty value."""
    name = '@query-param;name="a"'
    for query in ("a=", "a"):
        assert ['"@query-param";name="a": '] == _signature_base(
            _simple_signature(name), Request.get(f"/?{query}")
        )[:-1]


def test_missing_path_and_query() -> None:
    """A message signature signs a missing path as `/`, and a missing query as `?`."""
    assert ['"@path": /', '"@query": ?', '"@request-target": /', '"@authority": me.example'] == (
        _signature_base(
            _simple_signature("@path", "@query", "@request-target", "@authority"),
            Request.get("", headers={"Host": "Me.example"}),
        )[:-1]
    )


def test_signature_parameters_are_in_order() -> None:
    """A message signature has created, expires, keyid, alg, nonce and tag, in this order."""
    signing = _simple_signature(lifetime=timedelta(minutes=1), tag="t")
    (line,) = _signature_base(signing, REQUEST)
    assert (
        '"@signature-params": ();created=1618884473;expires=1618884533;keyid="k"'
        ';alg="hmac-sha256";nonce="n-1";tag="t"'
    ) == line


def test_missing_content_digest_is_added() -> None:
    """A signed Content-Digest that is missing is computed from the body, unless it is streamed."""
    signing = _simple_signature("content-digest")
    plain_request = Request.post("/", body=b'{"hello": "world"}')
    signed_request = signing.sign(plain_request, BASE, Secret("k"), SigningContext(AT, ""))
    assert (
        "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
        == (signed_request.headers["content-digest"])
    )
    already_digested = signing.sign(REQUEST, BASE, Secret("k"), SigningContext(AT, ""))
    assert REQUEST.headers["content-digest"] == already_digested.headers["content-digest"]
    stream = plain_request.evolve(body=BodyStream.of(lambda: [b"x"]))
    with pytest.raises(InvalidData) as excinfo:
        signing.sign(stream, BASE, Secret("k"), SigningContext(AT, ""))
    assert "body" == excinfo.value.field


@pytest.mark.parametrize(
    "component, request_, field",
    [
        ("x-a", Request.get("/"), "headers"),
        ('@query-param;name="a"', Request.get("/"), "query"),
        ('@query-param;name="a"', Request.get("/?a=1&a=2"), "query"),
    ],
)
def test_missing_components_are_refused(component: str, request_: Request, field: str) -> None:
    """A message signature needs each signed field present, and each signed parameter once."""
    with pytest.raises(InvalidData) as excinfo:
        _signature_base(_simple_signature(component), request_)
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "options, field",
    [
        ({"components": ["@status"]}, "components"),
        ({"components": ["Date"]}, "components"),
        ({"components": ["date", "date"]}, "components"),
        ({"components": ["@query-param"]}, "components"),
        ({"components": ['date";x']}, "components"),
        ({"components": [], "algorithm": "none"}, "algorithm"),
        ({"components": [], "label": "A b"}, "label"),
        ({"components": [], "key_id": 'a"'}, "key_id"),
        ({"components": [], "tag": "a\\"}, "tag"),
        ({"components": [], "tag": "\n"}, "tag"),
    ],
)
def test_invalid_components_are_refused(options: dict[str, Any], field: str) -> None:
    """A component that no message signature can name is refused when it is set."""
    with pytest.raises(InvalidData) as excinfo:
        _simple_signature(
            *options["components"], **{k: v for k, v in options.items() if k != "components"}
        )
    assert field == excinfo.value.field


def test_names_may_have_every_letter_that_the_rfc_allows() -> None:
    """Names of components, labels and parameters may have every character that RFC 9421 allows."""
    text = "".join(map(chr, range(32, 127))).replace('"', "").replace("\\", "")
    field = "!#$%&'*+-.^_`|~0189az"
    parameter = '@query-param;name="AZaz09*-._%2B+"'
    signing = _simple_signature(field, parameter, key_id=text, tag=text, label="*a0189z_-.*")
    assert (field, parameter) == signing.components
    assert _signature_base(_simple_signature(key_id=text), REQUEST)[-1].endswith(
        f';keyid="{text}";alg="hmac-sha256";nonce="n-1"'
    )
    for label_name in ("a,b", "a/b", "a b", "a:", '@query-param;name="a,b"'):
        with pytest.raises(InvalidData):
            _simple_signature(label_name)
    for label_name in ("[a", "1a", "_a", "aA", "a,", ""):
        with pytest.raises(InvalidData):
            _simple_signature(label=label_name)


@pytest.mark.parametrize("options", [{"label": "A" * 81}, {"components": ["A" * 81]}])
def test_invalid_component_is_shown_shortened(options: dict[str, Any]) -> None:
    """The error for an invalid component shows eighty letters of it, and lists the valid ones."""
    with pytest.raises(InvalidData) as excinfo:
        _simple_signature(
            *options.get("components", ()),
            **{k: v for k, v in options.items() if k != "components"},
        )
    assert excinfo.value.message.startswith(f"{'A' * 80!r} ")
    if excinfo.value.field == "components":
        assert "@authority, @method, @path, @query, " in str(excinfo.value.remedy)


def test_repr_hides_the_key_id() -> None:
    """The repr of a message signing hides the key id, since some vendors put a secret there."""
    assert "h1dden" not in repr(_simple_signature(key_id="h1dden"))
    with pytest.raises(InvalidData):
        _simple_signature().check_key(Secret(""))
