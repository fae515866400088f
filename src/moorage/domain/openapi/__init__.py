"""OpenAPI descriptions: reading them as values, and mapping them to a service."""
