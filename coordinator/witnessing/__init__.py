"""The coordinator's log before witnesses, and the coordinator as a witness of its members."""
