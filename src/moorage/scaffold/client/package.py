"""Assembles the files of a client's package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.openapi.document import UnmappedOperation
from moorage.errors import DescriptionRefused, Problem
from moorage.scaffold.client.calls import call_of
from moorage.scaffold.client.code import models_module, one_line, operations_module
from moorage.scaffold.client.layout import Group, laid_out, literal
from moorage.scaffold.client.project import ROUND_TRIP_TEST, project_file
from moorage.scaffold.client.referenced_classes import needed_declarations, needed_names
from moorage.scaffold.client.schemas import Schemas, in_directions
from moorage.scaffold.naming import checked_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from moorage.domain.openapi.description import OpenApi
    from moorage.domain.service.settings import Endpoint, Service
    from moorage.scaffold.client.calls import Call

_MOST_SHOWN: Final = 200


@attrs.frozen(kw_only=True)
class ClientOptions:
    """The options of a generated client.

    Attributes:
        server: the position, URL or description of a described server; or another base URL.
        security: the name of the security scheme.
        operations: the operationIds of the operations to include; None for all.
        skip_unmapped: True to leave out operations that cannot be mapped.
        keep_unknown: True if objects keep members that the description does not name.
        check_answers: True to check the limits of values in answers.
    """

    server: int | str | None = None
    security: str | None = None
    operations: frozenset[str] | None = None
    skip_unmapped: bool = False
    keep_unknown: bool = True
    check_answers: bool = False


def client_files(api: OpenApi, name: str, options: ClientOptions) -> dict[str, str]:
    """Return the files of a client's package, by path.

    Args:
        api: the description.
        name: the name of the service; the package has the name `NAME_client`.
        options: the options.

    Raises:
        DescriptionRefused: parts of the description cannot be mapped, and are not to be skipped.
        ConfigurationError: the name is not valid.
    """
    package = f"{checked_name(name, ())}_client"
    scheme = api.security(options.security, options.operations)
    operations, skipped_problems = api.map_operations(
        security=scheme, operations=options.operations, skip_unmapped=options.skip_unmapped
    )
    schemas = Schemas(api.document, keep_unknown=options.keep_unknown)
    problems, taken_names = [*skipped_problems], set[str]()
    calls: list[Call] = []
    for operation in operations:
        try:
            calls.append(call_of(operation, api.document, schemas, taken_names))
        except UnmappedOperation as error:
            problems.append(error.problem)
    for call in calls:
        if needed_names(call.kinds, schemas) is None:
            place = call.operation.node.pointer
            problems.append(
                Problem(place, "The operation needs a schema that is not mapped.", "See there.")
            )
    calls = [call for call in calls if needed_names(call.kinds, schemas) is not None]
    if problems and not options.skip_unmapped:
        raise DescriptionRefused.of([*dict.fromkeys(problems)])
    if not calls:
        raise DescriptionRefused.of(
            problems or [Problem("#/paths", "The description has no operation.", "Describe one.")]
        )
    service = api.service(
        name,
        server=options.server,
        security=options.security,
        operations=[call.operation.name for call in calls],
    )
    sent_names = needed_names([kind for call in calls for kind in call.sent_kinds], schemas) or ()
    received_names = needed_names([call.result.kind.text for call in calls], schemas) or ()
    declared = [
        in_directions(
            declaration,
            is_sent=declaration.name in sent_names,
            is_received=declaration.name in received_names,
        )
        for declaration in needed_declarations(
            [kind for call in calls for kind in call.kinds], schemas
        )
    ]
    title = one_line(api.title, 60).rstrip(".")
    texts = {
        "README.md": _readme(api, package, calls, problems, service),
        "pyproject.toml": project_file(package),
        f"src/{package}/__init__.py": _init(package, title),
        f"src/{package}/models.py": models_module(declared, title),
        f"src/{package}/operations.py": operations_module(
            calls, title, package=package, checks=options.check_answers
        ),
        f"src/{package}/py.typed": "",
        f"src/{package}/service.py": _service_module(service, title),
        f"tests/test_{package}.py": _TESTS.format(package=package, round_trip=ROUND_TRIP_TEST),
    }
    return dict(sorted(texts.items()))


def _init(package: str, title: str) -> str:
    return (
        f'"""A client of {title}."""\n\n'
        "from __future__ import annotations\n\n"
        f"from {package} import models, operations\n"
        f"from {package}.service import make_service\n\n"
        '__all__ = ["make_service", "models", "operations"]\n'
    )


def _service_module(service: Service, title: str) -> str:
    endpoints = Group("", tuple(map(_endpoint_part, service.endpoints)))
    needs_credentials = "credentials is None" if service.needs_credentials else "False"
    lines = [
        f'"""The service of {title}, with its protections."""',
        "",
        "from __future__ import annotations",
        "",
        "from moorage import Credentials, Endpoint, HttpMethod, OAuthCredentials, Service",
        "",
        *laid_out(endpoints, before="ENDPOINTS = "),
        "",
        "",
        "def make_service(",
        *laid_out(f"base_url: str = {literal(service.base_url or '')}", indent=4, after=","),
        "    *,",
        "    credentials: Credentials | OAuthCredentials | None = None,",
        ") -> Service:",
        '    """Return the service, which a manager protects.',
        "",
        "    Args:",
        "        base_url: the base URL.",
        "        credentials: the credentials; by default a credential provider supplies them.",
        '    """',
        "    return Service(",
        f"        {literal(service.name)},",
        "        base_url,",
        "        credentials=credentials,",
        f"        needs_credentials={needs_credentials},",
        "        endpoints=ENDPOINTS,",
        "    )",
        "",
    ]
    return "\n".join(lines)


