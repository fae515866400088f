"""The moorage objects of the current application."""

from __future__ import annotations

from typing import Any, Final, cast

from flask import current_app
from werkzeug.local import LocalProxy

from moorage import ConfigurationError
from moorage_flask.moored import Moored

NAME: Final = "moorage"
"""Among an application's extensions."""


def moored_in(app: Any) -> Moored:
    """Return the moorage objects of an application."""
    extension = app.extensions.get(NAME)
    if isinstance(extension, Moored):
        return extension
    raise ConfigurationError(
        f"The application {app.name!r} has no moorage.",
        path="MOORAGE",
        remedy="Call `Moorage(app)`, or `init_app(app)` of one.",
    )


def _current_application() -> Moored:
    return moored_in(current_app)


current_moorage: Final = cast("Moored", LocalProxy(_current_application))
"""What belongs to the application of the current context."""
