// The page: what the service tells is shown, as text; what is clicked is asked of it.

import { Problem, ask, follow, get, lines, me, told } from "./api.js";
import { cells, draw } from "./plot.js";

const $ = (id) => document.getElementById(id);
const HISTORY = 15;
const WAIT_MS = 1000;
let settings = { read_only: false, token: false };
let lane = "", fields = {}, connected = false, lastId = "", stopFollowing = new AbortController();
let columns = [], rows = [], shownRun = "", before = "";

function make(kind, text = "", ...children) {
  const made = document.createElement(kind);
  made.textContent = text; // never as HTML: it comes from IOCs and users
  made.append(...children);
  return made;
}

function button(text, label, act) {
  const made = make("button", text);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.disabled = settings.read_only;
  made.addEventListener("click", () => attempt(act));
  return made;
}

async function attempt(act) {
  $("problem").hidden = true;
  try { await act(); } catch (error) {
    if (error instanceof Problem && error.status === 401) { login(); return; }
    const text = error instanceof Problem ? error.message : `no answer from the service (${error.message}); whether it was done shows below`;
    $("problem").textContent = text;
    $("problem").hidden = false;
  }
}

const isSure = (text) => new Promise((answer) => {
  $("confirm-text").textContent = text;
  $("confirm").returnValue = "no";
  $("confirm").addEventListener("close", () => answer($("confirm").returnValue === "yes"), { once: true });
  $("confirm").showModal();
});

function login() {
  if ($("login").open) return;
  $("login").addEventListener("close", () => { if ($("token").value) { me.token = $("token").value; $("token").value = ""; restart(); } }, { once: true });
  $("login").showModal();
}

// The run ------------------------------------------------------------------------------------

