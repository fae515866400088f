"""Tests of the SCIM server."""
