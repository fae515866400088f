"""The ERP's app: `models` stores data, `vendor_calls` calls vendors, `views` shows pages."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from ledger import back_office_views  # noqa: F401 - adds its pages
from ledger.commands import set_up, worker
from ledger.models import open_books, session
from ledger.vendor_calls import moorage
from ledger.views import PAGES, pages

HERE = Path(__file__).resolve().parents[1]


def create_app() -> Flask:
    """Return the ERP application, with SQLite, or with the PostgreSQL in `ERP_DATABASE`."""
    app = Flask("ledger", template_folder=str(PAGES / "templates"), static_folder=None)
    app.config["SECRET_KEY"] = os.environ.get("ERP_SECRET_KEY", "an example has no secrets")
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    url = os.environ.get("ERP_DATABASE", f"sqlite:///{HERE / 'var' / 'erp.sqlite3'}")
    app.extensions["books"] = open_books(url)
    configuration = os.environ.get("ERP_MOORAGE", HERE / "moorage.toml")
    app.config["MOORAGE"] = {"CONFIGURATION": configuration, "DATABASE": session}
    moorage.init_app(app)
    app.register_blueprint(pages)
    app.cli.add_command(set_up)
    app.cli.add_command(worker)

    @app.teardown_appcontext
    def close_session(_: object) -> None:
        session.remove()

    return app
