"""The expert scorecard in the registry: there from day zero, in nobody's way."""

import json

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from coordinator.bootstrap import init_coordinator, open_coordinator
from coordinator.expert import publish_expert
from coordinator.releases import Order
from coordinator.settings import make_settings
from models.catalogue import load_default
from protocols.documents import Document, verify_document

NOW = 1_700_000_000_000


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "coordinator"
    init_coordinator(path, make_settings(name="test"), NOW)
    return path


def test_it_is_signed_published_once_and_plays_no_part_until_it_is_given_one(home):
    """Nobody scores with a model that saw no outcome because it happened to be the first."""
    coordinator = open_coordinator(home)
    try:
        version = publish_expert(coordinator, load_default(), NOW)
        size = coordinator.audit.head().size
        assert publish_expert(coordinator, load_default(), NOW + 1) == version
        assert coordinator.audit.head().size == size
        row = coordinator.registry.find(version)
        document = Document("bundle", 0, row.manifest, row.signature, row.key_id)
        verify_document(document, coordinator.keys.directory.verify_key, "bundle")
        assert coordinator.registry.champion() is None
        assert coordinator.registry.standings() == {version: "published"}
        release = coordinator.releases.promote(version, Order(NOW, "operator", "day zero"))
        assert release.champion == version
    finally:
        coordinator.close()


def test_the_command_publishes_it_and_shows_its_kind(home):
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["coordinator", "models", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    version = json.loads(run("expert", str(home), "--json"))["version"]
    assert "assumed default rate" in run("expert", str(home))
    assert f"expert_scorecard {version} published" in " ".join(run("list", str(home)).split())
    shown = json.loads(run("show", str(home), version, "--json"))
    assert (shown["kind"], shown["state"]) == ("expert_scorecard", "published")
