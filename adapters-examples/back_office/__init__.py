"""The back office of the Django and the Flask ERP: invoices, bank accounts, shops, contracts.

`documents` makes the documents from the rows of either ERP. `calls` makes the calls and says in the
words of the pages what became of each. The ERPs store that, and show it.
"""