function show() {
  const busy = Boolean(fields.BUSY);
  $("state").textContent = connected ? `${fields.STATE ?? "…"}${busy ? "" : ` · ${fields.STATUS ?? ""}`}` : "Lost";
  $("state").className = busy || !connected ? "" : String(fields.STATUS);
  $("name").textContent = fields.RUN_NAME || "";
  $("message").textContent = fields.message || "";
  $("progress").value = Number(fields.PROGRESS) || 0;
  const facts = { Step: `${fields.STEP ?? ""} of ${fields.NSTEPS || "?"}  ${fields.STEP_NAME ?? ""}`, Loops: (fields.LOOP_INDEX || []).join(" · "),
    "Started by": fields.OWNER, Elapsed: seconds(fields.ELAPSED), Remaining: busy ? seconds(fields.REMAINING) : "",
    "Nothing moved for": fields.HUNG_SEC > 5 ? seconds(fields.HUNG_SEC) : "", Run: fields.RUN_ID };
  $("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value).flatMap(([key, value]) => [make("dt", key), make("dd", value)]));
  const may = connected && !settings.read_only;
  const paused = ["Paused", "Pausing"].includes(fields.STATE);
  for (const [id, on] of [["pause", busy && !paused], ["resume", busy && paused], ["skip", busy], ["stop", busy], ["abort", busy],
    ["go", !busy], ["submit", true], ["queue-start", true], ["queue-hold", true]]) $(id).disabled = !(may && on);
  showQuestion();
}

const seconds = (value) => (Number.isFinite(value) ? `${value.toFixed(value < 60 ? 1 : 0)} s` : "");

let asked = "";
function showQuestion() {
  const text = fields.QUESTION || "";
  if (text === asked) return;
  asked = text;
  $("question").hidden = !text;
  if (!text) return;
  const question = JSON.parse(text);
  $("question-text").textContent = question.text;
  if (question.choices) { $("answers").replaceChildren(...question.choices.map((choice) => button(String(choice), String(choice), () => answer(String(choice))))); return; }
  const value = make("input");
  value.id = "answer";
  value.setAttribute("aria-label", question.text);
  value.value = question.default ?? "";
  const takesNone = !question.type || question.type === "go on";
  const go = make("button", takesNone ? "Go on" : "Answer");
  go.disabled = settings.read_only;
  $("answers").replaceChildren(...(takesNone ? [] : [value]), go);
  $("question").onsubmit = (event) => { event.preventDefault(); attempt(() => answer(takesNone ? "" : value.value)); };
}

const ofRun = (verb, body) => ask("POST", `/runs/${encodeURIComponent(fields.RUN_ID)}/${verb}`, body);
const answer = (text) => ofRun("answer", { answer: text });

for (const verb of ["pause", "resume", "skip"]) $(verb).addEventListener("click", () => attempt(() => ofRun(verb)));
for (const [verb, does] of [["stop", "Stop %s at its next boundary?"], ["abort", "Abort %s now?"]]) {
  $(verb).addEventListener("click", async () => {
    const run = fields.RUN_ID; // the one that was looked at, whatever begins meanwhile
    if (await isSure(`${does.replace("%s", () => fields.RUN_NAME)} Its finalisers run.`)) attempt(() => ask("POST", `/runs/${encodeURIComponent(run)}/${verb}`));
  });
}

// Lanes, chain and queue ---------------------------------------------------------------------

async function showLanes() {
  const { lanes } = await told("/lanes");
  $("lanes").replaceChildren(...lanes.map((each) => make("li", `${each.name}: ${each.state} ${each.sequence} ${each.state === "Idle" ? each.status : ""}`)));
  if ($("lane").options.length !== lanes.length) {
    $("lane").replaceChildren(...lanes.map((each) => new Option(each.name, each.name === "main" ? "" : each.name)));
    $("lane").value = lane;
  }
}

function showChain() {
  const gone = fields["CHAIN:DISCONNECTED"];
  $("chain").textContent = `${fields["CHAIN:CONNECTED"] ?? "?"} of ${fields["CHAIN:COUNT"] ?? "?"} channels are connected.`;
  $("chain-gone").textContent = gone ? `Not connected: ${gone}` : "";
}

const ofLane = (path) => `${path}?lane=${encodeURIComponent(lane)}`;

function showQueue() {
  const waiting = JSON.parse(fields.QUEUE || "[]");
  const move = (run, position) => ask("POST", ofLane(`/queue/${run.number}/move`), { position });
  const focus = document.activeElement?.getAttribute("aria-label");
  $("queue").replaceChildren(...waiting.filter((run) => run.number !== undefined).map((run, at, all) => {
    const what = `${run.number} ${run.name}`;
    const line = make("li", `${run.name} ${run.args && Object.keys(run.args).length ? JSON.stringify(run.args) : ""} ${run.ended || ""} `);
    const up = button("↑", `Earlier: ${what}`, () => move(run, at));
    const down = button("↓", `Later: ${what}`, () => move(run, at + 2));
    up.disabled ||= at === 0;
    down.disabled ||= at === all.length - 1;
    line.append(up, " ", down, " ", button("Remove", `Remove: ${what}`, () => ask("DELETE", ofLane(`/queue/${run.number}`))));
    line.draggable = !settings.read_only;
    line.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", String(run.number)));
    line.addEventListener("dragover", (event) => event.preventDefault());
    line.addEventListener("drop", (event) => {
      event.preventDefault();
      const dragged = all.find((each) => String(each.number) === event.dataTransfer.getData("text/plain"));
      if (dragged) attempt(() => move(dragged, at + 1));
    });
    return line;
  }));
  if (focus) [...$("queue").querySelectorAll("button")].find((each) => each.getAttribute("aria-label") === focus)?.focus();
}

for (const verb of ["start", "hold"]) $(`queue-${verb}`).addEventListener("click", () => attempt(() => ask("POST", ofLane(`/queue/${verb}`))));

// Start --------------------------------------------------------------------------------------

async function showSequences() {
  const { sequences } = await told("/sequences");
  const chosen = $("sequence").value;
  $("sequence").replaceChildren(...sequences.map((name) => new Option(name, name)));
  if (sequences.includes(chosen)) $("sequence").value = chosen;
  else if (sequences.length) await showForm();
}

async function showForm() {
  const sequence = await told(`/sequences/${encodeURIComponent($("sequence").value)}`);
  $("description").textContent = sequence.description;
  const needed = sequence.arguments.required || [];
  $("arguments").replaceChildren(...Object.entries(sequence.arguments.properties || {}).map(([name, schema]) => parameter(name, schema, needed.includes(name))));
}

function parameter(name, schema, needed) {
  const values = schema.enum || (schema.type === "boolean" ? [true, false] : null);
  const input = make(values ? "select" : "input");
  if (values) input.append(...values.map((value) => new Option(String(value), JSON.stringify(value))));
  if (schema.default !== undefined) input.value = values || typeof schema.default === "object" ? JSON.stringify(schema.default) : String(schema.default);
  input.name = name;
  input.required = needed;
  input.dataset.kind = values ? "json" : schema.type || "text";
  if (["integer", "number"].includes(schema.type)) {
    input.type = "number";
    input.step = schema.type === "integer" ? "1" : "any";
    if (schema.minimum !== undefined) input.min = schema.minimum;
    if (schema.maximum !== undefined) input.max = schema.maximum;
  }
  const line = make("label", `${name} `, input, make("small", ` ${schema.description || ""}`));
  line.className = "parameter";
  return line;
}

function toBeRun() {
  const given = {};
  for (const input of $("arguments").querySelectorAll("input, select")) {
    if (input.value === "") continue; // its default
    const isText = ["text", "string"].includes(input.dataset.kind);
    try { given[input.name] = isText ? input.value : JSON.parse(input.value); } catch { given[input.name] = input.value; } // the service says what is wrong
  }
  return { sequence: $("sequence").value, arguments: given, lane };
}

$("sequence").addEventListener("change", () => attempt(showForm));
$("start").addEventListener("submit", (event) => { event.preventDefault(); attempt(() => ask("POST", "/runs", toBeRun())); });
$("submit").addEventListener("click", () => { if ($("start").reportValidity()) attempt(() => ask("POST", "/queue", toBeRun())); });

// Data ---------------------------------------------------------------------------------------

async function readData(run) {
  const found = [];
  let head = null;
  try {
    for await (const line of lines(await get(`/runs/${encodeURIComponent(run)}/data`))) {
      if (!line.trim() || line.startsWith("#")) continue;
      const values = cells(line.replace(/\r$/, ""));
      if (!head) head = values; else found.push(values);
    }
  } catch (error) { if (!(error instanceof Problem && error.status === 404)) throw error; } // it has sampled nothing
  if (run !== shownRun) return;
  const isNew = JSON.stringify(head) !== JSON.stringify(columns);
  columns = head || [];
  rows = found;
  if (isNew) chooseColumns();
  drawData();
}

function chooseColumns() {
  const last = rows.at(-1) || [];
  const numbers = columns.map((name, at) => [name, at]).filter(([, at]) => last[at] !== undefined && last[at] !== "" && Number.isFinite(Number(last[at])));
  for (const id of ["plot-x", "plot-y"]) $(id).replaceChildren(...numbers.map(([name, at]) => new Option(name, String(at))));
  const measured = numbers.filter(([name]) => name.includes(".") && !name.includes(":")); // severities and times have a colon
  if (measured.length) $("plot-y").value = String(measured.at(-1)[1]);
  if (measured.length > 1) $("plot-x").value = String(measured[0][1]);
}

function drawData() {
  const number = (id) => { const at = Number($(id).value); return Float64Array.from(rows, (row) => (row[at] === "" ? NaN : Number(row[at]))); };
  const any = $("plot-y").options.length > 0;
  $("points").textContent = `${rows.length} points`;
  $("plot").dataset.points = String(rows.length);
  draw($("plot"), any ? number("plot-x") : [], any ? number("plot-y") : []);
}

for (const id of ["plot-x", "plot-y"]) $(id).addEventListener("change", drawData);
window.addEventListener("resize", drawData);

// A long run's rows take a while to read: it is read again after ten times as long, 1 s at least.
async function keepData() {
  let seen = "";
  for (;;) {
    const now = `${fields.RUN_ID} ${fields["DATA:NPTS"]} ${fields.BUSY}`;
    const began = performance.now();
    if (connected && fields.RUN_ID && now !== seen && !document.hidden) {
      shownRun = fields.RUN_ID;
      try { await readData(shownRun); seen = now; } catch (error) { console.warn("data:", error.message); }
    }
    await pause(Math.max(WAIT_MS, 10 * (performance.now() - began)));
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// History ------------------------------------------------------------------------------------

async function showHistory(more = "") {
  const answered = await told(`/runs?limit=${HISTORY}&before=${encodeURIComponent(more)}`);
  const items = answered.runs.map((run) => {
    const show = make("button", run.name);
    show.type = "button";
    show.addEventListener("click", () => attempt(() => showTrace(run.run_id)));
    const line = make("li", "", show, ` ${run.started || ""} `);
    const status = make("span", run.status || "under way");
    status.className = String(run.status);
    line.append(status);
    return line;
  });
  if (more) $("history").append(...items); else $("history").replaceChildren(...items);
  before = answered.before || "";
  $("older").hidden = !before;
}

async function showTrace(id) {
  const run = await told(`/runs/${encodeURIComponent(id)}`);
  const failed = [];
  for await (const line of lines(await get(`/runs/${encodeURIComponent(id)}/journal`))) {
    if (!line.includes('"step_left"')) continue;
    const event = JSON.parse(line);
    if (event.event !== "step_left" || event.how === "done" || (event.how === "timeout" && !event.why)) continue; // a delay is over
    failed.push(`step ${event.step}: ${event.how}${event.why ? `: ${event.why}` : ""}`);
    if (failed.length > 200) failed.shift();
  }
  $("trace").textContent = [`${run.name}  ${run.run_id}`, `${run.status || "under way"}: ${run.message}`, `by ${run.owner} (${run.how})`,
    `arguments: ${JSON.stringify(run.arguments)}`, ...failed].join("\n");
  $("trace").hidden = false;
  $("trace").focus();
}

$("older").addEventListener("click", () => attempt(() => showHistory(before)));

// Following ----------------------------------------------------------------------------------

function happened(id, kind, what) {
  lastId = id;
  const run = fields.RUN_ID, busy = fields.BUSY;
  if (kind === "snapshot") fields = what.fields;
  else Object.assign(fields, what.fields || {});
  show();
  const names = Object.keys(what.fields || {});
  if (names.some((name) => name.startsWith("CHAIN:"))) showChain();
  if (names.includes("QUEUE")) showQueue();
  if (fields.RUN_ID !== run || fields.BUSY !== busy) refresh().catch((error) => console.warn(error.message));
}

const refresh = () => Promise.all([showLanes(), showHistory()]);

function restart() { stopFollowing.abort(); }

function lost(text) {
  connected = false;
  $("lost").textContent = `The service does not answer (${text}). What stands here is how it was; this page goes on by itself when it is back.`;
  $("lost").hidden = false;
  show();
}

async function keepFollowing() {
  for (;;) {
    stopFollowing = new AbortController();
    const { signal } = stopFollowing;
    try {
      await follow(lane, lastId, signal, () => {
        connected = true;
        $("lost").hidden = true;
        show();
        Promise.all([refresh(), showSequences()]).catch((error) => console.warn(error.message));
      }, (...what) => { if (!signal.aborted) happened(...what); });
      lost("it has ended");
    } catch (error) {
      if (signal.aborted) continue; // another lane was chosen, or a token given
      lost(error.message);
      if (error instanceof Problem && error.status === 401) login();
    }
    await pause(WAIT_MS);
  }
}

$("lane").addEventListener("change", () => { lane = $("lane").value; lastId = ""; fields = {}; restart(); });
$("caller").value = me.caller;
$("caller").addEventListener("change", () => { me.caller = $("caller").value.trim(); });

async function readSettings() {
  try {
    settings = await (await fetch("/page/settings.json", { cache: "no-store" })).json();
    $("mode").textContent = settings.read_only ? "read only" : "";
    $("caller").parentElement.hidden = settings.token;
  } catch (error) { console.warn("settings:", error.message); }
}

await readSettings();
show();
keepFollowing();
keepData();
setInterval(() => { if (connected && !document.hidden) showLanes().catch(() => {}); }, 3000); // a loss is told by the stream
