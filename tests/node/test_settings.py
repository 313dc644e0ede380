"""Settings: read once, checked whole, and every error says where it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.settings import SettingsInvalid, load_settings, make_settings, settings_text
from protocols.errors import HomeUnusable

GIVEN = {"member_id": "bank-a", "name": "Harbour Bank", "role": "bank"}


def written(home, text):
    (home / "credence.toml").write_text(text)
    return home


def test_what_is_written_is_read_back(tmp_path):
    settings = make_settings(**GIVEN, holds=("credit_account",), as_of="2005-10-01", delta=1e-6)
    assert load_settings(written(tmp_path, settings_text(settings))) == settings


LINE = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=120)


@given(name=LINE.filter(str.isprintable), contact=LINE.filter(str.isprintable))
def test_any_printable_name_survives_the_file(tmp_path_factory, name, contact):
    settings = make_settings(**(GIVEN | {"name": name}), contact=contact)
    home = tmp_path_factory.mktemp("home")
    assert load_settings(written(home, settings_text(settings))) == settings


def test_the_environment_overrides_the_file(tmp_path, monkeypatch):
    home = written(tmp_path, settings_text(make_settings(**GIVEN)))
    monkeypatch.setenv("CREDENCE_NODE_MAX_EPSILON", "1.5")
    assert load_settings(home).max_epsilon == 1.5


def test_a_directory_without_settings_is_not_a_home(tmp_path):
    with pytest.raises(HomeUnusable, match=r"credence\.toml"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('listen = "nowhere"', "listen"),
        ("max_epsilon = -1", "max_epsilon"),
        ('holds = ["Credit Account"]', r"holds\.0"),
        ('as_of = "2005-13-01"', "as_of"),
        ('as_of = "20051001"', "as_of"),
        ("colour = 3", "colour"),
        ('directory_key = "abc"', "directory_key"),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path, line, key):
    home = written(tmp_path, f'member_id = "bank-a"\nname = "A"\nrole = "bank"\n{line}\n')
    with pytest.raises(SettingsInvalid, match=rf"{home}/credence\.toml: {key}: "):
        load_settings(home)


def test_an_error_in_the_environment_names_the_variable(tmp_path, monkeypatch):
    home = written(tmp_path, settings_text(make_settings(**GIVEN)))
    monkeypatch.setenv("CREDENCE_NODE_DELTA", "2")
    with pytest.raises(SettingsInvalid, match="CREDENCE_NODE_DELTA"):
        load_settings(home)


def test_a_file_that_is_no_toml_is_refused(tmp_path):
    with pytest.raises(SettingsInvalid, match=r"credence\.toml: "):
        load_settings(written(tmp_path, "member_id = "))


@pytest.mark.parametrize("member_id", ["", "a", "Bank", "bank_a", "bank a", "b" * 42, "../x"])
def test_a_member_id_outside_its_grammar_is_refused(member_id):
    with pytest.raises(SettingsInvalid, match="member_id"):
        make_settings(**(GIVEN | {"member_id": member_id}))


def test_a_name_that_the_directory_would_refuse_is_refused_here():
    with pytest.raises(SettingsInvalid, match="name"):
        make_settings(**(GIVEN | {"name": "two\nlines"}))


@pytest.mark.parametrize(
    ("given", "dialled", "keeps"),
    [
        ({}, "127.0.0.1:7500", False),
        ({"listen": ""}, None, True),
        ({"listen": "", "relay": False}, None, False),
        ({"relay": True}, "127.0.0.1:7500", True),
        ({"listen": "0.0.0.0:7500", "endpoint": "bank.example:7500"}, "bank.example:7500", False),
    ],
)
def test_a_node_that_listens_nowhere_is_dialled_by_nobody_and_keeps_a_line(
    tmp_path, given, dialled, keeps
):
    settings = make_settings(**GIVEN, **given)
    assert (settings.dialled, settings.keeps_relay) == (dialled, keeps)
    assert load_settings(written(tmp_path, settings_text(settings))) == settings
