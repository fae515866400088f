"""`moorage scaffold`: write a client, or the first files of an extension or application."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.cli.numbers import Port
from moorage.config.asyncapi_files import read_asyncapi
from moorage.config.loading import load
from moorage.config.openapi_files import read_openapi
from moorage.config.plain_secrets import plain_secrets
from moorage.errors import ConfigurationError
from moorage.scaffold import scaffold, write
from moorage.scaffold.client.message_package import MessageOptions, Role, message_files
from moorage.scaffold.client.package import ClientOptions, client_files
from moorage.scaffold.deployment import (
    WorkerDeployment,
    kubernetes_manifest,
    systemd_unit,
    worker_deployment,
)

Name = Annotated[str, Parameter(allow_leading_hyphen=False)]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Target:
    """The command-line option for the folder of the new files.

    Attributes:
        into: the folder to create; by default it is named after the argument `name`.
        force: overwrite existing files.
    """

    into: Path | None = None
    force: bool = False


_CURRENT_FOLDER: Final = Target()


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ClientChoices:
    """The options of a generated client.

    Attributes:
        server: the URL or description of the server; or another base URL. By default the only one.
        security: the name of the security scheme; by default the one that most operations accept.
        operation: an operationId; give it once for each operation. By default all.
        skip_unmapped: leave out operations that cannot be mapped; the README lists them.
        drop_unknown: drop members of objects that the description does not name.
        check_answers: check the limits of values in answers too.
    """

    server: str | None = None
    security: str | None = None
    operation: tuple[str, ...] = ()
    skip_unmapped: bool = False
    drop_unknown: bool = False
    check_answers: bool = False


_USUAL_CLIENT: Final = ClientChoices()


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class MessageChoices:
    """The options of generated messages.

    Attributes:
        role: client if your program talks to the described application; application if it is that
            application.
        operation: the name of an operation; give it once for each operation. By default all.
        skip_unmapped: leave out operations that cannot be mapped; the README lists them.
        drop_unknown: drop members of objects that the description does not name.
        check_received: check the limits of values in received messages too.
    """

    role: Role = "client"
    operation: tuple[str, ...] = ()
    skip_unmapped: bool = False
    drop_unknown: bool = False
    check_received: bool = False


_USUAL_MESSAGES: Final = MessageChoices()


def vendor(
    name: Name,
    /,
    *,
    contract: str | None = None,
    target: Target = _CURRENT_FOLDER,
    context: Context,
) -> CommandResult:
    """Write a package with your own vendor, its sandbox and its tests.

    After installing the package with pip, configurations can use the vendor by its name.

    Args:
        name: the vendor's name in configurations.
        contract: the name of any contract, such as email or payments; sms by default.
        target: the folder for the new files.
        context: the options that all commands share.
    """
    return _write_files("vendor", name, contract, target)


def adapter(
    name: Name,
    /,
    *,
    port: str | None = None,
    target: Target = _CURRENT_FOLDER,
    context: Context,
) -> CommandResult:
    """Write your own adapter with the conformance tests of its port.

    Args:
        name: the name of the adapted system.
        port: state, log, http or credentials; state by default.
        target: the folder for the new files.
        context: the options that all commands share.
    """
    return _write_files("adapter", name, port, target)


def scheme(name: Name, /, *, target: Target = _CURRENT_FOLDER, context: Context) -> CommandResult:
    """Write a webhook scheme's table and a signed example.

    Args:
        name: the name of the sender.
        target: the folder for the new files.
        context: the options that all commands share.
    """
    return _write_files("scheme", name, None, target)


def django(name: Name, /, *, target: Target = _CURRENT_FOLDER, context: Context) -> CommandResult:
    """Write a Django project that accepts payments and webhooks.

    Args:
        name: the name of the project.
        target: the folder for the new files.
        context: the options that all commands share.
    """
    return _write_files("django", name, None, target)


def flask(name: Name, /, *, target: Target = _CURRENT_FOLDER, context: Context) -> CommandResult:
    """Write a Flask application that accepts payments and webhooks.

    Args:
        name: the name of the application.
        target: the folder for the new files.
        context: the options that all commands share.
    """
    return _write_files("flask", name, None, target)


def client(
    description: Path,
    /,
    *,
    name: str | None = None,
    choices: ClientChoices = _USUAL_CLIENT,
    target: Target = _CURRENT_FOLDER,
    context: Context,
) -> CommandResult:
    """Write a package with a typed client of an API that OpenAPI describes.

    The same description and options give the same files. An error lists the operations that cannot
    be mapped.

    Args:
        description: the file with the description, in JSON or YAML.
        name: the name of the service; by default the title of the API.
        choices: the options of the client.
        target: the folder for the new files.
        context: the options that all commands share.
    """
    api = read_openapi(description)
    chosen_name = api.name.replace("-", "_") if name is None else name
    options = ClientOptions(
        server=choices.server,
        security=choices.security,
        operations=frozenset(choices.operation) or None,
        skip_unmapped=choices.skip_unmapped,
        keep_unknown=not choices.drop_unknown,
        check_answers=choices.check_answers,
    )
    return _result(f"{chosen_name}_client", client_files(api, chosen_name, options), target)


def messages(
    description: Path,
    /,
    *,
    name: str | None = None,
    choices: MessageChoices = _USUAL_MESSAGES,
    target: Target = _CURRENT_FOLDER,
    context: Context,
) -> CommandResult:
    """Write a package with the typed messages of an application that AsyncAPI describes.

    The same description and options give the same files. An error lists the operations that cannot
    be mapped.

    Args:
        description: the file with the description, in JSON or YAML.
        name: the name of the application; by default the title of the description.
        choices: the options of the messages.
        target: the folder for the new files.
        context: the options that all commands share.
    """
    api = read_asyncapi(description)
    chosen_name = api.name.replace("-", "_") if name is None else name
    options = MessageOptions(
        role=choices.role,
        operations=frozenset(choices.operation) or None,
        skip_unmapped=choices.skip_unmapped,
        keep_unknown=not choices.drop_unknown,
        check_received=choices.check_received,
    )
    return _result(f"{chosen_name}_messages", message_files(api, chosen_name, options), target)


def kubernetes(
    name: Name,
    /,
    *,
    image: str,
    port: Port = 9464,
    target: Target = _CURRENT_FOLDER,
    context: Context,
) -> CommandResult:
    """Write a Kubernetes manifest for the workers of the configuration's pipelines.

    It contains the configuration, the names of the required secrets, probes, and a grace period for
    the longest drain.

    Args:
        name: the name of the Deployment.
        image: the container image in which moorage and your functions are installed.
        port: the port of the worker's metrics, probes and health.
        target: the folder for the new file.
        context: the options that all commands share.
    """
    deployment = _deployment(name, port, context)
    text = kubernetes_manifest(deployment, image)
    return _write_deployment(name, {f"{name}.yaml": text}, target, deployment)


def systemd(
    name: Name,
    /,
    *,
    port: Port = 9464,
    target: Target = _CURRENT_FOLDER,
    context: Context,
) -> CommandResult:
    """Write a systemd unit for the workers of the configuration's pipelines.

    Args:
        name: the name of the unit.
        port: the port of the worker's metrics, probes and health.
        target: the folder for the new file.
        context: the options that all commands share.
    """
    deployment = _deployment(name, port, context)
    return _write_deployment(
        name, {f"{name}.service": systemd_unit(deployment)}, target, deployment
    )


def _deployment(name: str, port: int, context: Context) -> WorkerDeployment:
    """Return the properties of the deployment, without looking up secrets.

    Raises:
        ConfigurationError: the configuration is not a file, has a secret in plain text, or no
            pipelines.
    """
    source = load(context.source())
    if source.file is None:
        raise ConfigurationError(
            "The configuration is not a file.",
            path="--config",
            remedy="Pass the path of a TOML, JSON or YAML file.",
        )
    problems = plain_secrets(source.tree, "a file that others will read")
    if problems:
        raise ConfigurationError.of(problems)
    return worker_deployment(
        name,
        source.tree,
        source.file.read_text("utf-8-sig"),
        # Unit files and manifests cannot contain every file name.
        file=f"moorage{source.file.suffix}",
        environment=context.environment,
        port=port,
    )


def _write_deployment(
    name: str, texts: Mapping[str, str], target: Target, deployment: WorkerDeployment
) -> CommandResult:
    """Write the file of a deployment, and return its path and the secrets that it needs."""
    folder = Path(name) if target.into is None else target.into
    files = [str(path) for path in write(texts, folder, force=target.force)]
    needed_secrets = [*deployment.variables, *deployment.secret_files]
    lines = [
        *files,
        *(
            [f"The deployment needs the secrets {', '.join(needed_secrets)}."]
            if needed_secrets
            else []
        ),
    ]
    return CommandResult({"folder": str(folder), "files": files, "secrets": needed_secrets}, lines)


def _write_files(kind: str, name: str, choice: str | None, target: Target) -> CommandResult:
    return _result(name, scaffold(kind, name, choice), target)


def _result(name: str, texts: Mapping[str, str], target: Target) -> CommandResult:
    folder = Path(name) if target.into is None else target.into
    files = [str(path) for path in write(texts, folder, force=target.force)]
    install = " && python -m pip install pytest -e ." if "pyproject.toml" in texts else ""
    tests = f"To run its tests: cd {folder}{install} && python -m pytest"
    lines = [*files, "", tests, "Next steps: README.md"]
    return CommandResult({"folder": str(folder), "files": files}, lines)
