"""The objects that an application holds: manager, hub, inbox, outbox and worker."""
