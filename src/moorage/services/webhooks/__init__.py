"""The verification of webhooks."""
