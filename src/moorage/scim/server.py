"""The SCIM server, which serves an identity provider from an application's store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote

from moorage.contracts.validators import check_kind
from moorage.domain.http.urls import validate_base_url
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import encode_json
from moorage.errors import (
    AlreadyExists,
    ConfigurationError,
    InvalidData,
    StorageUnavailable,
)
from moorage.runtime.flows import as_async, is_async, run_now
from moorage.scim.attributes import ATTRIBUTES, CORE, checked_content, is_storable
from moorage.scim.documents import (
    LARGEST_PAGE,
    list_page,
    provider_configuration,
    resource_types,
    schemas,
)
from moorage.scim.filters import conditions_of, selected_attributes
from moorage.scim.patches import apply_patch
from moorage.scim.port import ScimKind
from moorage.scim.refusals import ScimRefusal, not_found_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.scim.port import AsyncScimStore, ScimResource, ScimStore

LIMIT: Final = 1_048_576
"""The most bytes that the body of a request may have."""
_TYPE: Final = "application/scim+json"
_MEDIA_TYPES: Final = frozenset({_TYPE, "application/json"})
_KINDS: Final = {f"{kind}s".lower(): kind for kind in ScimKind}
_TRIES: Final = 5
_VERBS: Final = ("find", "get", "create", "replace", "delete")


@frozen(kw_only=True)
class ScimAnswer:
    """The answer to a request.

    Attributes:
        status: HTTP status.
        headers: header fields.
        body: JSON text; empty if there is none.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


