"""The settings: SQLite by default, or the PostgreSQL in `ERP_DATABASE`."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from moorage_django import beside

BASE_DIR = Path(__file__).resolve().parent.parent
PAGES = BASE_DIR.parent / "erp_pages"


def _database(url: str) -> dict[str, object]:
    place = urlsplit(url)
    if place.scheme == "sqlite":
        # A transaction that will write says so at once, and waits for its turn.
        options = {"transaction_mode": "IMMEDIATE", "timeout": 20}
        name = unquote(url.removeprefix("sqlite:///"))
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": place.path.strip("/"),
        "HOST": place.hostname,
        "PORT": place.port or "",
        "USER": place.username or "",
        "PASSWORD": unquote(place.password or ""),
    }


_HOST = _database(os.environ.get("ERP_DATABASE", f"sqlite:///{BASE_DIR / 'var' / 'erp.sqlite3'}"))

SECRET_KEY = os.environ.get("ERP_SECRET_KEY", "an example has no secrets")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
ROOT_URLCONF = "erp.urls"
WSGI_APPLICATION = "erp.wsgi.application"
USE_TZ = True

INSTALLED_APPS = ["django.contrib.staticfiles", "moorage_django", "books"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "books.views.set_security_headers",
    "books.views.explain_failure",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PAGES / "templates"],
        "OPTIONS": {"context_processors": ["books.views.page_variables"]},
    },
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [PAGES / "static"]

# moorage stores the state of its calls over a connection of its own, which no rollback affects.
DATABASES = {"default": {**_HOST, "ATOMIC_REQUESTS": True}, "moorage": beside(_HOST)}
DATABASE_ROUTERS = ["moorage_django.Router"]
# The ERP looks parcels and emails up, so their vendors need not send webhooks.
SILENCED_SYSTEM_CHECKS = ["moorage.W005"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MOORAGE = {
    "CONFIGURATION": os.environ.get("ERP_MOORAGE", BASE_DIR / "moorage.toml"),
    "WORKER": True,  # the command `worker` handles webhooks and the outbox
}
SEED = os.environ.get("ERP_SEED", PAGES / "seed.json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
