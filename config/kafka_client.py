"""What every client of Kafka has in common: where the brokers are, and how one gets in."""

from datetime import timedelta

from config.settings import Kafka

#: After an outage all clients are back within this, and not one ten seconds after the other: what they read is one
#: stream.
RECONNECT = timedelta(seconds=1)


def client_settings(kafka: Kafka) -> dict[str, str | int | float | bool]:
    """librdkafka's properties of a connection; its own lines come on stderr only when it can't go on.

    Holds secrets: hand it to a client and to nobody else.
    """
    properties = {name: value.get_secret_value() for name, value in kafka.client.items()}
    if kafka.sasl_password is not None:
        properties["sasl.password"] = kafka.sasl_password.get_secret_value()
    return {
        **properties,
        "bootstrap.servers": kafka.bootstrap_servers,
        "reconnect.backoff.max.ms": RECONNECT // timedelta(milliseconds=1),
        "log_level": 2,
    }
