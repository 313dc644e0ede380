"""Credit models, not ORM models (tables live in `storage/tables.py`)."""
