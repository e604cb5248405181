"""Where run events come from: file, Kafka. Each source stamps watermarks and parts dead letters."""
