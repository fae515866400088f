"""Every command: its words, where it is, and what it does in a sentence.

To add one, write its function (see `moorage.cli`) and give it a line here.
"""

from __future__ import annotations

from typing import Final

COMMANDS: Final = {
    "check": ("moorage.cli.check:check", "Prove a configuration without sending anything."),
    "ping": (
        "moorage.cli.ping:ping",
        "Prove a configuration with one harmless call to every service, all at once.",
    ),
    "call": (
        "moorage.cli.call:call",
        "Send one request through every protection of a service, and show the answer.",
    ),
    "status": (
        "moorage.cli.status:status",
        "Tell how every service stands: its circuits, its limits and its retries.",
    ),
    "circuit open": (
        "moorage.cli.circuit:hold_open",
        "Hold a circuit open, so that nobody calls, until it is reset.",
    ),
    "circuit close": (
        "moorage.cli.circuit:hold_closed",
        "Hold a circuit closed, so that everybody calls whatever fails, until it is reset.",
    ),
    "circuit reset": (
        "moorage.cli.circuit:reset",
        "Let a circuit begin anew: closed, with nothing counted.",
    ),
    "limits reset": (
        "moorage.cli.limits:reset",
        "End the pause of a service's limits that a vendor asked for.",
    ),
    "credentials set": (
        "moorage.cli.credentials:set_secret",
        "Store a secret, which is asked for without being shown, or read from the standard input.",
    ),
    "credentials list": (
        "moorage.cli.credentials:list_owners",
        "List the services and tenants whose credentials are stored, and no secret.",
    ),
    "credentials rotate": (
        "moorage.cli.credentials:rotate",
        "Seal everything anew with the first key of MOORAGE_KEYS, while others read and write.",
    ),
    "credentials delete": (
        "moorage.cli.credentials:delete",
        "Delete what is stored for a service and tenant.",
    ),
    "webhook sign": (
        "moorage.cli.webhook:sign",
        "Sign a body as a vendor would, to try what receives it.",
    ),
    "webhook verify": (
        "moorage.cli.webhook:verify",
        "Verify a saved webhook: its headers and its body, byte by byte as it came.",
    ),
    "webhook listen": (
        "moorage.cli.webhook:listen",
        "Listen on this machine, verify what arrives, and show it; Ctrl-C ends it.",
    ),
    "scaffold vendor": (
        "moorage.cli.scaffold:vendor",
        "Write a package with a vendor of your own, its sandbox and its tests.",
    ),
    "scaffold adapter": (
        "moorage.cli.scaffold:adapter",
        "Write an adapter of your own, and the tests that its port asks of it.",
    ),
    "scaffold scheme": (
        "moorage.cli.scaffold:scheme",
        "Write the table by which the webhooks of somebody are verified, and a signed example.",
    ),
    "scaffold django": (
        "moorage.cli.scaffold:django",
        "Write a project of Django's that takes payments and webhooks.",
    ),
    "scaffold flask": (
        "moorage.cli.scaffold:flask",
        "Write an application of Flask's that takes payments and webhooks.",
    ),
    "oauth login": (
        "moorage.cli.oauth:login",
        "Have a person consent, and store the tokens that this brings.",
    ),
    "oauth revoke": (
        "moorage.cli.oauth_revoke:revoke",
        "Give stored tokens back to the server, so that nobody can use them any more.",
    ),
    "vendors": (
        "moorage.cli.vendors:vendors",
        "List the vendors that are installed, or tell what one can do.",
    ),
    "housekeep": (
        "moorage.cli.housekeep:housekeep",
        "Forget states that cannot matter any more; for a timer, once a day.",
    ),
    "rearm": (
        "moorage.cli.fence:rearm",
        "Say that this environment may send with a store that was another's first.",
    ),
    "neutralize": (
        "moorage.cli.fence:neutralize",
        "Delete what a copy could act with, such as credentials; idempotency keys stay.",
    ),
    "export schema": (
        "moorage.cli.export:export_schema",
        "Write the JSON Schema of configurations, by which editors complete and check them.",
    ),
    "export postman": (
        "moorage.cli.export:export_postman",
        "Write a Postman collection of what the configured vendors will be sent.",
    ),
    "export openapi": (
        "moorage.cli.export:export_openapi",
        "Write an OpenAPI 3.1 description of what the configured vendors will be sent.",
    ),
    "demo": (
        "moorage.cli.demo:demo",
        "Tell a day of a business system on vendors that fail in every way.",
    ),
}
"""By its words: the module and the function, and the first sentence of its help."""

GROUPS: Final = {
    "export": "Write down for other people's tools what is configured.",
    "scaffold": "Write the first files of what you add; they pass their tests at once.",
    "circuit": "Open, close or reset a circuit by hand, for every process at once.",
    "limits": "End by hand, for every process at once, what a vendor asked for.",
    "credentials": "Keep secrets in a store, sealed with MOORAGE_KEYS.",
    "webhook": "Sign, verify, and see what arrives.",
    "oauth": "Get tokens by a person's consent, or give them back.",
}
"""What the commands have in common that begin with the same word."""
