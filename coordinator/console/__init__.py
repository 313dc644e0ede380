"""What the operator's console shows, and who may look: a read-side that changes nothing.

Nothing here is about people, scores or a single member's update: the coordinator has none.
"""
