"""Which file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from symphony_auth_proxy import config
from symphony_auth_proxy.errors import ConfigError


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / ".symphony").mkdir()
    return tmp_path


def test_the_order_is_option_variable_here_home(home):
    environ = {"HOME": str(home), "SYMPHONY_AUTH_PROXY_CONFIG": "named.yaml"}
    (home / ".symphony" / "config.yaml").touch()
    Path("config.yaml").touch()

    assert config.find(Path("given.yaml"), environ) == Path("given.yaml")
    assert config.find(None, environ) == Path("named.yaml")
    del environ["SYMPHONY_AUTH_PROXY_CONFIG"]
    assert config.find(None, environ) == Path("config.yaml")
    Path("config.yaml").unlink()
    assert config.find(None, environ) == home / ".symphony" / "config.yaml"


def test_no_file_at_all_is_told_with_the_places_and_the_ways_out(home):
    with pytest.raises(ConfigError) as caught:
        config.find(None, {"HOME": str(home)})

    message = str(caught.value)
    for words in ("config.yaml", ".symphony", "--config", "$SYMPHONY_AUTH_PROXY_CONFIG"):
        assert words in message


def test_a_named_file_that_does_not_exist_is_not_replaced_by_another(home):
    Path("config.yaml").touch()

    with pytest.raises(ConfigError, match=r"typo\.yaml"):
        config.load(None, environ={"HOME": str(home), "SYMPHONY_AUTH_PROXY_CONFIG": "typo.yaml"})
