"""The ServerApp that a SuperLink starts."""

from deploy.flower.campaign import build_configured_app

app = build_configured_app()
