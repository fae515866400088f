"""`moorage scaffold`: write the first files of a vendor, adapter, scheme or application."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.scaffold import scaffold, write

Name = Annotated[str, Parameter(allow_leading_hyphen=False)]


def vendor(
    name: Name,
    /,
    *,
    contract: str | None = None,
    into: Path | None = None,
    force: bool = False,
    context: Context,
) -> CommandResult:
    """Write a package with your own vendor, its sandbox and its tests.

    Once installed with pip, configurations find the vendor by its name.

    Args:
        name: the vendor's name in configurations.
        contract: sms, email, payments, shipping or storage; sms by default.
        into: the folder to create; by default it has the given name.
        force: overwrite existing files.
        context: the options that all commands share.
    """
    return _write_files("vendor", name, contract, into, force=force)


def adapter(
    name: Name,
    /,
    *,
    port: str | None = None,
    into: Path | None = None,
    force: bool = False,
    context: Context,
) -> CommandResult:
    """Write your own adapter with the conformance tests of its port.

    Args:
        name: the name of the adapted system.
        port: state, log, http or credentials; state by default.
        into: the folder to create; by default it has the given name.
        force: overwrite existing files.
        context: the options that all commands share.
    """
    return _write_files("adapter", name, port, into, force=force)


def scheme(
    name: Name, /, *, into: Path | None = None, force: bool = False, context: Context
) -> CommandResult:
    """Write a webhook scheme's table and a signed example.

    Args:
        name: the name of the sender.
        into: the folder to create; by default it has the given name.
        force: overwrite existing files.
        context: the options that all commands share.
    """
    return _write_files("scheme", name, None, into, force=force)


def django(
    name: Name, /, *, into: Path | None = None, force: bool = False, context: Context
) -> CommandResult:
    """Write a Django project that takes payments and webhooks.

    Args:
        name: the name of the project.
        into: the folder to create; by default it has the given name.
        force: overwrite existing files.
        context: the options that all commands share.
    """
    return _write_files("django", name, None, into, force=force)


def flask(
    name: Name, /, *, into: Path | None = None, force: bool = False, context: Context
) -> CommandResult:
    """Write a Flask application that takes payments and webhooks.

    Args:
        name: the name of the application.
        into: the folder to create; by default it has the given name.
        force: overwrite existing files.
        context: the options that all commands share.
    """
    return _write_files("flask", name, None, into, force=force)


def _write_files(
    kind: str, name: str, choice: str | None, into: Path | None, *, force: bool
) -> CommandResult:
    texts = scaffold(kind, name, choice)
    folder = Path(name) if into is None else into
    files = [str(path) for path in write(texts, folder, force=force)]
    lines = [*files, "", f"Its tests: cd {folder} && python -m pytest", "Next steps: README.md"]
    return CommandResult({"folder": str(folder), "files": files}, lines)
