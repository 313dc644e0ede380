"""The sandbox: a coordinator and five nodes as real processes on one machine."""
