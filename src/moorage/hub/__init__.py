"""The objects that an application uses: manager, hub, inbox, outbox and worker."""
