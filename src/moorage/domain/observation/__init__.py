"""Events of calls, metrics of calls, the integration log and the audit trail."""
