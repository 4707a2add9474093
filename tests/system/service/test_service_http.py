"""HTTP: what can be asked, and what comes of it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import closing

import h5py
import pytest
from http_rig import HTTP, Http, problem
from prometheus_client.parser import text_string_to_metric_families
from service_rig import Rig, rig_of, until

from sim_iocs.fleet import Fleet

SAMPLES = """\
name: samples
parameters: {points: {default: 3, type: int, min: 1}}
steps:
  - loop: {count: $(points)}
    do: [{sample: [rec.ao]}]
"""
LONG = "name: long\nsteps: [{delay: 300}]\nfinally: [{log: finalised}]\n"


@pytest.fixture(scope="module")
def http_rig(steady_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(
        steady_fleet, tmp_path_factory.mktemp("http") / "rig", more=f"{HTTP}[lane.guard]\n"
    ) as rig:
        rig.until("CHAIN:stage:STATUS", "Connected")
        rig.until("CHAIN:rec:STATUS", "Connected")
        yield rig


@pytest.fixture
def http(http_rig: Rig) -> Iterator[Http]:
    http_rig.quieten()
    with closing(Http(http_rig, **{"X-Caller": "me@desk"})) as http:
        http.client.delete("/queue")
        http.post("/queue/start")
        yield http
    http_rig.quieten()


# Runs -------------------------------------------------------------------------------------------


def test_a_run_is_started_followed_and_read_afterwards(http: Http) -> None:
    with http.events() as events:
        assert next(events).kind == "snapshot"
        run_id = http.start(SAMPLES, points=4)
        seen: list[str] = []
        for event in events:
            seen += event.kinds
            if "run_ended" in seen:
                break
        assert "run_started" in seen
    run = http.ended(run_id)
    assert (run["name"], run["owner"], run["how"]) == ("samples", "me@desk", "HTTP")
    assert (run["status"], run["arguments"]) == ("Success", {"points": 4})
    rows = list(csv.DictReader(io.StringIO(http.get(f"/runs/{run_id}/data").text)))
    assert [row["point"] for row in rows] == ["0", "1", "2", "3"]
    lines = http.get(f"/runs/{run_id}/journal").text.splitlines()
    assert [json.loads(lines[0])["event"], json.loads(lines[-1])["event"]] == ["run", "run_ended"]
    assert http.rig.get("OWNER") == "me@desk"


def test_a_run_under_way_is_shown_without_an_outcome(http: Http) -> None:
    run_id = http.start(LONG)
    assert http.told(f"/runs/{run_id}")["status"] is None
    newest = http.told("/runs?limit=1")
    assert newest["runs"][0]["run_id"] == run_id
    older = http.told(f"/runs?limit=5&before={run_id}")
    assert run_id not in [run["run_id"] for run in older["runs"]]


def test_a_run_is_refused_with_the_text_of_the_command_line(http: Http) -> None:
    http.rig.sequence(SAMPLES, "samples")
    assert "did you mean 'samples'" in problem(http.post("/runs", {"sequence": "sampels"}), 422)
    wrong = {"sequence": "samples", "arguments": {"points": 0}}
    assert "points" in problem(http.post("/runs", wrong), 422)
    assert "steps" in problem(http.post("/runs", {"document": "stesp: []"}), 422)
    http.start(LONG)
    assert "long is running" in problem(http.post("/runs", {"sequence": "samples"}), 409)


@pytest.mark.parametrize("body", [{}, {"sequence": "a", "document": "b"}, {"sequenze": "a"}, []])
def test_a_request_that_is_none_tells_what_is_wrong(http: Http, body: object) -> None:
    assert "body" in problem(http.post("/runs", body), 422)


def test_an_unknown_run_is_a_problem(http: Http) -> None:
    assert "there is no run 'x'" in problem(http.get("/runs/x"), 404)
    assert "there is no" in problem(http.get("/runs/..%2f..%2fetc"), 404)
    assert "there is no" in problem(http.get("/nothing"), 404)
    assert "takes no" in problem(http.client.delete("/runs"), 405)


def test_controls_reach_the_run_that_they_name_and_no_other(http: Http) -> None:
    former = http.start("steps: [{log: over}]")
    http.ended(former)
    run_id = http.start(LONG)
    for verb, state in (("pause", "Paused"), ("resume", "Running")):
        assert http.post(f"/runs/{run_id}/{verb}").status_code == 204
        http.rig.until("STATE", state)
    assert "no run" in problem(http.post("/runs/20200101T000000.000Z-aa/abort"), 404)
    assert "not under way" in problem(http.post(f"/runs/{former}/abort"), 409)
    assert http.rig.get("BUSY") == 1
    assert http.post(f"/runs/{run_id}/abort", {"reason": "smoke"}).status_code == 204
    run = http.ended(run_id)
    assert (run["status"], "smoke" in run["message"]) == ("Aborted", True)
    assert "not under way" in problem(http.post(f"/runs/{run_id}/pause"), 409)


def test_a_run_of_another_lane_is_shown_and_aborted(http: Http) -> None:
    http.rig.sequence(LONG, "guard")
    http.rig.put("CMD", "@guard run guard")
    until(lambda: http.rig.get("guard:RUN_ID"))
    run_id = http.rig.get("guard:RUN_ID")
    mine = http.start(LONG)
    assert http.told(f"/runs/{run_id}")["lane"] == "guard"
    assert http.post(f"/runs/{run_id}/abort").status_code == 204
    until(lambda: http.told(f"/runs/{run_id}")["status"] == "Aborted")
    assert http.told(f"/runs/{mine}")["status"] is None


def test_a_lane_has_its_runs_its_queue_and_its_events(http: Http) -> None:
    mine = http.start(LONG)
    run_id = http.post("/runs", {"document": LONG, "lane": "guard"}).json()["run_id"]
    until(lambda: http.told("/status?lane=guard")["fields"]["RUN_ID"] == run_id)
    assert http.told("/status?lane=main")["fields"]["RUN_ID"] == mine
    running = {"main": (mine, "Running"), "guard": (run_id, "Running")}
    until(lambda: _lanes(http) == running)
    number = http.post("/queue", {"document": SAMPLES, "lane": "guard"}).json()["number"]
    until(lambda: _waiting(http, "?lane=guard") == [number])
    assert _waiting(http) == []
    assert http.client.delete("/queue?lane=guard").status_code == 204
    until(lambda: _waiting(http, "?lane=guard") == [])
    with http.events(params={"lane": "guard"}) as events:
        assert next(events).told["fields"]["RUN_ID"] == run_id
        http.post(f"/runs/{run_id}/abort")
        told = (each for event in events for each in event.told.get("events", ()))
        assert next(e["run_id"] for e in told if e["event"] == "run_ended") == run_id
    for path in ("/status", "/queue", "/events"):
        assert "the lanes are main, guard" in problem(http.get(f"{path}?lane=nine"), 404)
    assert "'nine'" in problem(http.post("/runs", {"document": LONG, "lane": "nine"}), 404)


@pytest.mark.parametrize(("verb", "status"), [("stop", "Stopped"), ("skip", "Success")])
def test_a_run_is_stopped_and_a_step_is_skipped(http: Http, verb: str, status: str) -> None:
    run_id = http.start(LONG)
    until(lambda: "delay" in http.rig.get("STEP_NAME"))
    assert http.post(f"/runs/{run_id}/{verb}").status_code == 204
    assert http.ended(run_id)["status"] == status


def test_a_question_is_answered(http: Http) -> None:
    run_id = http.start("steps: [{ask: Ready?}]")
    http.rig.until("STATE", "Paused")
    assert http.post(f"/runs/{run_id}/answer").status_code == 204
    assert http.ended(run_id)["status"] == "Success"


def test_a_question_takes_a_choice_and_nothing_else(http: Http) -> None:
    run_id = http.start("steps: [{ask: {text: Which?, choices: [red, blue], as: c}}, {log: $(c)}]")
    until(lambda: http.told("/status")["fields"]["QUESTION"])
    assert "red" in problem(http.post(f"/runs/{run_id}/answer", {"answer": "green"}), 422)
    assert http.post(f"/runs/{run_id}/answer", {"answer": "blue"}).status_code == 204
    assert http.ended(run_id)["status"] == "Success"


# The queue --------------------------------------------------------------------------------------


def test_runs_wait_in_the_queue_and_are_moved_and_removed(http: Http) -> None:
    run_id = http.start(LONG)
    http.rig.sequence(SAMPLES, "samples")
    asked = {"sequence": "samples", "arguments": {"points": 2}}
    first = http.post("/queue", asked).json()["number"]
    second = http.post("/queue", {"document": SAMPLES}).json()["number"]
    until(lambda: _waiting(http) == [first, second])
    assert http.post(f"/queue/{second}/move", {"position": 1}).status_code == 204
    until(lambda: _waiting(http) == [second, first])
    assert http.client.delete(f"/queue/{first}").status_code == 204
    assert "no run" in problem(http.client.delete(f"/queue/{first}"), 422)
    until(lambda: _waiting(http) == [second])
    http.post(f"/runs/{run_id}/skip")
    until(lambda: http.told("/runs?limit=1")["runs"][0]["name"] == "samples")


def test_what_can_not_be_run_does_not_come_into_the_queue(http: Http) -> None:
    assert "there is no sequence" in problem(http.post("/queue", {"sequence": "nine"}), 422)
    until(lambda: http.told("/queue") == {"waiting": [], "held": False})


def _lanes(http: Http) -> dict[str, tuple[str, str]]:
    return {lane["name"]: (lane["run_id"], lane["state"]) for lane in http.told("/lanes")["lanes"]}


def _waiting(http: Http, lane: str = "") -> list[int]:
    return [run["number"] for run in http.told(f"/queue{lane}")["waiting"]]


# Sequences, channels, the service ---------------------------------------------------------------


def test_a_sequence_is_shown_with_what_it_takes(http: Http) -> None:
    http.rig.sequence(SAMPLES, "samples")
    until(lambda: "samples" in http.told("/sequences")["sequences"])
    shown = http.told("/sequences/samples")
    assert shown["text"] == SAMPLES
    assert shown["arguments"]["properties"]["points"] == {
        "type": "integer",
        "default": 3,
        "minimum": 1,
    }
    assert "there is no sequence" in problem(http.get("/sequences/nine"), 422)
    assert "steps" in http.told("/schema")["properties"]


def test_channels_are_shown_as_the_service_knows_them(http: Http) -> None:
    http.rig.give("rec.ao", 2.5)
    listed = {each["name"]: each for each in http.told("/channels")["channels"]}
    assert listed["rec.ao"]["value"] == 2.5
    assert listed["rec.wave"]["value"] is None
    wave = http.told("/channels/rec.wave")
    assert len(wave["value"]) == wave["elements"] == listed["rec.wave"]["elements"]
    enum = http.told("/channels/rec.mbbo")
    assert enum["labels"][enum["value"]] == enum["label"]
    assert "no channel" in problem(http.get("/channels/rec.none"), 404)


def test_a_channel_is_put_as_a_sequence_puts_it(http: Http) -> None:
    assert http.client.put("/channels/rec.ao", json={"value": 3.5}).status_code == 204
    until(lambda: http.told("/channels/rec.ao")["value"] == 3.5)
    label = http.told("/channels/rec.mbbo")["labels"][1]
    assert http.client.put("/channels/rec.mbbo", json={"value": label}).status_code == 204
    until(lambda: http.told("/channels/rec.mbbo")["label"] == label)
    put = http.client.put
    assert "labels" in problem(put("/channels/rec.mbbo", json={"value": "no such"}), 422)
    assert "did you mean" in problem(put("/channels/rec.aoo", json={"value": 1}), 422)
    assert "body.value" in problem(put("/channels/rec.ao", json={"value": None}), 422)
    assert "rec.ao" in problem(put("/channels/rec.ao", json={"value": [1, 2]}), 422)


def test_what_a_run_may_put_to_nobody_else_puts_as_long_as_it_goes_on(http: Http) -> None:
    run_id = http.start("name: holds\nsteps: [{delay: 300}, {set: {pv: rec.ao, value: 1}}]\n")
    why = problem(http.client.put("/channels/rec.ao", json={"value": 4.5}), 409)
    assert (
        why == f"rec.ao is claimed by the run holds {run_id} in the lane main: nothing was written"
    )
    assert http.client.put("/channels/rec.mbbo", json={"value": 1}).status_code == 204
    http.post(f"/runs/{run_id}/stop")
    http.ended(run_id)
    assert http.client.put("/channels/rec.ao", json={"value": 4.5}).status_code == 204


def test_a_check_finds_what_the_command_finds(http: Http) -> None:
    good = http.post("/check", {"document": SAMPLES, "arguments": {"points": 2}}, timeout=60)
    assert good.json()["ok"], good.text
    assert (good.json()["reads"], good.json()["writes"]) == (["rec.ao"], [])
    wrong = {"document": "steps: [{set: {pv: rec.mbbo, value: nine}}]"}
    found = http.post("/check", wrong, timeout=60).json()
    assert not found["ok"]
    assert "nine" in found["findings"][0]["text"]
    none = http.post("/check", {"sequence": "nine", "offline": True}, timeout=60).json()
    assert "there is no sequence" in none["findings"][0]["text"]


def test_data_are_given_as_hdf5_when_the_run_has_ended(http: Http) -> None:
    run_id = http.start(SAMPLES + "  - delay: 300\n")
    until(lambda: http.get(f"/runs/{run_id}/data").text.count("\n") == 4)
    assert "under way" in problem(http.get(f"/runs/{run_id}/data?format=hdf5"), 409)
    http.post(f"/runs/{run_id}/stop")
    http.ended(run_id)
    told = http.get(f"/runs/{run_id}/data?format=hdf5")
    with h5py.File(io.BytesIO(told.content)) as file:
        assert "entry" in file


def test_the_figures_are_those_of_the_pvs(http: Http) -> None:
    told = http.get(f"http://127.0.0.1:{http.port}/metrics")
    families = {each.name: each for each in text_string_to_metric_families(told.text)}
    assert families["orchestrator_up"].samples[0].value == 1
    count = families["orchestrator_chain_count"].samples[0].value
    assert count == http.rig.get("CHAIN:COUNT")
    states = {s.labels["state"]: s.value for s in families["orchestrator_state"].samples}
    assert [state for state, value in states.items() if value] == [http.rig.get("STATE")]
    assert http.told("/status")["fields"]["CHAIN:COUNT"] == count


def test_it_is_healthy_and_ready(http: Http) -> None:
    for path in ("healthz", "readyz"):
        assert http.get(f"http://127.0.0.1:{http.port}/{path}").text == "ok\n"


# Events -----------------------------------------------------------------------------------------


def test_a_reader_that_comes_back_misses_nothing_and_is_told_nothing_twice(http: Http) -> None:
    with http.events() as events:
        last = next(events).id
    run_id = http.start(SAMPLES, points=2)
    http.ended(run_id)
    seen: list[str] = []
    with http.events(last) as events:
        for event in events:
            assert event.kind == "change"
            seen += event.kinds
            if "run_ended" in seen:
                break
    assert seen.count("run_started") == seen.count("run_ended") == 1
    with http.events("another-7") as events:
        assert next(events).kind == "snapshot"


def test_every_path_is_described(http: Http) -> None:
    document = http.told("/openapi.json")
    for path, verbs in document["paths"].items():
        assert path.startswith(("/api/v1/", "/healthz", "/readyz", "/metrics"))
        assert all(verb["description"] for verb in verbs.values())


# The page ---------------------------------------------------------------------------------------


def test_the_page_is_whole_and_nothing_of_it_comes_from_elsewhere(http: Http) -> None:
    root = f"http://127.0.0.1:{http.port}"
    page = http.client.get(f"{root}/")
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text)
    script = http.client.get(f"{root}/page/page.js")
    modules = re.findall(r'from "\./([^"]+)"', script.text)
    assert (len(links), len(modules)) == (2, 2)
    for path in [*links, *(f"/page/{name}" for name in modules)]:
        file = http.client.get(root + path)
        assert file.status_code == 200, path
        assert "//" not in re.sub(r"(^|\s)// .*", "", file.text, flags=re.MULTILINE), path
    assert http.client.get(f"{root}/page/settings.json").json() == {
        "read_only": False,
        "token": False,
    }
    assert "no file" in problem(http.client.get(f"{root}/page/app.py"), 404)
