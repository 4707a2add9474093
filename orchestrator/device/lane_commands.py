"""What is decided of one lane: of commands to it, and of what its runs tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from orchestrator.config import Config, LaneConfig
from orchestrator.device.as_sequence_server import Served
from orchestrator.device.commands import (
    AutomationText,
    ControlText,
    Parsed,
    Ping,
    QueueText,
    RunText,
    TrajectoryText,
    lane_named,
    parse_command,
)
from orchestrator.device.lane import LaneState
from orchestrator.device.publisher import RunPublisher
from orchestrator.errors import InputError
from orchestrator.language.names import suggestion
from orchestrator.language.text.indices import parse_indices
from orchestrator.types import (
    Accepted,
    Alarm,
    AutomationRequest,
    Cause,
    Command,
    Control,
    Controlled,
    EngineItem,
    PushItem,
    QueueRequest,
    Reply,
    RunEnded,
    RunEvent,
    RunRefused,
    RunRequest,
    RunStarted,
    RunStatus,
    SequencesListed,
    Severity,
    Told,
    Update,
    Verb,
    fields,
)

Decision: TypeAlias = PushItem | EngineItem

Guarded: TypeAlias = Callable[[RunEvent, Iterator[PushItem]], Iterator[Decision]]
"""Gives the same; where an event can't be published, those so far and what is told of that."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request that has no answer yet."""

    verb: Verb
    door: LaneCommands
    """By whose PVs it was asked; of its ACK and message is what is told of the asking."""


