"""The type `Secret`, and the removal of secrets from strings and errors."""
