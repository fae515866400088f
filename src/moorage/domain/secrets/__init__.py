"""The type `Secret`, and the removal of secrets from texts and errors."""
