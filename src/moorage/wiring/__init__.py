"""The wiring: the only folder that creates adapters, and connects them to the ports.

`core_assembly` builds a synchronous or an asynchronous core, from `ports` (the application's ports,
checked), `stores` (shared state and its fallback), `observers`, and `defaults` (the adapters of
ports that the application did not pass). `service_checks` refuses services that do not suit these
ports, and reports an HTTP client that does not verify certificates. Adapters are imported on first
use, so that a program loads only the adapters that it uses. The wiring makes no decisions about
calls.
"""
