"""Builds a hub from a configuration: a TOML, JSON or YAML file, or a mapping.

```toml
version = 1
[state]
url = "sqlite:///moorage.db"
[sms]
vendor = ["twilio", "vonage"]
[vendors.twilio]
account_sid = "AC…"
credentials = "secret://env/TWILIO_TOKEN"
timeout = 20.0
[tenants.acme-fr.sms]
vendor = "vonage"
```

Reading takes these steps: parse the file (`loading`), convert it to the current version of the
format (`migration`), apply the environment's tables and variables (`overlays`), resolve references
to variables and secrets (`references`, `providers`), check the values against the shapes of the
tables (`tables`, `shapes`, `structure`), and create the accounts, routes and services of a hub
(`accounts`, `configured`). All problems are collected with their paths (`problems`) and raised
before anything is opened. Only providers of secrets send requests.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from moorage.config.configured import Configured as Configured
from moorage.config.configured import read_configuration as read_configuration

if TYPE_CHECKING:
    from moorage.config.hubs import ConfigurationWarning as ConfigurationWarning
    from moorage.config.hubs import aopen as aopen
    from moorage.config.hubs import open as open  # noqa: A004 - used as moorage.open
    from moorage.config.loading import Source as Source
    from moorage.config.migration import Migrated as Migrated
    from moorage.config.schema import json_schema as json_schema

_LAZY_IMPORTS: Final = {
    "ConfigurationWarning": "hubs",
    "Migrated": "migration",
    "Source": "loading",
    "aopen": "hubs",
    "json_schema": "schema",
    "open": "hubs",
}
"""The modules of names that are imported on first use, so that reading a file stays fast."""


def __getattr__(name: str) -> Any:
    """Import a public name of this package when it is first used."""
    if name not in _LAZY_IMPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    export = getattr(import_module(f"{__name__}.{_LAZY_IMPORTS[name]}"), name)
    globals()[name] = export
    return export
