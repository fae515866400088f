"""The only room where things are built: which adapter stands behind each port of a core.

`cores` puts a core together for each colour, out of `ports` (what a host has given, checked),
`stores` (shared state, and what stands in for it), `observers`, and `defaults` (what stands behind
a port that was not given); `suitable` refuses services that do not go with them, and `trust` tells
if the HTTP client trusts anybody. Adapters are imported here, late, so that a program loads only
what it uses. Nothing here decides anything about a call.
"""
