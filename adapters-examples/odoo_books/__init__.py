"""An adapter for Odoo: customers and invoices as values of moorage's contracts.

Connectors know how to reach the ERP; this package knows what its records mean.
"""
