"""An institution's process: records to signals, exchange, scoring, federation client."""
