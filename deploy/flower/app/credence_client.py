"""The ClientApp that a SuperNode starts; its node configuration names the node's home."""

from deploy.flower.node_app import VirtualNodes

app = VirtualNodes()
