"""Reads the readings back from Kafka and says what is unusual, in sentences a person can act on."""
