"""The moorage objects of the current application."""

from __future__ import annotations

from typing import Any, Final, cast

from flask import current_app
from werkzeug.local import LocalProxy

from moorage import ConfigurationError
from moorage_flask.objects import MoorageObjects

NAME: Final = "moorage"
"""The key in `app.extensions`."""


def objects_in(app: Any) -> MoorageObjects:
    """Return an application's moorage objects."""
    extension = app.extensions.get(NAME)
    if isinstance(extension, MoorageObjects):
        return extension
    raise ConfigurationError(
        f"The application {app.name!r} does not use moorage.",
        path="MOORAGE",
        remedy="Call `Moorage(app)`, or `init_app(app)` of a `Moorage`.",
    )


def _current_application() -> MoorageObjects:
    return objects_in(current_app)


current_moorage: Final = cast("MoorageObjects", LocalProxy(_current_application))
"""The moorage objects of the current application."""
