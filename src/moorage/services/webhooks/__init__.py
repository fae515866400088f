"""The flow that verifies webhooks."""
