"""The table of all commands: name, import path and summary.

To add one, write its function (see `moorage.cli`) and give it a line here.
"""

from __future__ import annotations

from typing import Final

COMMANDS: Final = {
    "check": (
        "moorage.cli.commands.check:check",
        "Check a configuration without sending anything.",
    ),
    "ping": (
        "moorage.cli.commands.ping:ping",
        "Check a configuration with one harmless call to every service, all concurrently.",
    ),
    "call": (
        "moorage.cli.commands.call:call",
        "Send one request through a service's protections and show the response.",
    ),
    "run": (
        "moorage.cli.commands.run:run",
        "Run an operation of a connector by its name.",
    ),
    "connectors": (
        "moorage.cli.commands.run:list_connectors",
        "List the connectors with their health, versions, pools and operations.",
    ),
    "status": (
        "moorage.cli.commands.status:status",
        "Show the circuits, limits and retries of every service.",
    ),
    "health": (
        "moorage.cli.commands.health:health",
        "Show the health of services, stores and queues, with reasons and remedies.",
    ),
    "alerts run": (
        "moorage.cli.commands.alerts:run",
        "Evaluate the alert rules at intervals and send notifications, until SIGTERM or Ctrl-C.",
    ),
    "alerts list": (
        "moorage.cli.commands.alerts:list_alerts",
        "List active alerts, silences and unsent notifications; exit with 1 if there are any.",
    ),
    "alerts silence": (
        "moorage.cli.commands.alerts:silence",
        "Silence alerts for a while; an alert that is still active afterwards is notified then.",
    ),
    "alerts check": (
        "moorage.cli.commands.alerts:check",
        "Measure all rules now without notifying anybody; exit with 1 if any alert is active.",
    ),
    "circuit open": (
        "moorage.cli.commands.circuit:hold_open",
        "Force a circuit open, so that all calls are refused, until it is reset.",
    ),
    "circuit close": (
        "moorage.cli.commands.circuit:hold_closed",
        "Disable a circuit, so that calls continue despite failures, until it is reset.",
    ),
    "circuit reset": (
        "moorage.cli.commands.circuit:reset",
        "Reset a circuit: close it and clear its counts.",
    ),
    "limits reset": (
        "moorage.cli.commands.limits:reset",
        "End a rate-limit pause that a vendor asked for.",
    ),
    "broker": (
        "moorage.cli.commands.broker:broker",
        "Lease rate-limit tokens to the processes of this machine, until SIGTERM or Ctrl-C.",
    ),
    "keys resolve": (
        "moorage.cli.commands.keys:resolve",
        "Settle an idempotency key after you have checked its outcome at the vendor.",
    ),
    "payments unsettled": (
        "moorage.cli.commands.payments:unsettled",
        "List payments with an unknown outcome; exit with 1 if there are any.",
    ),
    "payments settle": (
        "moorage.cli.commands.payments:settle",
        "Ask vendors for unknown outcomes of payments and settle them; run it from a timer.",
    ),
    "payments close": (
        "moorage.cli.commands.payments:close",
        "Close a payment after you have checked its outcome at the vendor.",
    ),
    "outbox run": (
        "moorage.cli.commands.entries:run_outbox",
        "Make the calls that are due, until SIGTERM or Ctrl-C.",
    ),
    "outbox list": (
        "moorage.cli.commands.entries:list_outbox",
        "List the outbox's calls, newest first, without their contents.",
    ),
    "outbox replay": (
        "moorage.cli.commands.entries:replay_outbox",
        "Queue calls again, whatever their state, with as many attempts as new calls get.",
    ),
    "outbox drop": (
        "moorage.cli.commands.entries:drop_outbox",
        "Cancel calls, so that they are not made or not retried.",
    ),
    "outbox pause": (
        "moorage.cli.commands.pauses:pause_outbox",
        "Stop the workers of all processes from making calls, until `outbox resume`.",
    ),
    "outbox resume": (
        "moorage.cli.commands.pauses:resume_outbox",
        "End a pause of calls; exit with 1 if there is no pause of exactly these calls.",
    ),
    "inbox run": (
        "moorage.cli.commands.entries:run_inbox",
        "Handle the webhooks that are due, until SIGTERM or Ctrl-C.",
    ),
    "inbox list": (
        "moorage.cli.commands.entries:list_inbox",
        "List received webhooks, newest first, without their contents.",
    ),
    "inbox replay": (
        "moorage.cli.commands.entries:replay_inbox",
        "Queue webhooks again, whatever their state, with as many attempts as new webhooks get.",
    ),
    "inbox drop": (
        "moorage.cli.commands.entries:drop_inbox",
        "Cancel webhooks, so that they are not handled or not retried.",
    ),
    "inbox pause": (
        "moorage.cli.commands.pauses:pause_inbox",
        "Stop the workers of all processes from handling webhooks, until `inbox resume`.",
    ),
    "inbox resume": (
        "moorage.cli.commands.pauses:resume_inbox",
        "End a pause of webhooks; exit with 1 if there is no pause of exactly these webhooks.",
    ),
    "stream run": (
        "moorage.cli.commands.stream:run",
        "Run pipelines of the configuration until SIGTERM or Ctrl-C.",
    ),
    "stream status": (
        "moorage.cli.commands.stream:status",
        "Show the state and the numbers of pipelines; exit with 1 if one needs a person.",
    ),
    "stream pause": (
        "moorage.cli.commands.stream:pause",
        "Stop the workers of all processes from running a pipeline, until `stream resume`.",
    ),
    "stream resume": (
        "moorage.cli.commands.stream:resume",
        "End the pause of a pipeline; exit with 1 if it is not paused.",
    ),
    "stream reset": (
        "moorage.cli.commands.stream:reset",
        "Reset the stored position of a pipeline to the beginning, or to another position.",
    ),
    "stream schema check": (
        "moorage.cli.commands.stream_schema:check",
        "Check whether a schema can be the next version of a subject; exit with 1 if it cannot.",
    ),
    "stream dlq list": (
        "moorage.cli.commands.dead_letters:list_letters",
        "List the dead letters of a pipeline, the oldest first, without their payloads.",
    ),
    "stream dlq show": (
        "moorage.cli.commands.dead_letters:show",
        "Show a dead letter with its payload.",
    ),
    "stream dlq replay": (
        "moorage.cli.commands.dead_letters:replay",
        "Process dead letters again, and remove those that succeed.",
    ),
    "stream dlq drop": (
        "moorage.cli.commands.dead_letters:drop",
        "Delete dead letters without processing them; refused during a replay.",
    ),
    "step run": (
        "moorage.cli.commands.step:run",
        "Run a step of the configuration, show its output, and exit with its exit code.",
    ),
    "step logs": (
        "moorage.cli.commands.step:logs",
        "Show the output of a run; exit with 1 if its key was never used.",
    ),
    "step stop": (
        "moorage.cli.commands.step:stop",
        "Stop a run; exit with 1 if the run is not running.",
    ),
    "step list": (
        "moorage.cli.commands.step:list_steps",
        "List the steps of the configuration, and their runs that are not settled yet.",
    ),
    "metrics": (
        "moorage.cli.commands.metrics:metrics",
        "Show calls, success and percentiles of durations by service, operation and tenant.",
    ),
    "sla": (
        "moorage.cli.commands.sla:sla",
        "Show each month's compliance with the objectives, and the remaining error budget.",
    ),
    "logs list": (
        "moorage.cli.commands.logs:list_calls",
        "List calls of the integration log, newest first.",
    ),
    "logs show": (
        "moorage.cli.commands.logs:show_call",
        "Show everything that the integration log contains about one call.",
    ),
    "logs export": (
        "moorage.cli.commands.logs:export_calls",
        "Write calls of the integration log to a file, newest first.",
    ),
    "logs follow": (
        "moorage.cli.commands.logs:follow_calls",
        "Show new calls of the integration log until Ctrl-C, the oldest first.",
    ),
    "logs remove": (
        "moorage.cli.commands.logs:remove_calls",
        "Remove old calls from the integration log; run it once a day.",
    ),
    "audit list": (
        "moorage.cli.commands.audit:list_records",
        "List manual actions and changes of the configuration, newest first.",
    ),
    "audit verify": (
        "moorage.cli.commands.audit:verify_chain",
        "Verify the whole audit trail, and print the first broken link.",
    ),
    "audit seal": (
        "moorage.cli.commands.audit:seal_chain",
        "Seal the audit trail with the first key, and print the anchor; keep it elsewhere.",
    ),
    "credentials set": (
        "moorage.cli.commands.credentials:set_secret",
        "Store a secret, typed at a hidden prompt or read from the standard input.",
    ),
    "credentials list": (
        "moorage.cli.commands.credentials:list_owners",
        "List the services and tenants with stored credentials, without any secret.",
    ),
    "credentials rotate": (
        "moorage.cli.commands.credentials:rotate",
        "Re-encrypt all credentials with the first key of MOORAGE_KEYS while they stay in use.",
    ),
    "credentials delete": (
        "moorage.cli.commands.credentials:delete",
        "Delete the stored credentials of a service and tenant.",
    ),
    "webhook sign": (
        "moorage.cli.commands.webhook:sign",
        "Sign a body as a vendor would, to test your webhook receiver.",
    ),
    "webhook verify": (
        "moorage.cli.commands.webhook:verify",
        "Verify a saved webhook from its headers and its exact body.",
    ),
    "webhook listen": (
        "moorage.cli.commands.webhook:listen",
        "Listen on this machine, verify and show incoming webhooks; Ctrl-C ends it.",
    ),
    "scaffold vendor": (
        "moorage.cli.commands.scaffold:vendor",
        "Write a package with your own vendor, its sandbox and its tests.",
    ),
    "scaffold adapter": (
        "moorage.cli.commands.scaffold:adapter",
        "Write your own adapter with the conformance tests of its port.",
    ),
    "scaffold scheme": (
        "moorage.cli.commands.scaffold:scheme",
        "Write a webhook scheme's table and a signed example.",
    ),
    "scaffold client": (
        "moorage.cli.commands.scaffold:client",
        "Write a package with a typed client of an API that OpenAPI describes.",
    ),
    "scaffold kubernetes": (
        "moorage.cli.commands.scaffold:kubernetes",
        "Write a Kubernetes manifest for the workers of the configuration's pipelines.",
    ),
    "scaffold systemd": (
        "moorage.cli.commands.scaffold:systemd",
        "Write a systemd unit for the workers of the configuration's pipelines.",
    ),
    "scaffold messages": (
        "moorage.cli.commands.scaffold:messages",
        "Write a package with the typed messages of an application that AsyncAPI describes.",
    ),
    "scaffold django": (
        "moorage.cli.commands.scaffold:django",
        "Write a Django project that accepts payments and webhooks.",
    ),
    "scaffold flask": (
        "moorage.cli.commands.scaffold:flask",
        "Write a Flask application that accepts payments and webhooks.",
    ),
    "oauth login": (
        "moorage.cli.commands.oauth:login",
        "Ask a person for consent and store the resulting tokens.",
    ),
    "oauth revoke": (
        "moorage.cli.commands.oauth_revoke:revoke",
        "Revoke stored tokens at the server, so that nobody can use them.",
    ),
    "vendors": (
        "moorage.cli.commands.vendors:vendors",
        "List the installed vendors, or show the capabilities of one vendor.",
    ),
    "vendors drift": (
        "moorage.cli.commands.vendors_drift:drift",
        "Show the changes of a vendor's API description that affect moorage.",
    ),
    "grade": (
        "moorage.cli.commands.grade:grade_vendor",
        "Grade an installed vendor by its statements, and by its behaviour at its sandbox.",
    ),
    "housekeep": (
        "moorage.cli.commands.housekeep:housekeep",
        "Delete expired state, and old entries of the integration log; run it once a day.",
    ),
    "rearm": (
        "moorage.cli.commands.copied_database:rearm",
        "Allow this environment to use a store that belonged to another environment.",
    ),
    "neutralize": (
        "moorage.cli.commands.copied_database:neutralize",
        "Delete what could cause calls from a copied store; keep its idempotency keys.",
    ),
    "export schema": (
        "moorage.cli.commands.export:export_schema",
        "Write the configuration's JSON Schema, for completion and checks in editors.",
    ),
    "export postman": (
        "moorage.cli.commands.export:export_postman",
        "Write a Postman collection of the requests to the configured vendors.",
    ),
    "export openapi": (
        "moorage.cli.commands.export:export_openapi",
        "Write an OpenAPI 3.1 description of the requests to the configured vendors.",
    ),
    "export grafana": (
        "moorage.cli.commands.export:export_grafana",
        "Write a Grafana dashboard of the metrics of the Prometheus observer.",
    ),
    "export prometheus": (
        "moorage.cli.commands.export:export_prometheus",
        "Write recording and alerting rules for Prometheus.",
    ),
    "dashboard": (
        "moorage.cli.commands.dashboard:dashboard",
        "Serve the operations page on this machine; Ctrl-C ends it.",
    ),
    "demo": (
        "moorage.cli.commands.demo:demo",
        "Simulate a business day on local vendors that fail in many ways.",
    ),
}
"""Each command's import path and the first sentence of its help, by its name."""

