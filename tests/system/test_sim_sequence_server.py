"""The simulated stage behind a sequence server, and a service under test as its master."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sim_helpers import RefusedError, running, until

from sim_iocs.testing import Fleet, Service

SEQ = "SIM:SEQ:"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(["sequence_server"]) as fleet:
        yield fleet


def test_a_service_under_test_walks_it(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "raster.yaml").write_text(
        "steps: [{trajectories: {servers: {sequence_server: [1, 5, 2]}}},"
        " {nested: {over: [sequence_server]},"
        " do: [{sample: [sequence_server.rbv, sequence_server.moves]}]}]"
    )
    with Service(fleet, sequences=tmp_path) as service:
        outcome = service.run("raster")
        assert outcome.status == "Success", outcome.message
        assert list(outcome.data["sequence_server.rbv"]) == [1, 5, 2]
        assert list(outcome.data["sequence_server.moves"]) == [1, 2, 3]


def test_it_takes_time_to_move_refuses_what_is_too_far_and_goes_where_clients_put_it() -> None:
    with running("sequence_server") as (_, client):
        client.put(f"{SEQ}VELO", 20.0)
        positions = client.monitor(f"{SEQ}RBV")
        assert client.put(f"{SEQ}VAL", 2.0)["took"] >= 0.1
        assert client.get(f"{SEQ}RBV") == 2.0
        assert len(positions()) > 3
        with pytest.raises(RefusedError):
            client.put(f"{SEQ}VAL", 200.0)
        until(lambda: client.get(f"{SEQ}Moves") == 1, what="one move")