@frozen(kw_only=True)
class _Request:
    method: str
    parts: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the parsed body.

        Raises:
            ScimRefusal: the body has another media type, is too large, or is not JSON.
        """
        media_type = self.headers.get("content-type", _TYPE).partition(";")[0].strip().lower()
        if media_type not in _MEDIA_TYPES:
            raise ScimRefusal(415, f"The body is not of the media type {_TYPE}.")
        if len(self.body) > LIMIT:
            raise ScimRefusal(413, f"The body is larger than {LIMIT} bytes.")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ScimRefusal(400, "The body is not JSON.", "invalidSyntax") from None


class _Server:
    """The code that the sync and the async server share; its store is asynchronous."""

    def __init__(
        self, store: Any, tokens: Iterable[Secret | str], base_url: str, *, lenient: bool
    ) -> None:
        self._store = store
        self._digests = _digests(tokens)
        self._base_url = validate_base_url(base_url).rstrip("/")
        if not isinstance(lenient, bool):
            raise ConfigurationError(
                "The option `lenient` is not a bool.",
                path="lenient",
                remedy="Give True for providers that send booleans as texts.",
            )
        self._lenient = lenient

    async def answer(
        self,
        method: str,
        path: str,
        query: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
    ) -> ScimAnswer:
        """Return the response to a request, which may be an error in SCIM's format."""
        for value, kind, name in (
            *((method, str, "method"), (path, str, "path"), (query, str, "query")),
            (body, bytes, "body"),
        ):
            check_kind(value, kind, name)
        fields = {name.lower(): value for name, value in _pairs(headers)}
        request = _Request(
            method=method.upper(),
            parts=tuple(unquote(part) for part in path.strip("/").split("/")),
            query={name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)},
            headers=fields,
            body=body,
        )
        try:
            self._check_token(fields.get("authorization", ""))
            return await self._route(request)
        except ScimRefusal as refusal:
            return _scim_answer(refusal.status, refusal.body, refusal.headers)
        except AlreadyExists as error:
            return _refusal(409, error.message, "uniqueness")
        except InvalidData as error:
            return _refusal(400, error.message, "invalidValue")
        except StorageUnavailable:
            return _refusal(503, "The application cannot reach its store. Try again later.")

    def _check_token(self, text: str) -> None:
        scheme, _, token = text.partition(" ")
        digest = sha256(token.strip().encode("utf-8", "surrogatepass")).digest()
        # All digests are compared, so that the time does not reveal which one matches.
        is_known = [compare_digest(digest, token_digest) for token_digest in self._digests]
        if scheme.lower() != "bearer" or not any(is_known):
            challenge = (("WWW-Authenticate", "Bearer"),)
            raise ScimRefusal(401, "The bearer token is missing or unknown.", None, challenge)

    async def _route(self, request: _Request) -> ScimAnswer:
        collection, *path_parts = request.parts
        kind = _KINDS.get(collection.lower())
        if kind is None or len(path_parts) > 1:
            return self._description(request)
        if not path_parts:
            handlers = {"GET": self._list, "POST": self._create}
            answer: ScimAnswer = await self._handler(handlers, request)(kind, request)
            return answer
        if not is_storable(path_parts[0]):
            raise not_found_refusal(f"The {kind}")
        by_id = {
            "GET": self._get,
            "PUT": self._replace,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }
        changed_answer: ScimAnswer = await self._handler(by_id, request)(
            kind, path_parts[0], request
        )
        return changed_answer

    def _handler(self, handlers: Mapping[str, Callable[..., Any]], request: _Request) -> Any:
        handler = handlers.get(request.method)
        if handler is None:
            allow_headers = (("Allow", ", ".join(handlers)),)
            raise ScimRefusal(
                405,
                f"Only these methods are allowed here: {', '.join(handlers)}.",
                None,
                allow_headers,
            )
        return handler

    def _description(self, request: _Request) -> ScimAnswer:
        """Return the answer to a request for a description of the server."""
        name, *path_parts = (part.lower() for part in request.parts)
        documents = {
            "serviceproviderconfig": provider_configuration,
            "resourcetypes": resource_types,
            "schemas": schemas,
        }
        if name not in documents or len(path_parts) > 1:
            raise not_found_refusal("This path")
        if request.method != "GET":
            raise ScimRefusal(405, "Only GET is allowed here.", None, (("Allow", "GET"),))
        document: Any = documents[name]()
        if name == "serviceproviderconfig":
            return _scim_answer(200, document)
        if not path_parts:
            return _scim_answer(200, list_page(document, len(document), 1))
        for item in document:
            if item["id"].lower() == path_parts[0]:
                return _scim_answer(200, item)
        raise not_found_refusal("This description")

    async def _list(self, kind: ScimKind, request: _Request) -> ScimAnswer:
        query = request.query
        start = max(1, _number(query, "startindex", 1))
        count = min(max(0, _number(query, "count", LARGEST_PAGE)), LARGEST_PAGE)
        conditions = conditions_of(kind, query["filter"]) if "filter" in query else ()
        page = await self._store.find(kind, conditions, start - 1, count)
        items = [self._resource_body(kind, item, query) for item in page.items]
        return _scim_answer(200, list_page(items, page.total, start))

    async def _create(self, kind: ScimKind, request: _Request) -> ScimAnswer:
        content = checked_content(kind, request.json(), lenient=self._lenient)
        resource = await self._store.create(kind, content)
        return self._resource_answer(kind, resource, 201, request.query)

    async def _get(self, kind: ScimKind, id: str, request: _Request) -> ScimAnswer:
        resource = await self._existing_resource(kind, id)
        if _names_version(request.headers.get("if-none-match"), resource):
            return ScimAnswer(status=304, headers=(("ETag", _etag(resource)),))
        return self._resource_answer(kind, resource, 200, request.query)

    async def _replace(self, kind: ScimKind, id: str, request: _Request) -> ScimAnswer:
        content = checked_content(kind, request.json(), lenient=self._lenient)
        return await self._apply_change(kind, id, request, lambda _: content)

    async def _patch(self, kind: ScimKind, id: str, request: _Request) -> ScimAnswer:
        body = request.json()

        def change(content: Mapping[str, Any]) -> dict[str, Any]:
            return apply_patch(kind, content, body, id, lenient=self._lenient)

        return await self._apply_change(kind, id, request, change)

    async def _apply_change(
        self,
        kind: ScimKind,
        id: str,
        request: _Request,
        change: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> ScimAnswer:
        """Apply a change to the current version; retry if another writer changed it first."""
        for _ in range(_TRIES):
            resource = await self._existing_resource(kind, id)
            _check_version(request, resource)
            content = change(resource.content)
            if content == resource.content:
                return self._resource_answer(kind, resource, 200, request.query)
            changed_resource = await self._store.replace(kind, id, content, resource.version)
            if changed_resource is not None:
                return self._resource_answer(kind, changed_resource, 200, request.query)
        raise ScimRefusal(503, "Other requests keep changing the resource. Try again later.")

    async def _delete(self, kind: ScimKind, id: str, request: _Request) -> ScimAnswer:
        version = None
        if "if-match" in request.headers:
            resource = await self._existing_resource(kind, id)
            _check_version(request, resource)
            version = resource.version
        if await self._store.delete(kind, id, version):
            return ScimAnswer(status=204)
        if version is None:
            raise not_found_refusal(f"The {kind}")
        raise _another_version()

    async def _existing_resource(self, kind: ScimKind, id: str) -> ScimResource:
        resource: ScimResource | None = await self._store.get(kind, id) if id else None
        if resource is None:
            raise not_found_refusal(f"The {kind}")
        return resource

    def _resource_answer(
        self,
        kind: ScimKind,
        resource: ScimResource,
        status: int,
        query: Mapping[str, str],
    ) -> ScimAnswer:
        headers = (("ETag", _etag(resource)), ("Location", self._location(kind, resource)))
        return _scim_answer(status, self._resource_body(kind, resource, query), headers)

    def _resource_body(
        self, kind: ScimKind, resource: ScimResource, query: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return a resource as in a response, without its password."""
        content = {
            name: value
            for name, value in resource.content.items()
            if name in ATTRIBUTES[kind] and name != "password" and value not in (None, [], {})
        }
        attributes = selected_attributes(
            kind, content, query.get("attributes", ""), query.get("excludedattributes", "")
        )
        extensions = [name for name in content if name.startswith("urn:")]
        body = {"schemas": [CORE[kind], *extensions], "id": resource.id, **attributes}
        excluded_names = query.get("excludedattributes", "").lower().split(",")
        if "meta" in map(str.strip, excluded_names):
            return body
        meta = {
            "resourceType": kind.value,
            "location": self._location(kind, resource),
            "version": _etag(resource),
        }
        for name, moment in (("created", resource.created), ("lastModified", resource.modified)):
            if moment is not None:
                meta[name] = moment.isoformat()
        return {**body, "meta": meta}

    def _location(self, kind: ScimKind, resource: ScimResource) -> str:
        return f"{self._base_url}/{kind}s/{quote(resource.id, safe='')}"


class ScimServer:
    """A SCIM 2.0 server in front of the people and groups of your application.

    It has no state of its own, so any number of threads may share it.

    Args:
        store: people and groups of the application.
        tokens: bearer tokens that are accepted, such as the current and the next one.
        base_url: URL at which the identity provider reaches the server.
        lenient: True to accept the texts "True" and "False" as booleans, and to add an entry if the
            entry to replace does not exist, as Entra requires.
    """

    def __init__(
        self,
        store: ScimStore,
        *,
        tokens: Sequence[Secret | str],
        base_url: str,
        lenient: bool = False,
    ) -> None:
        _check_store(store, needs_async=False)
        self._server = _Server(_AsyncStore(store), tokens, base_url, lenient=lenient)

    def answer(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> ScimAnswer:
        """Answer a request of the identity provider.

        Args:
            method: HTTP method.
            path: path below the base URL, such as /Users.
            query: query of the URL, as it was sent.
            headers: header fields of the request.
            body: whole body of the request.

        Raises:
            InvalidData: an argument has the wrong type; an invalid request raises no error.
        """
        return run_now(self._server.answer(method, path, query, headers, body))


class AsyncScimServer:
    """The asynchronous `ScimServer`.

    Args:
        store: people and groups of the application.
        tokens: bearer tokens that are accepted, such as the current and the next one.
        base_url: URL at which the identity provider reaches the server.
        lenient: True to accept the texts "True" and "False" as booleans, and to add an entry if the
            entry to replace does not exist, as Entra requires.
    """

    def __init__(
        self,
        store: AsyncScimStore,
        *,
        tokens: Sequence[Secret | str],
        base_url: str,
        lenient: bool = False,
    ) -> None:
        _check_store(store, needs_async=True)
        self._server = _Server(store, tokens, base_url, lenient=lenient)

    async def answer(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> ScimAnswer:
        """Answer a request of the identity provider.

        Args:
            method: HTTP method.
            path: path below the base URL, such as /Users.
            query: query of the URL, as it was sent.
            headers: header fields of the request.
            body: whole body of the request.

        Raises:
            InvalidData: an argument has the wrong type; an invalid request raises no error.
        """
        return await self._server.answer(method, path, query, headers, body)


def _pairs(headers: Any) -> list[tuple[str, str]]:
    """Return the header fields as pairs.

    Raises:
        InvalidData: the fields are not pairs of texts.
    """
    is_table = isinstance(headers, (str, bytes, Mapping)) or not isinstance(headers, Iterable)
    pairs: list[Any] = [] if is_table else [*headers]
    if is_table or not all(map(_is_pair, pairs)):
        raise InvalidData(
            "The headers of the request are not pairs of texts.",
            field="headers",
            remedy="Give pairs of name and value as texts, such as [*request.headers.items()].",
        )
    return pairs


def _is_pair(value: Any) -> bool:
    if not isinstance(value, (tuple, list)):
        return False
    parts: list[Any] = [*value]
    return len(parts) == 2 and all(isinstance(part, str) for part in parts)


class _AsyncStore:
    """An asynchronous adapter of a synchronous store."""

    def __init__(self, store: ScimStore) -> None:
        for verb in _VERBS:
            setattr(self, verb, as_async(getattr(store, verb)))


def _check_store(store: Any, *, needs_async: bool) -> None:
    port = "AsyncScimStore" if needs_async else "ScimStore"
    for verb in _VERBS:
        method = getattr(store, verb, None)
        if not callable(method):
            raise ConfigurationError(
                f"The store of the SCIM server has no method {verb}.",
                path="store",
                remedy=f"Give an object with the methods of {port}.",
            )
        if is_async(method) is not needs_async:
            kind = "synchronous" if needs_async else "asynchronous"
            server = "ScimServer" if needs_async else "AsyncScimServer"
            raise ConfigurationError(
                f"The method {verb} of the SCIM server's store is {kind}.",
                path="store",
                remedy=f"Give an object with the methods of {port}, or use {server}.",
            )


def _digests(tokens: Iterable[Secret | str]) -> tuple[bytes, ...]:
    token_list: Any = (tokens,) if isinstance(tokens, (str, Secret)) else tokens
    values: list[Any] = [*token_list] if isinstance(token_list, Iterable) else []
    secrets = [as_secret(value) for value in values]
    if not secrets or not all(secret.reveal_bytes().strip() for secret in secrets):
        raise ConfigurationError(
            "The SCIM server has no token, or an empty one.",
            path="tokens",
            remedy="Give at least one long random token.",
        )
    return tuple(sha256(secret.reveal_bytes().strip()).digest() for secret in secrets)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 10:
        return int(text)
    raise ScimRefusal(400, f"The parameter {name} is not a number.", "invalidValue")


def _etag(resource: ScimResource) -> str:
    return f'W/"{quote(resource.version, safe="")}"'


def _check_version(request: _Request, resource: ScimResource) -> None:
    versions = request.headers.get("if-match")
    if versions is not None and not _names_version(versions, resource):
        raise _another_version()


def _names_version(versions: str | None, resource: ScimResource) -> bool:
    """Return whether a header's list of versions contains a resource's version; `*` means any."""
    names = [name.strip().removeprefix("W/") for name in (versions or "").split(",")]
    return "*" in names or _etag(resource).removeprefix("W/") in names


def _another_version() -> ScimRefusal:
    return ScimRefusal(412, "The resource has another version by now.")


def _refusal(status: int, detail: str, word: str | None = None) -> ScimAnswer:
    return _scim_answer(status, ScimRefusal(status, detail, word).body)


def _scim_answer(
    status: int, body: Mapping[str, Any], headers: Iterable[tuple[str, str]] = ()
) -> ScimAnswer:
    return ScimAnswer(
        status=status, headers=(("Content-Type", _TYPE), *headers), body=encode_json(body)
    )