GROUPS: Final = {
    "export": "Export the configured vendors, a dashboard and alerts for other tools.",
    "scaffold": "Write the first files of an extension or application; their tests pass at once.",
    "alerts": "Evaluate alert rules, list alerts, and silence them.",
    "circuit": "Open, disable or reset a circuit in all processes.",
    "limits": "End a vendor's rate-limit pause in all processes.",
    "keys": "Settle idempotency keys with an unknown outcome.",
    "payments": "List, settle and close payments with an unknown outcome.",
    "outbox": "Make, list, replay, cancel and pause the outbox's calls.",
    "inbox": "Handle, list, replay, cancel and pause the inbox's webhooks.",
    "stream": "Run, list, pause and reset the pipelines of the configuration.",
    "stream schema": "Check changes of schemas against the registry of a pipeline.",
    "stream dlq": "List, show, replay and drop dead letters in files.",
    "step": "Run, follow, stop and list the steps of the configuration.",
    "credentials": "Keep secrets in a store, encrypted with MOORAGE_KEYS.",
    "logs": "List, show, follow and export the logged calls, and remove old ones.",
    "audit": "List, verify and seal the audit trail of manual actions.",
    "vendors": "List the installed vendors, and compare their API descriptions.",
    "webhook": "Sign, verify and receive webhooks on this machine.",
    "oauth": "Get tokens by a person's consent, or revoke them.",
}
"""The help of each command group, by its name."""
