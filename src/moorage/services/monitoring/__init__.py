"""Operations that read the shared state of services and probe their health."""
