"""The platform operator's process: membership, campaigns, aggregation, model registry."""
