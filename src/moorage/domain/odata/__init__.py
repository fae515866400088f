"""OData v4: filters, requests, responses and batches."""
