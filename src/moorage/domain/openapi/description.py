"""An OpenAPI description, and the service that it describes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.http.requests import HttpMethod
from moorage.domain.openapi.document import Document, Node, UnmappedOperation, child_pointer
from moorage.domain.openapi.extensions import is_read, limit_headers, timeout_of
from moorage.domain.openapi.operations import api_operations
from moorage.domain.openapi.security import SecurityScheme, security_scheme
from moorage.domain.openapi.servers import base_url
from moorage.domain.service.settings import Endpoint, Service
from moorage.domain.values.json_text import is_object
from moorage.errors import DescriptionRefused, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from moorage.domain.openapi.operations import ApiOperation

_VERSION: Final = re.compile(r"3\.[01]\.[0-9]+(?:-.+)?")
_NAME_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
_KEY: Final = "idempotency-key"
_UNSAFE_METHODS: Final = frozenset({HttpMethod.POST, HttpMethod.PATCH})


@attrs.frozen(eq=False, repr=False)
class OpenApi:
    """An OpenAPI description of version 3.0 or 3.1.

    Attributes:
        tree: the description as a JSON value.
    """

    tree: Mapping[str, Any] = attrs.field()
    _document: Document = attrs.field(init=False)
    operations: tuple[ApiOperation, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Check that the document is an OpenAPI description of a supported version."""
        if not is_object(self.tree):
            problem = Problem(
                "#", "The description is not an object.", "Pass a parsed description."
            )
            raise DescriptionRefused.of([problem])
        version = self.tree.get("openapi")
        if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
            is_swagger = "swagger" in self.tree
            raise DescriptionRefused.of(
                [
                    Problem(
                        "#/swagger" if is_swagger else "#/openapi",
                        "The description is in the Swagger 2 format."
                        if is_swagger
                        else "The description is not in the OpenAPI 3.0 or 3.1 format.",
                        "Convert the description to OpenAPI 3.0 or 3.1.",
                    )
                ]
            )
        document = Document(self.tree)
        object.__setattr__(self, "_document", document)
        object.__setattr__(self, "operations", tuple(api_operations(document)))

    def __repr__(self) -> str:
        return f"<OpenApi {self.title!r} with {len(self.operations)} operations>"

    @property
    def document(self) -> Document:
        """The OpenAPI document, in which references can be resolved."""
        return self._document

    @property
    def title(self) -> str:
        """The title of the described API."""
        return self._document.root.child("info").text("title") or "api"

    @property
    def name(self) -> str:
        """The API's title as a service name of small letters, digits and hyphens."""
        return _NAME_SEPARATORS.sub("-", self.title.lower()).strip("-")[:100] or "api"

    @property
    def limit_headers(self) -> dict[str, bool]:
        """The described response headers about rate limits, each with True if moorage obeys it."""
        names = {
            name: None
            for operation in self.operations
            for name in limit_headers(self._document, operation.node)
        }
        return {name: is_read(name) for name in names}

    def scheme(self, name: str) -> SecurityScheme:
        """Return the security scheme with this name.

        Raises:
            DescriptionRefused: the scheme does not exist, or moorage does not support it.
        """
        try:
            return security_scheme(self._document, name)
        except UnmappedOperation as error:
            problem = error.problem
        raise DescriptionRefused.of([problem])

    def security(
        self, chosen: str | None = None, operations: Collection[str] | None = None
    ) -> SecurityScheme | None:
        """Return the security scheme that most operations accept; None if they need none.

        Args:
            chosen: the name of a scheme to return instead.
            operations: the names of the operations to consider; by default all.

        Raises:
            DescriptionRefused: moorage supports none of these schemes.
        """
        if chosen is not None:
            return self.scheme(chosen)
        votes: dict[str, int] = {}
        problems: dict[str, Problem] = {}
        for operation in self.operations:
            if operations is None or operation.name in operations:
                for names in operation.security:
                    if len(names) == 1:
                        name = next(iter(names))
                        votes[name] = votes.get(name, 0) + 1
        for name in sorted(votes, key=lambda name: -votes[name]):
            try:
                return security_scheme(self._document, name)
            except UnmappedOperation as error:
                problems[name] = error.problem
        if problems:
            raise DescriptionRefused.of([*problems.values()])
        return None

    def map_operations(
        self,
        *,
        security: SecurityScheme | None,
        operations: Collection[str] | None = None,
        skip_unmapped: bool = False,
    ) -> tuple[tuple[ApiOperation, ...], tuple[Problem, ...]]:
        """Return the operations that can become endpoints, and the reasons why others cannot.

        Args:
            security: the scheme of all requests; None if they carry no credentials.
            operations: the names of the operations to map; by default all.
            skip_unmapped: whether problems of single operations are only returned.

        Raises:
            DescriptionRefused: an operation cannot be mapped, and `skip_unmapped` is False.
        """
        problems: list[Problem] = []
        if operations is not None:
            known_names = {operation.name for operation in self.operations}
            problems = [
                Problem("#/paths", f"No operation is named {name[:100]!r}.", "Correct the name.")
                for name in operations
                if name not in known_names
            ]
            if problems:
                raise DescriptionRefused.of(problems)
        mapped_operations: list[ApiOperation] = []
        for operation in self.operations:
            if operations is not None and operation.name not in operations:
                continue
            reasons = [*operation.problems, *_security_problems(operation, security)]
            if reasons:
                problems += reasons
            else:
                mapped_operations.append(operation)
        if problems and not skip_unmapped:
            raise DescriptionRefused.of(problems)
        return tuple(mapped_operations), tuple(problems)

    def service(
        self,
        name: str | None = None,
        *,
        server: int | str | None = None,
        server_variables: Mapping[str, str] | None = None,
        security: str | None = None,
        operations: Collection[str] | None = None,
        skip_unmapped: bool = False,
        idempotency_memory: float | None = None,
    ) -> Service:
        """Return the described service, with an endpoint for each operation.

        See `Service.from_openapi`.
        """
        problems: list[Problem] = []
        url: str | None = None
        scheme: SecurityScheme | None = None
        mapped_operations: tuple[ApiOperation, ...] = ()
        try:
            url = base_url(self._document.root, server, server_variables or {})
        except UnmappedOperation as error:
            problems.append(error.problem)
        try:
            scheme = self.security(security, operations)
        except DescriptionRefused as error:
            problems += error.problems
        else:
            try:
                mapped_operations, _ = self.map_operations(
                    security=scheme, operations=operations, skip_unmapped=skip_unmapped
                )
            except DescriptionRefused as error:
                problems += error.problems
        problems += _key_problems(mapped_operations, idempotency_memory)
        if problems:
            raise DescriptionRefused.of(problems)
        has_keys = idempotency_memory is not None and any(map(_key_of, mapped_operations))
        timeout = timeout_of(self._document.root)
        service = Service(
            self.name if name is None else name,
            url,
            needs_credentials=scheme is not None,
            endpoints=tuple(map(_endpoint, sorted(mapped_operations, key=_specificity))),
            idempotency_header="Idempotency-Key" if has_keys else None,
            idempotency_memory=idempotency_memory if has_keys else None,
        )
        return service if timeout is None else attrs.evolve(service, timeout=timeout)


