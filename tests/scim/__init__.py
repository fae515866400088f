"""The SCIM server."""
