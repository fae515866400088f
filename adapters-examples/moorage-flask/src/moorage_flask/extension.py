"""The Flask extension: a single object for any number of applications and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flask import current_app, has_app_context

from moorage import ConfigurationError
from moorage_flask.commands import commands
from moorage_flask.current import NAME, objects_in
from moorage_flask.objects import Handler, MoorageObjects
from moorage_flask.settings import settings_of
from moorage_flask.webhooks import blueprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from moorage import Hub
    from moorage.hub.inbox import WebhookInbox
    from moorage.hub.outbox import Outbox
    from moorage.ports.integration_log import IntegrationLogger

Handling = TypeVar("Handling", bound="Callable[..., object]")


class Moorage:
    """The Flask extension, with the moorage objects of each application.

    Outside of an application context, it uses the application that it was created with, or its only
    application.

    Args:
        app: the application, unless `init_app` is called with it later.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self._handlers: list[Handler] = []
        self._apps: list[Flask] = []
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read `app.config["MOORAGE"]`, and add the blueprint and the commands.

        Everything is opened at its first use.

        Raises:
            ConfigurationError: a setting is wrong, and `path` names it; or the application was
                initialised before.
        """
        if NAME in app.extensions:
            raise ConfigurationError(
                f"The application {app.name!r} was initialised with moorage before.",
                path="MOORAGE",
                remedy="Call `Moorage(app)` or `init_app(app)` once for each application.",
            )
        app.extensions[NAME] = MoorageObjects(app, settings_of(app), self._handlers)
        app.register_blueprint(blueprint())
        app.cli.add_command(commands())
        app.teardown_request(_after_request)
        self._apps.append(app)

    def on(self, kind: type | str) -> Callable[[Handling], Handling]:
        """Register a function for webhooks of this kind; see `WebhookInbox.on`.

        The function runs in a context of the application.
        """

        def keep_handler(handler: Handling) -> Handling:
            self._handlers.append(Handler(kind, handler))
            return handler

        return keep_handler

    @property
    def here(self) -> MoorageObjects:
        """Return the current application's moorage objects."""
        if has_app_context():
            return objects_in(current_app)
        if len(self._apps) == 1:
            return objects_in(self._apps[0])
        raise ConfigurationError(
            "There is no current Flask application.",
            path="MOORAGE",
            remedy="Work inside `with app.app_context():`.",
        )

    @property
    def hub(self) -> Hub:
        """This process's hub, opened at its first use."""
        return self.here.hub

    @property
    def inbox(self) -> WebhookInbox:
        """The inbox: webhooks are stored first, and handled later."""
        return self.here.inbox

    @property
    def outbox(self) -> Outbox:
        """The outbox: calls are stored in the application's transaction, and made later."""
        return self.here.outbox

    @property
    def log(self) -> IntegrationLogger:
        """The integration log."""
        return self.here.log


def _after_request(_: BaseException | None) -> None:
    objects_in(current_app).after_request()
