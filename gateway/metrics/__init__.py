"""Numbers for Prometheus: what the services know of themselves, as text, over HTTP. They keep none of their own."""
