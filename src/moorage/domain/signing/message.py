"""Signatures of requests by HTTP Message Signatures (RFC 9421)."""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, quote_plus

from moorage.domain.http.requests import BodyStream
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.signing.choice import choose
from moorage.domain.signing.context import Target
from moorage.domain.signing.keys import SignatureAlgorithm, check_key, sign_bytes
from moorage.domain.values.durations import if_given
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import timedelta

    import attrs

    from moorage.domain.http.requests import Request
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.signing.context import SigningContext

_DERIVED_COMPONENTS = frozenset(
    {"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"}
)
_PARAMETER = late_pattern(r'@query-param;name="([A-Za-z0-9*\-._%+]+)"')
_FIELD = late_pattern(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_LABEL = late_pattern(r"[a-z*][a-z0-9_\-.*]*")
_QUOTABLE = late_pattern(r"[ !#-\[\]-~]*")
_DIGEST = "content-digest"


def _are_components(_: object, __: object, value: tuple[str, ...]) -> None:
    for name in value:
        is_known = (
            name in _DERIVED_COMPONENTS or _PARAMETER.fullmatch(name) or _FIELD.fullmatch(name)
        )
        if not is_known or value.count(name) > 1:
            raise InvalidData(
                f"{name[:80]!r} cannot be signed, or is listed twice.",
                field="components",
                remedy="Use header names in lower case, '@query-param;name=\"…\"', or"
                f" {', '.join(sorted(_DERIVED_COMPONENTS))}.",
            )


def _is_label(_: object, __: object, value: str) -> None:
    if _LABEL.fullmatch(value) is None:
        raise InvalidData(
            f"{value[:80]!r} is not a label.",
            field="label",
            remedy="Use lower-case letters, digits, and _-.*, and begin with a letter.",
        )


def _is_quotable(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if _QUOTABLE.fullmatch(value) is None:
        raise InvalidData(
            f"The {attribute.name} contains a quote, a backslash, or a character outside ASCII.",
            field=attribute.name,
            remedy="Use printable ASCII without quotes and backslashes.",
        )


def _algorithm(value: SignatureAlgorithm | str) -> SignatureAlgorithm:
    algorithm = choose(SignatureAlgorithm, value, "algorithm")
    if algorithm is SignatureAlgorithm.RSA_PSS_SHA256:
        raise InvalidData(
            "HTTP Message Signatures do not support RSA-PSS with SHA-256.",
            field="algorithm",
            remedy="Use RSA-PSS with SHA-512, or another algorithm of RFC 9421.",
        )
    return algorithm


@with_careful_constructor
@frozen(kw_only=True)
class MessageSignature:
    """Signs components of a request by HTTP Message Signatures (RFC 9421).

    If `content-digest` is signed and the request has none, it is computed from the body.

    Attributes:
        components: the signed components, in order: header names, and derived components such as
            `@method`.
        key_id: the id of the key. The `repr` does not show it.
        algorithm: the algorithm. HMAC needs a shared secret, the others a private key in PEM.
        label: the label of this signature among others on the same request.
        tag: the name of the application that the signature is for.
        lifetime: the time for which it is valid, if it has an end.
        with_nonce: whether it has a nonce.
        with_algorithm: whether it names the algorithm.
    """

    method: ClassVar = "http_signature"

    components: tuple[str, ...] = field(converter=tuple[str, ...], validator=_are_components)
    key_id: str = field(repr=False, validator=_is_quotable)
    algorithm: SignatureAlgorithm = field(converter=_algorithm)
    label: str = field(default="sig1", validator=_is_label)
    tag: str | None = field(default=None, validator=if_given(_is_quotable))
    lifetime: timedelta | None = None
    with_nonce: bool = True
    with_algorithm: bool = True

    def check_key(self, key: Secret) -> None:
        """Check that a key fits the signing algorithm."""
        check_key(self.algorithm, key)

    def sign(self, request: Request, url: str, key: Secret, context: SigningContext) -> Request:
        """Return the request with its signature in the headers."""
        if _DIGEST in self.components and _DIGEST not in request.headers:
            request = request.with_header("Content-Digest", _digest(request))
        parameters = self._parameters(context)
        base = self._base(request, Target.of(url), url, parameters)
        signature = b2a_base64(sign_bytes(self.algorithm, key, base), newline=False).decode()
        return request.with_headers(
            {
                "Signature-Input": f"{self.label}={parameters}",
                "Signature": f"{self.label}=:{signature}:",
            }
        )

    def base(self, request: Request, url: str, context: SigningContext) -> bytes:
        """Return RFC 9421's signature base of a request, to compare with a vendor's."""
        return self._base(request, Target.of(url), url, self._parameters(context))

    def _base(self, request: Request, target: Target, url: str, parameters: str) -> bytes:
        lines = [
            f"{_identifier(name)}: {_value(name, request, target, url)}\n"
            for name in self.components
        ]
        return f'{"".join(lines)}"@signature-params": {parameters}'.encode("latin-1")

    def _parameters(self, context: SigningContext) -> str:
        created = int(context.now.timestamp())
        text = f"({' '.join(map(_identifier, self.components))});created={created}"
        if self.lifetime is not None:
            text += f";expires={int((context.now + self.lifetime).timestamp())}"
        text += f';keyid="{self.key_id}"'
        if self.with_algorithm:
            text += f';alg="{self.algorithm}"'
        if self.with_nonce:
            text += f';nonce="{context.nonce}"'
        return text if self.tag is None else f'{text};tag="{self.tag}"'


def _identifier(component: str) -> str:
    name, semicolon, parameters = component.partition(";")
    return f'"{name}"{semicolon}{parameters}'


def _value(component: str, request: Request, target: Target, url: str) -> str:
    if match := _PARAMETER.fullmatch(component):
        return _parameter(match[1], target.query)
    if not component.startswith("@"):
        return _field(component, request)
    query = f"?{target.query}"
    values = {
        "@method": str(request.method),
        "@target-uri": url,
        "@authority": request.headers.get("host", target.host).lower(),
        "@scheme": target.scheme,
        "@request-target": target.path + (query if target.query else ""),
        "@path": target.path,
        "@query": query,
    }
    return values[component]


def _field(name: str, request: Request) -> str:
    if name in request.headers:
        return ", ".join(request.headers.get_all(name))
    raise InvalidData(
        f"The signature covers the header {name!r}, but this request does not have the header.",
        field="headers",
        remedy="Add the header to the request or to the service's headers.",
    )


def _parameter(parameter: str, query: str) -> str:
    values = [
        value
        for name, value in parse_qsl(query, keep_blank_values=True)
        if _percent_encoded(name) == parameter
    ]
    if len(values) == 1:
        return _percent_encoded(values[0])
    raise InvalidData(
        f"The signature covers the parameter {parameter!r}, but this request has the parameter"
        f" {len(values)} times.",
        field="query",
        remedy="Pass the parameter once. To sign a repeated parameter, sign the whole '@query'.",
    )


def _percent_encoded(text: str) -> str:
    """Percent-encode a string as RFC 9421 requires, with %20 for a space."""
    return quote_plus(text, safe="*").replace("+", "%20").replace("~", "%7E")


def _digest(request: Request) -> str:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

    if isinstance(request.body, BodyStream):
        raise InvalidData(
            "The body is a stream, but this signature needs its digest before it is sent.",
            field="body",
            remedy="Pass the body as bytes, or set the header Content-Digest.",
        )
    return f"sha-256=:{b2a_base64(sha256(request.body).digest(), newline=False).decode()}:"
