"""Requests and answers: decided, given their tokens, judged, sent once more if that heals.

Everything that a flow shows is safe to show before another addon or the screen sees it:
secrets are sealed (see `seal`) as the first thing in each hook.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import http

from symphony_auth_proxy.core.decisions import (
    Acknowledge,
    Caller,
    Inject,
    KeyManagerToken,
    LoginCall,
    PassThrough,
    Refuse,
    Request,
)
from symphony_auth_proxy.core.diagnosis import untouched
from symphony_auth_proxy.core.verdict import Verdict, judge
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import (
    DestinationRefused,
    Reason,
    SymphonyAuthProxyError,
)
from symphony_auth_proxy.mitm import masking
from symphony_auth_proxy.mitm.answers import acknowledgement, answer, note
from symphony_auth_proxy.mitm.bodies import (
    can_be_held,
    may_be_read,
    plan_request,
    plan_response,
    resendable_body,
)
from symphony_auth_proxy.mitm.clients import Clients
from symphony_auth_proxy.mitm.connections import through
from symphony_auth_proxy.mitm.destinations import (
    destination_of,
    is_regular,
    refuse_strangers,
    send_to,
)
from symphony_auth_proxy.mitm.explaining import explain_answer, explain_failure
from symphony_auth_proxy.mitm.failures import (
    NOT_HTTP_REQUEST,
    draining,
    internal_after_answer,
    of_bot,
    refused_host,
)
from symphony_auth_proxy.mitm.login_answers import Login, LoginAnswers
from symphony_auth_proxy.mitm.permit import Permit, permit_elsewhere
from symphony_auth_proxy.mitm.portal import Portal
from symphony_auth_proxy.mitm.resend import Resends
from symphony_auth_proxy.mitm.seal import Seal
from symphony_auth_proxy.mitm.state import Active, State, fail_closed
from symphony_auth_proxy.model import OtherHosts, TokenPair
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.telemetry import Event, whose
from symphony_auth_proxy.tokens.provider import TokenProvider, Wants

_INVALID = ("Received ", "Invalid request", NOT_HTTP_REQUEST)
"""How the errors of messages begin that mitmproxy itself refuses."""


@dataclass(frozen=True, slots=True)
class _Injected:
    """What one flow was given."""

    decision: Inject
    pair: TokenPair
    provider: TokenProvider
    """Whose tokens they are: after a reload there is another one."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """One request on its way through `requestheaders`."""

    flow: http.HTTPFlow
    active: Active
    seal: Seal
    caller: Caller
    arrived: float
    """Monotonic seconds."""


class Requests:
    """The hooks of HTTP flows."""

    def __init__(self, state: State, clients: Clients) -> None:
        self.state = state
        self.clients = clients
        self.logins = LoginAnswers(state)
        self.portal = Portal(state)
        self._known: WeakSet[http.HTTPFlow] = WeakSet()
        self._passed: WeakKeyDictionary[http.HTTPFlow, PassThrough] = WeakKeyDictionary()
        self._injected: WeakKeyDictionary[http.HTTPFlow, _Injected] = WeakKeyDictionary()
        self._logging_in: WeakKeyDictionary[http.HTTPFlow, Login] = WeakKeyDictionary()
        self.resends = Resends(clients)

    @fail_closed
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        arrived = self.state.clock.monotonic()
        self._forget(flow)
        credentials = self.clients.take_credentials(flow)
        asked = Request(flow.request.method, flow.request.path, masking.brought_headers(flow))
        seal = masking.seal_request(flow)
        if flow.error is not None:
            masking.forget(flow)
        if flow.error is not None or flow.response is not None:
            return
        self._known.add(flow)

        if self.portal.serves(flow):
            await self._show(flow, credentials)
            return
        active, caller = await self._settled(flow, credentials)
        decision = active.routes.decide(destination_of(flow, active), asked, caller)
        turn = _Turn(flow, active, seal, caller, arrived)
        match decision:
            case Refuse(error):
                raise error
            case PassThrough(origin=None):
                self._pass_elsewhere(turn)
                return
        self._refuse_in_trouble(flow, active)
        match decision:
            case PassThrough():
                self._pass(turn, decision)
            case Inject():
                await self._inject(turn, decision)
            case Acknowledge():
                self._answer(flow, acknowledgement(), Diagnosis.LOGOUT_ANSWERED)
            case LoginCall():
                await self._log_in(turn, decision, asked)

    async def _show(self, flow: http.HTTPFlow, credentials: Secret | None) -> None:
        """Answer for the proxy itself; but for the open pages, to those who may use it."""
        if not self.portal.is_open(flow):
            active, _ = await self._settled(flow, credentials)
            refuse_strangers(flow, active)
        self.state.answer(flow, self.portal.answer(flow))

    def _pass_elsewhere(self, turn: _Turn) -> None:
        flow, settings = turn.flow, turn.active.settings
        if settings.other_hosts is OtherHosts.REFUSE:
            raise refused_host(flow.request.host)
        turn.seal.permits, turn.seal.secret_body = permit_elsewhere, False
        self.state.story.untouched(flow, Diagnosis.OTHER_HOST, marked=False)
        if settings.proxy is not None and is_regular(flow):
            flow.server_conn.via = through(settings.proxy)
        plan_request(flow.request, secret=False)

    def _pass(self, turn: _Turn, decision: PassThrough) -> None:
        self._let_through(turn, decision)
        self._passes(turn.flow, decision)

    def _passes(self, flow: http.HTTPFlow, decision: PassThrough) -> None:
        self.state.record(
            Event.PASSED, flow, host=flow.request.host, reason=decision.why.name.lower()
        )
        self.state.story.untouched(flow, untouched(decision.why))

    def _let_through(self, turn: _Turn, decision: PassThrough) -> None:
        flow, origin = turn.flow, decision.origin
        assert origin is not None
        masking.drop_placeholders(flow, turn.seal)
        turn.seal.permits = Permit(self.state, turn.active, decision, origin, turn.caller)
        turn.seal.secret_body = decision.carries_credentials
        send_to(flow, origin, decision.proxy)
        self._passed[flow] = decision
        plan_request(flow.request, secret=decision.carries_credentials)

    async def _log_in(self, turn: _Turn, call: LoginCall, asked: Request) -> None:
        """Prepare to let it through; then see if it is one of our bots'. Of an assertion that
        cannot be told before its body is here, see `request`."""
        flow = turn.flow
        self._let_through(turn, call.passing)
        login = Login(turn.active, call, asked, turn.caller, turn.arrived)
        if call.by_certificate:
            await self._answer_login(flow, login)
        elif may_be_read(flow.request):
            flow.request.stream = False
            self._logging_in[flow] = login
        else:
            self._passes(flow, call.passing)

    async def _answer_login(self, flow: http.HTTPFlow, login: Login) -> None:
        given = await self.logins.answer(flow, login)
        if given is None:
            self._passes(flow, login.call.passing)
        else:
            del self._passed[flow]
            self._answer(flow, given, Diagnosis.LOGIN_ANSWERED)

    def _answer(self, flow: http.HTTPFlow, given: http.Response, why: Diagnosis) -> None:
        """Answer in Symphony's stead, and say so."""
        note(given, why)
        self.state.story.answered(flow, why)
        self.state.answer(flow, given)

    async def _inject(self, turn: _Turn, decision: Inject) -> None:
        flow, provider = turn.flow, turn.active.provider
        wants = Wants.BOTH if decision.key_manager is KeyManagerToken.REQUIRED else Wants.SESSION
        bot, user = decision.bot, decision.user
        with of_bot(bot, user):
            pair = await provider.get(bot, wants, arrived=turn.arrived, user=user)
        if decision.key_manager is KeyManagerToken.NEVER:
            pair = dataclasses.replace(pair, key_manager=None)
        masking.drop_placeholders(flow, turn.seal)
        masking.show_tokens(flow, turn.seal, pair)
        turn.seal.secret_body = False
        caller = dataclasses.replace(turn.caller, remembered=decision.bot)
        self.clients.remember(flow, caller)
        turn.seal.permits = Permit(self.state, turn.active, decision, decision.origin, caller)
        self._injected[flow] = _Injected(decision, pair, provider)
        self.state.record(
            Event.INJECTED,
            flow,
            **whose(bot, user),
            component=decision.component,
            generation=pair.session.generation,
            fingerprint=pair.session.value.fingerprint(),
        )
        now, again = self.state.clock.monotonic(), flow in self.resends
        self.state.story.injected(flow, pair, now, again=again)
        send_to(flow, decision.origin, decision.proxy)
        if not again:  # else its body is in hand already
            plan_request(flow.request, secret=False)

    @fail_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        login = self._logging_in.pop(flow, None)
        if login is None:
            return
        if flow.request.stream:  # it grew too long to be held, and is on its way to Symphony
            self._passes(flow, login.call.passing)
        else:
            await self._answer_login(flow, login)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        try:
            self._judge(flow)
        except Exception as error:  # noqa: BLE001 (an answer that was not looked at stays here)
            failure = internal_after_answer(error)
            flow.response = answer(failure)
            self.state.cut_off(flow, answer(failure))
            self.state.story.failed(flow, failure)

    def _judge(self, flow: http.HTTPFlow) -> None:
        if flow.response is None:
            return
        given, passed = self._injected.get(flow), self._passed.get(flow)
        secret = passed is not None and passed.carries_credentials
        masking.seal_response(flow, injected=given is not None, ours=passed is not None)
        verdict = self._verdict(flow)
        if given is not None and verdict is Verdict.ACCEPTED:
            given.provider.accepted(given.pair, given.decision.component)
        elif given is not None and verdict is Verdict.REFUSED:
            given.provider.refused(given.pair, given.decision.component)
        plan_response(flow.response, secret=secret, hold=flow in self.resends)
        # What may still be replaced, and what speaks against tokens, is looked at once more.
        if verdict not in {Verdict.RESEND, Verdict.REFUSED} or flow.response.stream:
            self._explain(flow)

    def _verdict(self, flow: http.HTTPFlow) -> Verdict:
        if flow not in self._injected or flow.response is None:
            return Verdict.SILENT
        resendable = (
            flow not in self.resends
            and can_be_held(flow.response)
            and resendable_body(flow.request) is not None
        )
        return judge(flow.response.status_code, resendable=resendable)

    @fail_closed
    async def response(self, flow: http.HTTPFlow) -> None:
        given, verdict = self._injected.get(flow), self._verdict(flow)
        if given is None or flow.response is None:
            return
        match verdict:
            case Verdict.RESEND if flow.response.stream:
                # It grew too long to hold, and is on its way to the client.
                given.provider.refused(given.pair, given.decision.component)
                self._explain(flow, noted=True, repeatable=False)
            case Verdict.RESEND:
                healed = await self._heal(flow, given)
                self._explain(flow, noted=healed)
            case Verdict.REFUSED if not flow.response.stream:
                self._explain(flow, repeatable=flow in self.resends)

    def _explain(
        self, flow: http.HTTPFlow, *, noted: bool = False, repeatable: bool = True
    ) -> None:
        given = self._injected.get(flow)
        decision = given.decision if given is not None else self._passed.get(flow)
        explain_answer(self.state, flow, decision, noted=noted, repeatable=repeatable)

    def error(self, flow: http.HTTPFlow) -> None:
        """Forget what was not valid HTTP: any part of it may be a secret out of place."""
        invalid = flow.error is not None and flow.error.msg.startswith(_INVALID)
        if flow not in self._known or invalid:
            masking.forget(flow)
        explain_failure(self.state, flow)

    async def _heal(self, flow: http.HTTPFlow, given: _Injected) -> bool:
        """Get new tokens and send the request once more. A refresh that fails answers
        503, which every SDK retries; a 401 from here would make each of them log in.

        Returns whether the flow has the answer to a second attempt now."""
        now = self.state.clock.monotonic()
        with of_bot(given.decision.bot, given.decision.user):
            pair = await given.provider.renew(given.pair, given.decision.component, arrived=now)
        body = resendable_body(flow.request)
        if pair is None or body is None:
            return False
        answered = await self.resends.send(flow, body)
        result = "failed" if answered is None else str(answered.status_code)
        named = whose(given.decision.bot, given.decision.user)
        self.state.record(Event.RESENT, flow, **named, result=result)
        if answered is None and self.state.draining:
            raise draining()
        if answered is None:
            raise SymphonyAuthProxyError(
                "new tokens were got, but Symphony did not answer the second attempt",
                status=502,
                reason=Reason.UPSTREAM_UNREACHABLE,
                hint="try again; if it stays, check the network between here and Symphony",
                retry_after=1,
            )
        flow.response = answered
        self.state.story.resent(flow, pair)
        return True

    def _forget(self, flow: http.HTTPFlow) -> None:
        """Begin anew: a replay uses the flow that was there before."""
        self._passed.pop(flow, None)
        self._injected.pop(flow, None)
        self._logging_in.pop(flow, None)
        self.state.forget(flow)

    def in_flight(self) -> int:
        """Count the requests whose answer has not been handed to the connection yet."""
        return sum(flow.live for flow in self._known)

    async def _settled(
        self, flow: http.HTTPFlow, credentials: Secret | None
    ) -> tuple[Active, Caller]:
        """The caller, and the configuration in which that is true: checking a password takes
        its time, and a reload may fall into it."""
        while True:
            active = self._active()
            caller = await self.clients.caller(flow, credentials, active)
            if active is self.state.active:
                return active, caller

    def _active(self) -> Active:
        if self.state.active is None:
            raise self.state.trouble or SymphonyAuthProxyError(
                "no configuration is loaded", reason=Reason.CONFIGURATION
            )
        return self.state.active

    def _refuse_in_trouble(self, flow: http.HTTPFlow, active: Active) -> None:
        """Refuse what may not reach Symphony now, whatever it asks for."""
        spoken = "HTTP/2.0" if flow.client_conn.alpn == b"h2" else "HTTP/1.1"
        if flow.request.http_version not in {spoken, "HTTP/1.0"} and not flow.is_replay:
            raise DestinationRefused(
                "this is not the protocol that was agreed on",
                status=400,
                reason=Reason.MALFORMED_REQUEST,
            )
        if self.state.trouble is not None:
            raise self.state.trouble
        if self.state.draining and flow not in self.resends:
            raise draining()
        refuse_strangers(flow, active)
