"""The tamper-evident log: Merkle tree, store, checkpoints, offline verifier."""
