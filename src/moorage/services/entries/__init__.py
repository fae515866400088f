"""The operations of the webhook inbox and of the outbox of calls."""
