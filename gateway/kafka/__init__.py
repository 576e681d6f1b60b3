"""The only package that imports the Kafka client: sink, consumer, topics, and the embedded broker of the demo."""
