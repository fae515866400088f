"""The wiring: the only folder that creates adapters, and connects them to the ports.

`core_assembly` builds a synchronous or an asynchronous core, from `ports` (the application's ports,
checked), `stores` (shared state and its fallback), `observers`, and `defaults` (the adapters of
ports that the application did not pass). `service_checks` refuses services that do not fit them,
and reports an HTTP client without verification. Adapters are imported here, late, so that a program
loads only what it uses. Nothing here decides anything about a call.
"""
