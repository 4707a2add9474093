"""What libca's threads leave behind in Python."""

from client_iocs import Ioc, Victim, client_of, until

from orchestrator.client.libca import thread_states


async def test_what_a_lost_circuit_kept_in_python_is_freed_and_the_others_go_on(
    c_ioc: Ioc, victim: Victim
) -> None:
    victims = [victim("c_records.py") for _ in range(3)]
    client, taken = client_of(c_ioc.channel("X"))
    async with client:
        assert await client.connect(["t.x"], 5) == []
        others = thread_states.keeping()
        assert others
        assert await client.connect([ioc.prefix + "Y" for ioc in victims], 10) == []
        theirs = thread_states.keeping() - others
        assert len(theirs) == len(victims)
        for ioc in victims:
            ioc.kill()
        await until(lambda: not thread_states.keeping() & theirs, 10)
        await client.put("t.x", 3.5, completion=True, timeout=5)
        await until(lambda: taken.readings("t.x")[-1].value == 3.5)
