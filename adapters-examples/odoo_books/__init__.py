"""An adapter for Odoo: customers and invoices as values of moorage's contracts.

Connectors reach the ERP; this package converts its records.
"""
