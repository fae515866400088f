"""The type of secrets, and the removal of secrets from texts."""
