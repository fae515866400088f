"""A small application that embeds the Flask extension."""

from __future__ import annotations

from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from flask import Flask
from sqlalchemy.orm import scoped_session, sessionmaker

from moorage import Secret
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage_flask import Moorage
from moorage_flask.current import objects_in
from moorage_flask.database import MODERN

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from moorage.contracts.payments import PaymentEvent
    from moorage.hub.inbox import InboxEntry
    from moorage_flask.objects import MoorageObjects

KEYS: Final = "1:" + "A" * 43 + "="
"""A key for tests."""


class Shop:
    """An application with payments at Stripe's sandbox.

    Args:
        database: URL of the application's database.
        volatile: True to accept that a crash loses the idempotency keys of payments.
        settings: further entries of `app.config["MOORAGE"]`.
    """

    def __init__(
        self, database: str | None = None, *, volatile: bool = False, **settings: Any
    ) -> None:
        self.sandbox = StripeSandbox(webhook_url="http://localhost/moorage/webhooks/stripe")
        self.news: list[PaymentEvent] = []
        self.failing = False
        self.engine = None if database is None else sqlalchemy.create_engine(database)
        self.sessions = scoped_session(sessionmaker(self.engine))
        self.app = Flask("shop")
        self._folder: str | None = None
        if not MODERN and self.engine is not None and self.engine.dialect.name != "sqlite":
            # The state of moorage is in a server through SQLAlchemy 2 only.
            self._folder = mkdtemp()
            settings = {"STATE": f"sqlite:///{self._folder}/state.db", **settings}
        self.app.config["MOORAGE"] = {
            "CONFIGURATION": {
                "vendors": {
                    "stripe": {
                        "credentials": Secret(self.sandbox.api_key),
                        "webhook_secrets": [Secret(self.sandbox.webhook_secret)],
                        "volatile_keys": volatile,
                    }
                }
            },
            "DATABASE": None if database is None else self.sessions,
            "PORTS": {"http": SandboxHttpClient(self.sandbox)},
            **settings,
        }
        self.moorage = Moorage()
        self.moorage.on("payments")(self._record_event)
        self.moorage.init_app(self.app)

    @property
    def objects(self) -> MoorageObjects:
        """Return the state that the Flask extension stores for the application."""
        return objects_in(self.app)

    def client(self) -> FlaskClient:
        """Return a browser for the application."""
        return self.app.test_client()

    def deliver(self, number: int = -1, **changes: Any) -> int:
        """Send a webhook of the sandbox and return the status of the response."""
        options = {**self.sandbox.sent[number].arguments(), **changes}
        answer = self.client().open(
            options["url"],
            method=options["method"],
            data=options["body"],
            headers=options["headers"],
        )
        return answer.status_code

    def close(self) -> None:
        """Close the application's stores."""
        self.objects.close()
        self.sessions.remove()
        if self.engine is not None:
            self.engine.dispose()
        if self._folder is not None:
            rmtree(self._folder)

    def _record_event(self, event: PaymentEvent, entry: InboxEntry) -> None:
        if self.failing:
            raise RuntimeError("the handler is broken")
        self.news.append(event)
