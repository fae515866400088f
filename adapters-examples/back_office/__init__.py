"""The back office of both example ERPs: electronic invoices, bank accounts, shops and contracts.

`documents` makes the documents from the rows of either ERP. `calls` makes the calls and says in the
words of the pages what became of each. The ERPs store that, and show it.
"""
