"""Which variables tell which runtime of the proxy, from whatever was set before."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.ca.truststores import TrustFiles
from symphony_auth_proxy.environment import ProxyAddress, no_proxy, upstream, variables
from symphony_auth_proxy.model import Origin, UpstreamProxy
from symphony_auth_proxy.secret import Secret

HOSTS = ("acme.symphony.com", "agent.acme.example")
PROXY = ProxyAddress(Origin("127.0.0.1", 4711))
TRUST = TrustFiles({"SSL_CERT_FILE": Path("/t/ssl.pem")}, Path("/t/java.p12"))


def changes(proxy: ProxyAddress = PROXY, **inherited: str) -> dict[str, str | None]:
    return variables(inherited, proxy, TRUST, HOSTS)


def exceptions(entries: str, *hosts: str) -> list[str]:
    """What is left of NO_PROXY, without the names of this machine."""
    left = variables({"NO_PROXY": entries}, PROXY, TRUST, hosts or HOSTS)["NO_PROXY"]
    local = {"localhost", "127.0.0.1", "::1"}
    return [entry for entry in (left or "").split(",") if entry and entry not in local]


def java_options(**inherited: str) -> list[str]:
    return (changes(**inherited)["JAVA_TOOL_OPTIONS"] or "").split(" ")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"])
def test_every_spelling_names_the_proxy_whatever_was_set(name: str) -> None:
    assert changes(**{name: "http://other:1"})[name] == "http://127.0.0.1:4711"


def test_a_client_is_named_in_the_url_with_its_password() -> None:
    proxy = ProxyAddress(Origin("::1", 4711), "desk @ 7", "s3cret")
    assert changes(proxy)["HTTPS_PROXY"] == "http://desk%20%40%207:s3cret@[::1]:4711"


def test_trust_is_told_and_node_is_told_to_look_at_the_variables() -> None:
    told = changes()
    assert (told["SSL_CERT_FILE"], told["NODE_USE_ENV_PROXY"]) == ("/t/ssl.pem", "1")


def test_what_is_not_for_an_http_proxy_stays_as_it_is() -> None:
    assert (
        changes(ALL_PROXY="socks5://other:1", all_proxy="socks5://other:1")
        .keys()
        .isdisjoint({"ALL_PROXY", "all_proxy"})
    )


# --- hosts without a proxy -----------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "acme.symphony.com",
        "ACME.Symphony.com",
        "acme.symphony.com:443",
        "acme.symphony.com.",
        "symphony.com",
        ".symphony.com",
        "*.symphony.com",
        "*symphony.com",
        "acme.*",
        "phony.com",  # requests takes any ending
        "com",
        ".",
    ],
)
def test_an_entry_that_some_runtime_reads_as_symphonys_is_left_out(entry: str) -> None:
    assert exceptions(f"{entry},kept.example") == ["kept.example"]


@pytest.mark.parametrize("entry", ["10.1.2.3", "10.0.0.0/8", "10.1.2.3:8443", "*", "0.0.0.0/0"])
def test_that_holds_for_addresses(entry: str) -> None:
    assert exceptions(f"{entry},kept.example", "10.1.2.3") == ["kept.example"]


@pytest.mark.parametrize("entry", ["2001:db8::7", "[2001:db8::7]:443", "2001:db8::/32"])
def test_and_for_those_of_ipv6(entry: str) -> None:
    assert exceptions(f"{entry},kept.example", "2001:db8::7") == ["kept.example"]


@pytest.mark.parametrize(
    "entry",
    [
        "symphony.com.example",
        "x.acme.symphony.com",
        "git.corp.example",
        "10.0.0.0/8",
        "2001:db8:1:2",
        "169.254.169.254",
    ],
)
def test_other_entries_stay(entry: str) -> None:
    assert exceptions(entry) == [entry]


def test_the_lower_case_one_counts_and_both_are_set() -> None:
    told = variables({"no_proxy": "a.example b.example", "NO_PROXY": "c"}, PROXY, TRUST, HOSTS)
    assert told["no_proxy"] == told["NO_PROXY"] == "a.example,b.example,localhost,127.0.0.1,::1"


def test_this_machine_goes_without_a_proxy_unless_symphony_is_there() -> None:
    assert changes()["NO_PROXY"] == "localhost,127.0.0.1,::1"
    inherited = {"NO_PROXY": "localhost"}
    assert variables(inherited, PROXY, TRUST, ["localhost"])["NO_PROXY"] is None
    assert variables(inherited, PROXY, TRUST, ["127.0.0.1"])["NO_PROXY"] == "localhost"


@given(st.text(max_size=60))
def test_any_text_can_be_inherited(text: str) -> None:
    left = variables({"NO_PROXY": text, "JAVA_TOOL_OPTIONS": text}, PROXY, TRUST, HOSTS)
    assert not any(
        host.endswith(entry) for entry in (left["NO_PROXY"] or "").split(",") for host in HOSTS
    )


# --- Java ----------------------------------------------------------------------------------


def test_java_gets_its_own_properties() -> None:
    assert java_options() == [
        "-Dhttp.proxyHost=127.0.0.1",
        "-Dhttp.proxyPort=4711",
        "-Dhttps.proxyHost=127.0.0.1",
        "-Dhttps.proxyPort=4711",
        "-Dhttp.nonProxyHosts=localhost|*.localhost|127.*|[::1]",
        "-Djdk.http.auth.tunneling.disabledSchemes=",
        "-Djavax.net.ssl.trustStore=/t/java.p12",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
    ]


def test_java_keeps_the_options_that_it_had() -> None:
    inherited = "-Xmx1g '-Dx=a b' -Dhttps.proxyHost=old -Djavax.net.ssl.trustStorePassword=old"
    assert java_options(JAVA_TOOL_OPTIONS=inherited)[:3] == ["-Xmx1g", "'-Dx=a", "b'"]
    assert "old" not in " ".join(java_options(JAVA_TOOL_OPTIONS=inherited))


def test_what_java_calls_without_a_proxy_is_what_it_did_and_what_the_others_do() -> None:
    options = java_options(
        JAVA_TOOL_OPTIONS='"-Dhttp.nonProxyHosts=*.symphony.com|*.corp"',
        NO_PROXY=".corp.example,acme.symphony.com,10.0.0.0/8,10.1.2.3",
    )
    (patterns,) = [option for option in options if "nonProxyHosts" in option]
    local = "localhost|*.localhost|127.*|[::1]"
    expected = f"corp.example|*.corp.example|10.1.2.3|{local}|*.corp"
    assert patterns == f"-Dhttp.nonProxyHosts={expected}"


def test_setting_the_variables_twice_is_as_good_as_once() -> None:
    once = {name: value for name, value in changes().items() if value is not None}
    assert changes(**once) == changes()


def test_a_path_with_a_space_reaches_java_whole() -> None:
    trust = TrustFiles({}, Path("/a b/java.p12"))
    told = variables({}, PROXY, trust, HOSTS)["JAVA_TOOL_OPTIONS"]
    assert '"-Djavax.net.ssl.trustStore=/a b/java.p12"' in (told or "")


# --- the way to Symphony -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_proxy_that_was_set_is_the_way_to_symphony(name: str) -> None:
    assert upstream({name: "http://proxy.corp.example:3128"}) == UpstreamProxy(
        "proxy.corp.example", 3128
    )


def test_its_user_and_password_are_decoded() -> None:
    assert upstream({"https_proxy": "http://us%40er:p%3Aw@proxy:3128/"}) == UpstreamProxy(
        "proxy", 3128, "us@er", Secret("p:w")
    )


def test_a_url_may_lack_scheme_and_port() -> None:
    assert upstream({"https_proxy": "proxy"}) == UpstreamProxy("proxy", 80)


@pytest.mark.parametrize("inherited", [{}, {"HTTPS_PROXY": ""}, {"HTTP_PROXY": "http://proxy:1"}])
def test_there_may_be_none(inherited: dict[str, str]) -> None:
    assert upstream(inherited) is None


def test_there_is_none_where_no_host_goes_through_it() -> None:
    assert upstream({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}) is None


@pytest.mark.parametrize(
    "url",
    ["socks5://secret@proxy:1", "https://secret@proxy:1", "http://secret@:1", "http://secret@a b"],
)
def test_one_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="http") as caught:
        upstream({"HTTPS_PROXY": url})
    assert "secret" not in str(caught.value)


def test_what_goes_without_a_proxy_is_split_at_commas_and_white_space() -> None:
    assert no_proxy({"NO_PROXY": "a, b\tc,,a"}) == ["a", "b", "c"]
