"""Observers that pass events on to logging, OpenTelemetry, Prometheus and Sentry."""