class LaneCommands:
    """Decides what follows for one lane."""

    def __init__(
        self,
        name: str,
        config: Config,
        lanes: Mapping[str, LaneCommands],
        asked: MutableMapping[int, Unanswered],
        guarded: Guarded,
    ) -> None:
        """Made by the device.

        Args:
            name: Of the lane; empty = the main one.
            config: Of the service.
            lanes: All of them, by name.
            asked: Requests to any of them that have no answer yet, by number.
            guarded: Where what can't be published goes.
        """
        self.name = name
        """Empty of the main one."""
        self._config = config.lanes.get(name, LaneConfig())
        self._lanes = lanes
        self._asked = asked
        self._guarded = guarded
        self.state = LaneState()
        self._publisher = RunPublisher(config, name)
        self.served = Served(config, lambda: self.state.why_busy)
        """As a sequence server, which only the main lane is."""
        servers = (ioc.server.name for ioc in config.chain.values() if ioc.server)
        self._walkable = {config.server.name, *servers} - {""}
        """The names in Nested_Indices that a run of ours may use, and our own."""

    def first_updates(self) -> Iterator[Update]:
        """What its PVs show before anything has happened."""
        lane = self._config
        if lane.sequence:
            yield Update(fields.SEQ, lane.sequence, lane=self.name)
            yield Update(fields.ARGS, json.dumps(lane.args), lane=self.name)

    def listed(self, item: SequencesListed) -> Update:
        """The sequences that can be run."""
        return self._publisher.sequences(item.names)

    def take_tick(self) -> Iterator[PushItem]:
        """What was held back since the last pulse."""
        return self._publisher.take_tick(self.state.run)

    def anyhow(self, event: RunEvent | SequencesListed, reason: str) -> Iterator[PushItem]:
        """What is published of an event that can't be published as it is."""
        return self._publisher.anyhow(event, self.state.run, reason)

    # Commands ---------------------------------------------------------------------------------

    def take_command(self, command: Command) -> Iterator[Decision]:
        """What follows from a put to one of its PVs."""
        match command.verb:
            case Verb.COMMAND:
                yield Update(fields.ACK, 0, lane=self.name)
                if command.refused:
                    yield from self.refuse(command, command.refused)
                else:
                    yield from self._take_text(command)
            case Verb.AUTOMATION:
                yield from self._take_automation(command, command.text, self)
            case Verb.PUT:
                yield from self.accept(command)
            case Verb.INDICES:
                yield from self._take_indices(command)
            case Verb.SELECT:
                self.served.select(command.text)
            case Verb.START | Verb.RUN:
                run = RunText(command.text, command.document, recovery=command.recovery)
                start = command.verb is Verb.START
                yield from self._ask_for_run(command, run, command.args, self, start=start)
            case Verb.SUBMIT:
                run = RunText(command.text, command.document)
                yield self._queue_request(command, QueueText("submit", run), self)
            case _:
                yield from self._take_control(
                    command, ControlText(command.verb, command.text), self
                )

    def _take_text(self, command: Command) -> Iterator[Decision]:
        try:
            name, text = lane_named(command.text)
            lane = self._other(name) if name else self
            parsed = parse_command(text)
            if isinstance(parsed, TrajectoryText) and lane.name:
                raise InputError(f"CMD: trajectories are for the main lane, not for {lane.name}")
        except InputError as error:
            yield from self.refuse(command, str(error))
            return
        yield from lane.do(replace(command, text=text), parsed, self)

    def _other(self, name: str) -> LaneCommands:
        """The lane that a command of ours is for."""
        if self.name:
            raise InputError(
                f"CMD: this is the lane {self.name}; only the main lane's CMD takes @{name}"
            )
        if name not in self._lanes or not name:
            known = sorted(filter(None, self._lanes))
            hint = suggestion(name, known, kind="lanes") if known else "; there is none but main"
            raise InputError(f"CMD: unknown lane @{name}{hint}")
        return self._lanes[name]

    def do(self, command: Command, parsed: Parsed, door: LaneCommands) -> Iterator[Decision]:
        """What a text asks, which was written at the PVs of `door`."""
        match parsed:
            case RunText():
                yield from self._ask_for_run(command, parsed, parsed.args, door, start=False)
            case ControlText():
                yield from self._take_control(command, parsed, door)
            case QueueText():
                yield self._queue_request(command, parsed, door)
            case TrajectoryText():
                yield from self.reserving(self.served.load(command))
            case AutomationText():
                yield from self._take_automation(command, parsed.action, door)
            case Ping():
                yield from door.accept(command)
            case _:
                assert_never(parsed)

    def _take_automation(
        self, command: Command, action: str, door: LaneCommands
    ) -> Iterator[Decision]:
        match action:
            case "begin":  # by the service itself
                last = command.args if isinstance(command.args, dict) else {}
                yield AutomationRequest("begin", last)
            case "on" | "off" as asked:
                yield AutomationRequest(asked)
                yield from door.accept(command)

    def _take_indices(self, command: Command) -> Iterator[Decision]:
        """Somebody wrote Nested_Indices: show it to the servers, of which we may be one."""
        reserved = self.state.reserved
        walks = next((lane.state for lane in self._lanes.values() if lane.state.reserved), None)
        if not reserved:
            yield Update(fields.ACK, 0)
        try:
            indices = parse_indices(command.text)
            if walks is not None and self._walkable & indices.servers.keys():
                raise InputError(f"Nested_Indices: {walks.busy_with}, and may walk it")
        except InputError as error:
            yield Update(fields.ACK, 0)
            yield from self.refuse(replace(command, verb=Verb.COMMAND), str(error))
            return
        yield Update(fields.NESTED_INDICES, indices.text)
        if command.request:
            yield Reply(command.request)
        if not self.served.master and self.served.is_asked(indices):
            yield from self.reserving(self.served.take(indices.text))
        elif not reserved:  # else ACK is that of the run, if it is one of an index
            yield Update(fields.ACK, 1)

    def reserving(self, decisions: Iterable[Decision]) -> Iterator[Decision]:
        """The same; where a run is among them, the lane is reserved for it."""
        for decision in decisions:
            if isinstance(decision, RunRequest):
                self.state.reserve(decision.request)
            yield decision

    def _ask_for_run(
        self, command: Command, run: RunText, args: object, door: LaneCommands, *, start: bool
    ) -> Iterator[Decision]:
        if busy := self.state.why_busy:
            yield from door.refuse(command, busy, cause=Cause.DURING)
            return
        request = RunRequest(
            request=command.request,
            name=run.name,
            text=run.document,
            origin=command.origin,
            args=args if isinstance(args, dict | str) else {},
            metadata={**run.metadata, **command.metadata},
            owner=command.owner,
            always_a_run=start and run.recovery is None,
            recovery=run.recovery,
            repeats=command.repeats,
            how=command.how or (fields.START if start else fields.CMD).name,
            lane=self.name,
        )
        self.state.reserve(command.request)
        self._asked[command.request] = Unanswered(command.verb, door)
        yield request

    def _queue_request(
        self, command: Command, parsed: QueueText, door: LaneCommands
    ) -> QueueRequest:
        self._asked[command.request] = Unanswered(command.verb, door)
        given = parsed.run
        run = RunRequest(
            0,
            given.name,
            given.document,
            command.origin,
            args=given.args or command.args,
            metadata=given.metadata or command.metadata,
            owner=command.owner,
            how="queue",
            lane=self.name,
        )
        return QueueRequest(
            command.request, parsed.action, parsed.number, parsed.position, run, lane=self.name
        )

    def _take_control(
        self, command: Command, control: ControlText, door: LaneCommands
    ) -> Iterator[Decision]:
        if command.run_id not in ("", self.state.running_id):
            text = f"the run {command.run_id} is not under way"
            yield from door.refuse(command, text, late=self, cause=Cause.DURING)
            return
        if control.verb is Verb.ANSWER:
            try:  # once: the next question may be another's
                answer = self.state.answer(control.reason, command.owner)
            except InputError as error:
                yield from door.refuse(command, str(error), late=self)
                return
            yield replace(answer, lane=self.name)
        elif self.state.takes(control.verb):
            by, run_id = command.owner, self.state.running_id
            yield Control(control.verb, control.reason, by, run_id, lane=self.name)
        else:
            yield Update(fields.PAUSE, 0, lane=self.name)
            if control.verb in (Verb.RESUME, Verb.PAUSE, Verb.SKIP, Verb.STOP):
                yield self.remark(f"nothing is running to {control.verb}")
        yield from door.accept(command)

    # Answers, at whose PVs it was asked ---------------------------------------------------------

    def accept(self, command: Command) -> Iterator[Decision]:
        """A command that came by its PVs is accepted."""
        if command.verb is Verb.COMMAND and not self.served.moving:
            yield Update(fields.ACK, 1, lane=self.name)
        if command.request:
            yield Reply(command.request)

    def remark(self, text: str) -> Update:
        """The message about a control that came too late: why the run has ended stays in it."""
        why, severity, status = self.state.run.outcome
        text = f"{why}; {text}" if why else text
        return Update(fields.MESSAGE, text, "", severity, status, lane=self.name)

    def refuse(
        self,
        command: Command,
        reason: str,
        *,
        late: LaneCommands | None = None,
        cause: Cause = Cause.INPUT,
    ) -> Iterator[Decision]:
        """A command that came by its PVs is refused; `late`: for a run of that lane."""
        told = Update(fields.MESSAGE, reason, lane=self.name)
        yield replace(late.remark(reason), lane=self.name) if late else told
        if command.verb is Verb.COMMAND and not self.served.moving:
            alarm = Severity.MAJOR, Alarm.WRITE
            yield Update(fields.ACK, 0, "", *alarm, lane=self.name)
        if command.request:
            refused = RunRefused(command.request, reason, cause, lane=self.name)
            yield Reply(command.request, reason, refused)

    # Events of the engine ---------------------------------------------------------------------

    def take_event(self, event: RunEvent) -> Iterator[Decision]:
        """What follows from an event of one of its runs."""
        # What can't be published must not keep the lane reserved, nor anybody waiting.
        yield from self._guarded(event, self._published(event))
        self.state.follow(event)
        match event:
            case RunStarted():
                asked = self._asked.get(event.request)
                if asked is not None and asked.verb in (Verb.COMMAND, Verb.RUN):
                    del self._asked[event.request]
                    yield from asked.door.accept(Command(asked.verb, event.request))
            case RunRefused():
                yield from self._take_refusal(event)
            case Accepted():
                asked = self._asked.pop(event.request, Unanswered(Verb.COMMAND, self))
                yield Update(fields.MESSAGE, event.text, lane=asked.door.name)
                yield from asked.door.accept(Command(asked.verb, event.request))
            case RunEnded():
                if self._asked.pop(event.request, None) is not None:
                    well = event.status is RunStatus.SUCCESS
                    error = "" if well else f"{event.status}: {event.message}"
                    yield Reply(event.request, error, event)
                yield from self.reserving(self.served.ended(event))
            case _:
                pass

    def _published(self, event: RunEvent) -> Iterator[PushItem]:
        run = self.state.take(event)
        if run is self.state.run or isinstance(event, Told | Controlled):
            yield from self._publisher.take(event, run)

    def _take_refusal(self, event: RunRefused) -> Iterator[Decision]:
        if self.served.has_asked(event.request):
            yield from self.reserving(self.served.ended(event))
            return
        asked = self._asked.pop(event.request, Unanswered(Verb.START, self))
        command = Command(asked.verb, event.request)
        yield from asked.door.refuse(command, event.reason, cause=event.cause)
