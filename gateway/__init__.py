"""The edge gateway: intake, spool, forwarding to Kafka, detection, and the commands around them."""
