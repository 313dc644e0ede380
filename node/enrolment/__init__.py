"""Identifiers become pseudonyms: blinded here, evaluated by trustees, verified, combined here."""
