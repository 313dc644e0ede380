"""A webhook leads out of the institution, never into it."""

import pytest

from node.settings import SettingsInvalid, make_settings
from node.webhooks.addresses import Guard, HostUnknown, UrlRefused
from node.webhooks.sender import Sender

PUBLIC = "93.184.216.34"


def guard(*addresses: str, networks: tuple[str, ...] = ()) -> Guard:
    return Guard(networks, lambda _host, _port: addresses)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.5", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1%eth0",
        "fc00::1", "ff0e::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "no address",
    ],
)  # fmt: skip
def test_an_address_inside_is_refused_however_it_is_written(address: str) -> None:
    with pytest.raises(UrlRefused):
        guard(address).check("https://platform.example/hook")


def test_one_address_inside_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(UrlRefused):
        guard(PUBLIC, "10.0.0.5").check("https://platform.example/hook")


def test_a_public_address_is_called_at_the_address_that_was_checked() -> None:
    """A name that resolves otherwise a moment later (DNS rebinding) is not asked again."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    target = Guard((), lambda _host, _port: next(answers)).check(
        "https://platform.example:8443/a?b"
    )
    assert (target.address, target.host, target.port) == (PUBLIC, "platform.example", 8443)
    assert (target.path, target.authority) == ("/a?b", "platform.example:8443")


@pytest.mark.parametrize(
    "url",
    [
        "", "platform.example", "http://platform.example/", "ftp://platform.example/",
        "file:///etc/passwd", "https://", "https:///x", "https://user@platform.example/",
        "https://user:secret@platform.example/", "https://platform.example/#part",
        "https://platform.example:0/", "https://platform.example:99999/",
        "https://platform.example/ b", "https://platform.example/\r\nx: y", "https://[::1/",
        "https://plat\\form.example/", "https://bücher.example/", "https://a/" + "x" * 500,
    ],
)  # fmt: skip
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused):
        guard(PUBLIC).check(url)


@pytest.mark.parametrize(
    "url",
    ["https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://[::ffff:7f00:1]/",
     "https://localhost/"],
)  # fmt: skip
def test_loopback_in_disguise_is_refused_by_what_it_resolves_to(url: str) -> None:
    with pytest.raises((UrlRefused, HostUnknown)):
        Guard().check(url)


def test_the_setting_opens_named_networks_and_http_only_to_loopback() -> None:
    inside = guard("10.1.2.3", networks=("10.1.0.0/16",))
    assert inside.check("https://hooks.bank.internal/").address == "10.1.2.3"
    with pytest.raises(UrlRefused):
        inside.check("http://hooks.bank.internal/")
    with pytest.raises(UrlRefused):
        guard("10.2.0.1", networks=("10.1.0.0/16",)).check("https://hooks.bank.internal/")
    sandbox = guard("127.0.0.1", networks=("127.0.0.0/8",))
    assert sandbox.check("http://localhost:8000/").address == "127.0.0.1"


def test_a_network_in_the_settings_is_one() -> None:
    settings = {"member_id": "bank-a", "name": "A", "role": "bank"}
    assert make_settings(**settings).webhook_networks == ()
    with pytest.raises(SettingsInvalid):
        make_settings(**settings, webhook_networks=("somewhere",))


def test_an_endpoint_that_moved_inside_after_it_was_added_is_not_called() -> None:
    """The address is checked at every attempt, not only when the endpoint is made."""
    attempted = Sender(guard("10.0.0.5")).send("https://platform.example/", {}, b"{}")
    assert (attempted.status, attempted.failure) == (None, "webhook_url_refused")
