"""What is told of the clients."""

from __future__ import annotations

import json
from dataclasses import replace

from orchestrator.transports.ca.client_list import clients_text
from orchestrator.types import ClientFigures, SubscriberFigures

ONE = ClientFigures(
    who="ops@ws1",
    address="10.0.0.5:40000",
    since=0.0,
    channels=3,
    puts=1,
    subscriptions=2,
    lost={"ORCH:MON:stage:x": 7},
    updates=SubscriberFigures(posts=20, delivered=10, merged=1, dropped=7, waiting=2),
    unread_bytes=100,
)


def test_who_is_connected_is_json_with_what_became_of_their_updates():
    (row,) = json.loads(clients_text([ONE]))
    assert (row["who"], row["address"], row["circuits"]) == ("ops@ws1", "10.0.0.5", 1)
    assert row["since"] == "1970-01-01T00:00:00+00:00"
    assert row["posts"] == row["delivered"] + row["merged"] + row["dropped"] + row["waiting"]
    assert row["lost"] == {"ORCH:MON:stage:x": 7}


def test_circuits_of_one_user_and_host_are_one_client():
    second = replace(ONE, address="10.0.0.5:40001", since=5.0, lost={"ORCH:MON:stage:y": 1})
    other = replace(ONE, address="10.0.0.6:40001")
    rows = json.loads(clients_text([second, ONE, other]))
    first = next(row for row in rows if row["address"] == "10.0.0.5")
    assert (first["circuits"], first["dropped"], first["since"][:4]) == (2, 14, "1970")
    assert first["lost"] == {"ORCH:MON:stage:x": 7, "ORCH:MON:stage:y": 1}
    assert len(rows) == 2


def test_of_very_many_those_are_told_of_whom_most_was_dropped():
    many = [
        replace(ONE, address=f"10.0.{n // 250}.{n % 250}:1", updates=SubscriberFigures(dropped=n))
        for n in range(1000)
    ]
    text = clients_text(many)
    assert len(text) < 65_536
    rows = json.loads(text)
    assert rows[0]["dropped"] == 999
    assert rows[-1]["left_out"] + len(rows) - 1 == 1000
