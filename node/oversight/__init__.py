"""What a regulator sees of one institution: counts, registers, disclosures with a basis."""
