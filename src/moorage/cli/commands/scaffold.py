"""`moorage scaffold`: write the first files of a vendor, adapter, scheme or application."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.scaffold import scaffold, write

Name = Annotated[str, Parameter(allow_leading_hyphen=False)]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Target:
    """The place of the new files.

    Attributes:
        into: the folder to create; by default it has the given name.
        force: overwrite existing files.
    """

    into: Path | None = None
    force: bool = False


_CURRENT_FOLDER: Final = Target()


def vendor(
    name: Name,
    /,
    *,
    contract: str | None = None,
    target: Target = _CURRENT_FOLDER,
    context: Context,
) -> CommandResult:
    """Write a package with your own vendor, its sandbox and its tests.

    Once installed with pip, configurations find the vendor by its name.

    Args:
        name: the vendor's name in configurations.
        contract: sms, email, payments, shipping or storage; sms by default.
        target: the place of the new files.
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
        target: the place of the new files.
        context: the options that all commands share.
    """
    return _write_files("adapter", name, port, target)


def scheme(name: Name, /, *, target: Target = _CURRENT_FOLDER, context: Context) -> CommandResult:
    """Write a webhook scheme's table and a signed example.

    Args:
        name: the name of the sender.
        target: the place of the new files.
        context: the options that all commands share.
    """
    return _write_files("scheme", name, None, target)


def django(name: Name, /, *, target: Target = _CURRENT_FOLDER, context: Context) -> CommandResult:
    """Write a Django project that takes payments and webhooks.

    Args:
        name: the name of the project.
        target: the place of the new files.
        context: the options that all commands share.
    """
    return _write_files("django", name, None, target)


def flask(name: Name, /, *, target: Target = _CURRENT_FOLDER, context: Context) -> CommandResult:
    """Write a Flask application that takes payments and webhooks.

    Args:
        name: the name of the application.
        target: the place of the new files.
        context: the options that all commands share.
    """
    return _write_files("flask", name, None, target)


def _write_files(kind: str, name: str, choice: str | None, target: Target) -> CommandResult:
    texts = scaffold(kind, name, choice)
    folder = Path(name) if target.into is None else target.into
    files = [str(path) for path in write(texts, folder, force=target.force)]
    lines = [*files, "", f"Its tests: cd {folder} && python -m pytest", "Next steps: README.md"]
    return CommandResult({"folder": str(folder), "files": files}, lines)
