"""HTTP clients on several libraries."""
