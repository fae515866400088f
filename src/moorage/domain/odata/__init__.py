"""OData v4: filters, requests, answers and batches."""
