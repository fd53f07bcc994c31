"""What runs in the parent process: the workers' keeper, the aggregator, and the books."""
