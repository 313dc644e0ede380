"""An institution's raw records: canonical schema, connectors, cleaning, local store."""