def _specificity(operation: ApiOperation) -> list[bool]:
    """Return a sort key that puts specific URL paths before general paths that also match."""
    return ["{" in part for part in operation.path.split("/")]


def _endpoint(operation: ApiOperation) -> Endpoint:
    path = operation.path if operation.is_whole else None
    endpoint = Endpoint(operation.name, operation.method, path)
    timeout = timeout_of(operation.node)
    return endpoint if timeout is None else attrs.evolve(endpoint, timeout=timeout)


def _security_problems(operation: ApiOperation, scheme: SecurityScheme | None) -> list[Problem]:
    accepted = frozenset[str]() if scheme is None else frozenset({scheme.name})
    if any(names <= accepted for names in operation.security):
        return []
    needed_names = " or ".join(" with ".join(sorted(names)) for names in operation.security)
    used_scheme = "none is used" if scheme is None else f"{scheme.name[:100]!r} is used"
    return [
        Problem(
            operation.node.child("security").pointer,
            f"The operation requires the security {needed_names[:200]}, but {used_scheme}.",
            "Pass another scheme in security=, or leave the operation out with operations=.",
        )
    ]


def _key_of(operation: ApiOperation) -> Node | None:
    """Return the header parameter in which an operation accepts an idempotency key, if any."""
    for parameter in operation.parameters:
        if parameter.place == "header" and parameter.name.lower() == _KEY:
            return parameter.node
    return None


def _key_problems(operations: Sequence[ApiOperation], memory: float | None) -> list[Problem]:
    """Return the problems with idempotency keys that a service from a description would have.

    The header is sent with all operations of the service. If an operation ignores the key, a repeat
    takes effect twice.
    """
    if memory is None or not any(map(_key_of, operations)):
        return []
    return [
        Problem(
            child_pointer(operation.node.pointer, "parameters"),
            f"{operation.method} {operation.path[:100]} does not accept an idempotency key,"
            " but other operations do.",
            "Describe the parameter, or create two services with operations=.",
        )
        for operation in operations
        if operation.method in _UNSAFE_METHODS and _key_of(operation) is None
    ]
