"""This node's log before witnesses, and this node as a witness of others."""
