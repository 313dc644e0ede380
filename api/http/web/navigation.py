"""The links at the top of the pages of a face, in their order: (address, key of its words)."""

from collections.abc import Mapping

NAVIGATION: Mapping[str, tuple[tuple[str, str], ...]] = {
    "portal": (
        ("/portal/", "common.nav.home"),
        ("/portal/consents", "common.nav.consents"),
        ("/portal/access", "common.nav.access"),
        ("/portal/score", "common.nav.score"),
        ("/portal/data", "common.nav.data"),
        ("/portal/rights", "common.nav.rights"),
        ("/portal/security", "sign_in.nav"),
    ),
    "desk": (
        ("/desk/", "common.nav.desk"),
        ("/desk/statements", "desk.nav.statements"),
        ("/desk/ended", "desk.nav.ended"),
        ("/desk/person", "desk.nav.person"),
        ("/desk/security", "sign_in.nav"),
    ),
    "docs": (),
    "operator": (
        ("/operator/", "operator.nav.overview"),
        ("/operator/members", "operator.nav.members"),
        ("/operator/campaigns", "operator.nav.campaigns"),
        ("/operator/privacy", "operator.nav.privacy"),
        ("/operator/models", "operator.nav.models"),
        ("/operator/watch", "watch.nav"),
        ("/operator/relay", "operator.nav.relay"),
        ("/operator/ceremonies", "operator.nav.ceremonies"),
    ),
    "regulator": (
        ("/regulator/", "regulator.nav.morning"),
        ("/regulator/log", "regulator.nav.log"),
        ("/regulator/requests", "regulator.nav.requests"),
        ("/regulator/person", "regulator.nav.person"),
        ("/regulator/epsilon", "regulator.nav.epsilon"),
        ("/regulator/retention", "regulator.nav.retention"),
        ("/regulator/incidents", "regulator.nav.incidents"),
        ("/regulator/exports", "regulator.nav.exports"),
    ),
    "regulator_network": (
        ("/regulator/", "regulator.nav.morning"),
        ("/regulator/log", "regulator.nav.log"),
        ("/regulator/members", "regulator.nav.members"),
        ("/regulator/models", "regulator.nav.models"),
        ("/regulator/epsilon", "regulator.nav.epsilon"),
        ("/regulator/incidents", "regulator.nav.incidents"),
        ("/regulator/exports", "regulator.nav.exports"),
    ),
}