def _endpoint_part(endpoint: Endpoint) -> Group:
    items = [literal(endpoint.name), f"HttpMethod.{endpoint.method}"]
    if endpoint.path is not None:
        items.append(literal(endpoint.path))
    if isinstance(endpoint.timeout, float):
        items.append(f"timeout={endpoint.timeout!r}")
    return Group("Endpoint", tuple(items))


def _readme(
    api: OpenApi,
    package: str,
    calls: Collection[Call],
    problems: Collection[Problem],
    service: Service,
) -> str:
    lines = [
        f"# {one_line(api.title, 60).rstrip('.')}",
        "",
        f"This package has {len(calls)} of {len(api.operations)} operations of the description.",
        "",
        "```python",
        "from moorage import ConnectorManager",
        "",
        f"from {package} import make_service, operations",
        "",
        "manager = ConnectorManager([make_service()])",
        f'result = manager.perform("{service.name}", operations.{next(iter(calls)).name}(…))',
        "```",
        "",
        "`AsyncConnectorManager` performs the same operations.",
        "",
        "## What there is to do",
        "",
        "- Give `make_service` your credentials, or the manager a credential provider."
        if service.needs_credentials
        else "- The service needs no credentials.",
        "- Run the tests: `python -m pytest`.",
        "- Generate the package again when the description changes, with the same options.",
    ]
    ignored = sorted(name for name, is_read in api.limit_headers.items() if not is_read)
    if ignored:
        lines.append(f"- Calls do not slow down by these documented headers: {', '.join(ignored)}.")
    if problems:
        lines += ["", "## What is not mapped", ""]
        lines += [
            f"- `{one_line(problem.path, 300).rstrip('.')}`: {one_line(problem.found, 200)}"
            for problem in problems
        ]
    return "\n".join([*lines, ""])


_TESTS: Final = '''\
"""The client's classes survive a round trip, and its operations belong to its service."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import attrs
import pytest
from moorage import HttpOperation
from moorage.client_sdk import Member, read_value, sample, write_value

from {package} import make_service, models, operations

{round_trip}

@pytest.mark.parametrize("name", operations.__all__)
def test_operation_belongs_to_an_endpoint(name: str) -> None:
    """The request of each operation goes to the endpoint of the same name."""
    function = getattr(operations, name)
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    arguments = {{
        item.name: sample(hints[item.name])
        for item in parameters
        if item.default is item.empty and item.kind is item.POSITIONAL_OR_KEYWORD
    }}
    options = {{
        item.name: sample(hints[item.name])
        for item in parameters
        if item.default is item.empty and item.kind is item.KEYWORD_ONLY
    }}
    operation = function(**arguments, **options)
    assert isinstance(operation, HttpOperation)
    endpoint = make_service().endpoint(operation.name, None)
    assert endpoint is not None
    assert endpoint.method == operation.request.method
'''
