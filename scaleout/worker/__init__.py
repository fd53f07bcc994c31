"""What runs in a worker process: connections, their pipelines, and the outbox to the aggregator."""
