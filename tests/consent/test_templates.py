"""Templates: nobody is talked into more than the network allows."""

import json
from pathlib import Path

import pytest

import consent.templates
from consent.artefact import Notice, TrainingTerms
from consent.templates import DAY_MS, ConsentOutOfBounds, Templates, TemplateUnknown
from tests.consent.samples import NOW_MS, TEMPLATE, TEMPLATES, artefact

SHIPPED = Path(consent.templates.__file__).with_name("templates.json")
ADVERSE = TEMPLATE.adverse_notice("en").sha256


def test_the_sample_keeps_its_template():
    assert TEMPLATES.check(artefact()) is TEMPLATE


@pytest.mark.parametrize("language", ["en", "zh-Hans", "zh-Hant"])
def test_the_notices_come_in_three_languages(language):
    notice = TEMPLATE.notice(language)
    assert TEMPLATE.notices[notice]
    assert TEMPLATES.check(artefact(notice=notice)) is TEMPLATE


def test_a_language_without_a_notice_names_those_with_one():
    with pytest.raises(TemplateUnknown, match="en, zh-Hans, zh-Hant"):
        TEMPLATE.notice("fr")


@pytest.mark.parametrize(
    "changes",
    [
        {"template_id": "other"},
        {"template_sha256": bytes(32)},
        {"notice": Notice(1, "en", bytes(32))},
        {"notice": Notice(2, "en", TEMPLATE.notice("en").sha256)},
    ],
    ids=str,
)
def test_a_text_the_person_cannot_have_been_shown_is_refused(changes):
    with pytest.raises(TemplateUnknown):
        TEMPLATES.check(artefact(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"data_categories": ("shoe_size",)},
        {"data_categories": ("genes", "payment")},
        {"data_categories": ("income",)},
        {"data_categories": ("tax",), "adverse_notice_sha256": bytes(32)},
        {"adverse_notice_sha256": ADVERSE},
        {"valid_until_ms": NOW_MS + 366 * DAY_MS},
        {"data_life_s": 93 * 86_400},
        {"max_uses": 1001},
        {"training": TrainingTerms("10.5", "0.00001")},
        {"training": TrainingTerms("0", "0.00001")},
        {"training": TrainingTerms("1", "0.001")},
        {"training": TrainingTerms("1", "0")},
    ],
    ids=str,
)
def test_a_consent_outside_its_bounds_is_refused_even_though_it_was_signed(changes):
    with pytest.raises(ConsentOutOfBounds):
        TEMPLATES.check(artefact(**changes))


def test_a_category_with_adverse_consequences_is_allowed_with_its_notice():
    sample = artefact(data_categories=("income",), adverse_notice_sha256=ADVERSE)
    assert TEMPLATES.check(sample) is TEMPLATE


def test_several_purposes_keep_the_strictest_bound_of_each():
    alone = artefact(purposes=("train",), data_life_s=366 * 86_400)
    assert TEMPLATES.check(alone) is TEMPLATE
    with pytest.raises(ConsentOutOfBounds):
        TEMPLATES.check(artefact(purposes=("score", "train"), data_life_s=366 * 86_400))


def test_a_purpose_that_the_template_does_not_offer_has_no_bounds():
    for purposes in ([], ["advertise"], ["score", "advertise"]):
        with pytest.raises(ConsentOutOfBounds):
            TEMPLATE.strictest(purposes)


def test_a_change_of_a_notice_is_another_template(tmp_path):
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    shipped[0]["notices"][0]["text"] += " And more."
    changed = tmp_path / "templates.json"
    changed.write_text(json.dumps(shipped), encoding="utf-8")
    other = Templates.load(changed)
    assert other.get(TEMPLATE.template_id).sha256 != TEMPLATE.sha256
    with pytest.raises(TemplateUnknown):
        other.check(artefact())
