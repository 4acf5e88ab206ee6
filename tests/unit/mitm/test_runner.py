"""How the proxy is put together."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from mitmproxy import optmanager
from mitmproxy.addons.script import ScriptLoader

from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.mitm.addon import SymphonyAuth
from symphony_auth_proxy.mitm.runner import Run, build, check_modes, raise_file_limit
from symphony_auth_proxy.mitm.screens import Screen
from symphony_auth_proxy.model import Origin
from symphony_auth_proxy.sandbox import Sandbox


def built(sandbox: Sandbox, screen: Screen = Screen.NONE, **options: str) -> list[str]:
    """The names of the addons, in their order."""

    async def main() -> list[str]:
        run = Run(
            config=str(sandbox.config),
            listen=Origin("127.0.0.1", 0),
            confdir=str(sandbox.directory / "proxy-ca"),
            screen=screen,
            options=options,
        )
        proxy, addon = build(run)
        await addon.done()
        return [type(one).__name__ for one in proxy.addons.chain]

    return asyncio.run(main())


def test_a_headless_gateway_has_few_addons(sandbox: Sandbox) -> None:
    names = built(sandbox)
    assert len(names) <= 8
    assert names.index(SymphonyAuth.__name__) < names.index("TlsConfig")


def test_with_a_screen_ours_stands_before_rewriters_and_sinks(sandbox: Sandbox) -> None:
    names = built(sandbox, Screen.WEB)
    ours = names.index(SymphonyAuth.__name__)
    assert ours == names.index(ScriptLoader.__name__) - 1
    for later in ("MapRemote", "ModifyHeaders", "Save", "SaveHar", "TlsConfig", "View"):
        assert ours < names.index(later)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ssl_insecure", "true"),
        ("proxy_debug", "true"),
        ("validate_inbound_headers", "false"),
        ("tls_version_server_min", "TLS1"),
        ("listen_host", "0.0.0.0"),
        ("mode", "socks5"),
        ("nonsense", "x=y"),
    ],
)
def test_options_that_would_leak_tokens_refuse_to_start(
    sandbox: Sandbox, name: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=name):
        built(sandbox, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "way_out"),
    [
        ("proxyauth", "bank:hunter2-canary", "authProxy.clients"),
        ("web_password", "hunter2-canary", "authProxy.web.passwordFile"),
        ("cert_passphrase", "hunter2-canary", "without one"),
        ("upstream_auth", "bank:hunter2-canary", "--mode upstream:"),
    ],
)
@pytest.mark.parametrize("screen", [Screen.NONE, Screen.WEB])
def test_secrets_do_not_become_options(
    sandbox: Sandbox, screen: Screen, name: str, value: str, way_out: str
) -> None:
    with pytest.raises(ConfigError, match=f"--set {name}") as refused:
        built(sandbox, screen, **{name: value})
    assert way_out in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("screen", [Screen.NONE, Screen.WEB])
def test_the_password_of_another_proxy_is_none_either(sandbox: Sandbox, screen: Screen) -> None:
    async def main() -> str:
        run = Run(
            config=str(sandbox.config),
            listen=Origin("127.0.0.1", 0),
            confdir=str(sandbox.directory / "proxy-ca"),
            modes=["upstream:http://127.0.0.1:3128"],
            screen=screen,
            options={"upstream_auth": "bank:hunter2-canary"},
        )
        proxy, addon = build(run)
        await addon.done()
        return str(optmanager.dump_dicts(proxy.options))

    assert "hunter2" not in asyncio.run(main())


def test_a_password_of_another_proxy_has_a_name(sandbox: Sandbox) -> None:
    run = Run(
        config=str(sandbox.config),
        listen=Origin("127.0.0.1", 0),
        confdir=str(sandbox.directory / "proxy-ca"),
        modes=["upstream:http://127.0.0.1:3128"],
        options={"upstream_auth": "hunter2-canary"},
    )
    with pytest.raises(ConfigError, match="NAME:PASSWORD") as refused:
        build(run)
    assert "hunter2" not in str(refused.value)


def test_a_screen_is_trimmed_behind_the_view(sandbox: Sandbox) -> None:
    names = built(sandbox, Screen.WEB)
    assert names.index("View") < names.index("Trimming")


@pytest.mark.parametrize("variable", ["SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE"])
def test_a_log_of_tls_keys_refuses_to_start(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "keys.log"))
    with pytest.raises(ConfigError, match=variable):
        built(sandbox)


@pytest.mark.parametrize(
    "mode",
    ["socks5", "transparent", "reverse:tcp://localhost:1", "regular@0.0.0.0:0", "nonsense"],
)
def test_modes_without_guarantees_are_problems(mode: str) -> None:
    [problem] = check_modes([mode])
    assert mode in problem.message


def test_the_three_guarded_modes_are_none() -> None:
    assert not check_modes(
        ["regular", "reverse:https://acme.symphony.com@8443", "upstream:http://corp.example:3128"]
    )


def test_the_file_limit_is_raised_to_what_the_system_grants() -> None:
    import resource

    raise_file_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard
