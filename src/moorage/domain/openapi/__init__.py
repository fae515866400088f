"""OpenAPI descriptions: parsing them, and mapping them to services."""
