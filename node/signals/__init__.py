"""From clean records to signals, by declarative definitions that run where the data is."""
