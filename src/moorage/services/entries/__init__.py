"""The flows of the inbox of webhooks and the outbox of calls."""
