"""SOAP: locations of documents, WS-Security headers and the meaning of faults, as values."""
