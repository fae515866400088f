"""Events of calls, figures about calls, the integration log and the audit trail."""
