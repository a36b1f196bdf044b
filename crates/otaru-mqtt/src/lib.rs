//! MQTT itself.
