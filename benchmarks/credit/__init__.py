"""What `benchmarks.quality` is made of: tables, synthetic worlds, priors, our training, rivals."""
