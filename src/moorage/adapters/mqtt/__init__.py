"""The connector that publishes messages over MQTT."""
