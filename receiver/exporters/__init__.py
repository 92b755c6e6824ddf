"""What sends built and passed-through requests on: the queue, the sender, and one file for each kind of exporter."""
