"""What the world says: sources, framings, decoders and the readings they make. Knows no spool and no Kafka."""
