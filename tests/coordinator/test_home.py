"""Making, opening and locking a coordinator's home."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from audit.database import Database, DatabaseUnavailable
from coordinator.bootstrap import Coordinator, init_coordinator, open_coordinator
from coordinator.home import HomeExists, is_running, only_process
from coordinator.settings import CoordinatorSettingsInvalid, load_settings, make_settings
from coordinator.storage.migrations import CoordinatorSchemaTooNew, upgrade
from coordinator.storage.tables import metadata
from protocols.errors import AlreadyRunning, HomeUnusable, SignatureInvalid
from tests.coordinator.applicants import NOW


def test_what_was_initialised_opens_with_the_same_settings_and_keys(home: Path) -> None:
    first, second = open_coordinator(home), open_coordinator(home)
    assert first.settings == second.settings
    assert first.keys.directory.seed == second.keys.directory.seed
    first.close()
    second.close()


def test_a_home_that_is_not_empty_stays_as_it_is(home: Path) -> None:
    before = sorted(path.name for path in home.iterdir())
    with pytest.raises(HomeExists):
        init_coordinator(home, make_settings(), NOW)
    assert sorted(path.name for path in home.iterdir()) == before


def test_an_empty_directory_becomes_a_home(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    init_coordinator(tmp_path / "empty", make_settings(), NOW)
    open_coordinator(tmp_path / "empty").close()


def test_a_failed_initialisation_leaves_nothing_behind(tmp_path: Path) -> None:
    unopenable = make_settings(database_url=f"sqlite:///{tmp_path}/no/such/folder/x.db")
    with pytest.raises(DatabaseUnavailable):
        init_coordinator(tmp_path / "c", unopenable, NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_home_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnusable):
        init_coordinator(tmp_path / "file" / "c", make_settings(), NOW)


def test_a_directory_that_is_no_home_is_named(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match=str(tmp_path)):
        open_coordinator(tmp_path)


def test_keys_do_not_open_under_another_key(home: Path) -> None:
    (home / "kek").unlink()
    (home / "kek").write_bytes(bytes(32))
    with pytest.raises(SignatureInvalid):
        open_coordinator(home)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("listen_members = 'nowhere'", "listen_members"),
        ("certificate_days = 365", "certificate_days"),
        ("colour = 'blue'", "colour"),
        ("name = ", "line 1"),
        ("name = 'Upper Case'", "name"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(home: Path, text: str, says: str) -> None:
    (home / "credence.toml").write_text(text + "\n")
    with pytest.raises(CoordinatorSettingsInvalid) as caught:
        load_settings(home)
    assert says in caught.value.message
    assert "credence.toml" in caught.value.message


def test_the_environment_overrides_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENCE_COORDINATOR_CERTIFICATE_DAYS", "7")
    assert load_settings(home).certificate_days == 7


def test_one_process_at_a_time_runs_on_a_home(home: Path) -> None:
    assert not is_running(home)
    with only_process(home):
        assert is_running(home)
        with pytest.raises(AlreadyRunning), only_process(home):
            pass
    assert not is_running(home)


def test_the_migrated_schema_is_the_one_in_the_tables(coordinator: Coordinator) -> None:
    log_own = ("audit_", "alembic_", "witness_", "incident")

    def ours(item: object, name: str | None, kind: str, *_: object) -> bool:
        table = getattr(getattr(item, "table", None), "name", "") if kind == "index" else name
        return not (kind in {"table", "index"} and (table or "").startswith(log_own))

    with coordinator.database.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": ours, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/c.db")
    upgrade(database)
    upgrade(database)  # a second time changes nothing
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CoordinatorSchemaTooNew):
        upgrade(database)
    database.close()
