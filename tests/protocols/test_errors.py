"""Error codes, as both sides of the wire know them."""

import gc
import importlib
import pickle
import pkgutil
import re

import pytest

import protocols
from protocols.errors import CredenceError, error_classes


@pytest.fixture(scope="module")
def classes():
    for module in pkgutil.iter_modules(protocols.__path__, "protocols."):
        importlib.import_module(module.name)
    return error_classes()


def test_every_code_is_snake_case_and_names_one_class(classes):
    assert {"signature_invalid", "request_expired", "directory_rollback"} <= set(classes)
    for code, cls in classes.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]{2,39}", code)
        assert cls.code == code
        assert cls.next_step.endswith(".")


def test_two_classes_with_one_code_are_noticed():
    twin = type("Twin", (CredenceError,), {"code": "malformed"})
    with pytest.raises(RuntimeError, match="malformed"):
        error_classes()
    del twin
    gc.collect()
    error_classes()


def test_an_error_keeps_the_next_step_it_was_given():
    assert CredenceError("what", next_step="Do this.").next_step == "Do this."
    assert str(CredenceError("what")) == "what"


class NamesAPlace(CredenceError):
    """An error that is made from more than a message."""

    code = "test_names_a_place"

    def __init__(self, reason, *, place):
        super().__init__(f"{place}: {reason}", next_step="Go there.")
        self.place = place


def test_an_error_stays_whole_on_its_way_to_another_process():
    error = pickle.loads(pickle.dumps(NamesAPlace("is wrong", place="line 3")))
    assert (str(error), error.message) == ("line 3: is wrong", "line 3: is wrong")
    assert (error.place, error.next_step, error.code) == ("line 3", "Go there.", NamesAPlace.code)
