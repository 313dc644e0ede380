"""The wire contract, version 1: protobuf messages and their committed stubs."""
