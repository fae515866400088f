"""`moorage scaffold`: the first files of a vendor, an adapter, a scheme or an application."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.scaffold import scaffold, write

Name = Annotated[str, Parameter(allow_leading_hyphen=False)]


def vendor(
    name: Name,
    /,
    *,
    contract: str | None = None,
    into: Path | None = None,
    force: bool = False,
    desk: Desk,
) -> Answer:
    """Write a package with a vendor of your own, its sandbox and its tests.

    Installed by pip, it is found by its name in a configuration.

    Args:
        name: what configurations call the vendor.
        contract: what it fills: sms, email, payments, shipping or storage; sms by default.
        into: the folder that it goes to; by default one of its name.
        force: write over files that are there.
        desk: what all commands share.
    """
    return _written("vendor", name, contract, into, force=force)


def adapter(
    name: Name,
    /,
    *,
    port: str | None = None,
    into: Path | None = None,
    force: bool = False,
    desk: Desk,
) -> Answer:
    """Write an adapter of your own, and the tests that its port asks of it.

    Args:
        name: what it adapts.
        port: what it is for: state, log, http or credentials; state by default.
        into: the folder that it goes to; by default one of its name.
        force: write over files that are there.
        desk: what all commands share.
    """
    return _written("adapter", name, port, into, force=force)


def scheme(name: Name, /, *, into: Path | None = None, force: bool = False, desk: Desk) -> Answer:
    """Write the table by which the webhooks of somebody are verified, and a signed example.

    Args:
        name: who sends them.
        into: the folder that it goes to; by default one of its name.
        force: write over files that are there.
        desk: what all commands share.
    """
    return _written("scheme", name, None, into, force=force)


def django(name: Name, /, *, into: Path | None = None, force: bool = False, desk: Desk) -> Answer:
    """Write a project of Django's that takes payments and webhooks.

    Args:
        name: what the project is called.
        into: the folder that it goes to; by default one of its name.
        force: write over files that are there.
        desk: what all commands share.
    """
    return _written("django", name, None, into, force=force)


def flask(name: Name, /, *, into: Path | None = None, force: bool = False, desk: Desk) -> Answer:
    """Write an application of Flask's that takes payments and webhooks.

    Args:
        name: what the application is called.
        into: the folder that it goes to; by default one of its name.
        force: write over files that are there.
        desk: what all commands share.
    """
    return _written("flask", name, None, into, force=force)


def _written(kind: str, name: str, choice: str | None, into: Path | None, *, force: bool) -> Answer:
    texts = scaffold(kind, name, choice)
    folder = Path(name) if into is None else into
    files = [str(path) for path in write(texts, folder, force=force)]
    shown = [*files, "", f"Its tests: cd {folder} && python -m pytest", "What is left: README.md"]
    return Answer({"folder": str(folder), "files": files}, shown)
