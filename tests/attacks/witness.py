"""An addon in the place of a sink: what it can see, a saved flow or a screen can show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mitmproxy import flow, hooks


class Witness:
    """Writes down the whole state of every flow, at every hook there is."""

    def __init__(self) -> None:
        self.hooks: set[str] = set()
        self.states: list[bytes] = []
        self.flows: list[flow.Flow] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in hooks.all_hooks:
            raise AttributeError(name)

        def look(*arguments: Any) -> None:
            self.hooks.add(name)
            for argument in arguments:
                for one in argument if isinstance(argument, list | tuple) else [argument]:
                    if isinstance(one, flow.Flow):
                        self.look_at(one)

        return look

    def look_at(self, one: flow.Flow) -> None:
        if one not in self.flows:
            self.flows.append(one)
        self.states.append(repr(one.get_state()).encode())

    def look_again(self) -> None:
        for one in self.flows:
            self.look_at(one)

    @property
    def everything(self) -> bytes:
        return b"\n".join(self.states)
