"""Webhooks: telling financing platforms what happened, signed, until they have heard it."""
