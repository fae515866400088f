"""An adapter of an Odoo-like ERP: its customers and invoices as values of moorage's contracts.

Connectors know how to reach the ERP; this package knows what its records mean.
"""
