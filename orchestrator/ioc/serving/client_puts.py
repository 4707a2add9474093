"""One client's puts: let in where there is room, done in tasks of their own, answered."""

from __future__ import annotations

from typing import Any

import caproto as ca

from orchestrator.ioc.pvs.command_pvs import Put, set_current_put
from orchestrator.ioc.serving.answers import error_answer, first_line
from orchestrator.ioc.serving.outbox import bytes_of
from orchestrator.ioc.serving.turns import Budget

_A_PUT_S = 0.0001
"""What a put takes, about, in a task of its own."""

_WITH_METADATA = (ca.ChannelType.PUT_ACKT, ca.ChannelType.PUT_ACKS)


async def start_put(circuit: Any, command: Any, budget: Budget) -> None:
    """Begin a client's put as soon as there is room for it, or refuse it.

    Raises:
        ValueError: It claims more values than it sends.
    """
    if circuit.context.writes_refused:
        await circuit.answer(_no_access(circuit, command))
        return
    if bytes_of(command.data_type, command.data_count - 1) > command.header.payload_size:
        # caproto makes a list of so many empty texts. libca sends the last only as far as it
        # goes.
        raise ValueError(f"{command.data_count} values are claimed that were not sent")
    room = circuit.context.puts
    if limit := room.full(circuit):
        circuit.told_limit(limit, "it is not read on until one of its puts has ended")
    # It is not read on, and so its own echo is not seen: libca would give us up.
    await room.enter(circuit, lambda: circuit.answer(ca.EchoResponse()))
    await circuit.context.room_for_puts()
    put = Put(
        user=circuit.client_username or "",
        host=circuit.client_hostname or "",
        waiting=isinstance(command, ca.WriteNotifyRequest),
        updates_sent=circuit.updates.all_sent,
    )
    channel, pv = circuit.channel_and_pv(command)
    circuit.write_event.clear()
    circuit.tasks.create(
        circuit.guarded(lambda: _put(circuit, command, put, channel, pv), room.leave)
    )
    budget.charge(_A_PUT_S)


async def _put(circuit: Any, command: Any, put: Put, channel: Any, pv: Any) -> None:
    set_current_put(put)
    answer = None
    try:
        status = await pv.auth_write(
            circuit.client_hostname,
            circuit.client_username,
            command.data,
            command.data_type,
            # Of others a C IOC takes the value: a client can't set time, alarm and limits.
            command.metadata if command.data_type in _WITH_METADATA else None,
            user_address=circuit.circuit.address,
        )
        if put.waiting:
            status = True if status is None else status
            answer = ca.WriteNotifyResponse(
                channel.native_data_type, pv.length, status, command.ioid
            )
    except Exception as error:  # noqa: BLE001 - the client is told
        # The client is told: a line for -v.
        circuit.log.info("put of %s by %s refused: %s", channel.name, put.owner, first_line(error))
        text = f"Python exception: {type(error).__name__} {error}"
        answer = error_answer(command, channel.cid, "ECA_PUTFAIL", text)
    finally:
        circuit.write_event.set()
        if put.waiting:
            circuit.circuit._ioids.pop(command.ioid, None)  # noqa: SLF001 - its own are kept
    if answer is not None:
        if put.waiting:
            # A client that reads next would be given the old value by its own monitor.
            await circuit.updates.all_sent()
        await circuit.answer(answer)


def _no_access(circuit: Any, command: Any) -> Any:
    """As a C IOC answers a put without write access (rsrv, camessage.c)."""
    channel = circuit.circuit.channels_sid[command.sid]
    status = ca.CAStatus.ECA_NOWTACCESS
    if isinstance(command, ca.WriteNotifyRequest):
        return ca.WriteNotifyResponse(command.data_type, command.data_count, status, command.ioid)
    return error_answer(command, channel.cid, "ECA_NOWTACCESS", "write access denied")
