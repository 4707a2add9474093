// Asks the service, and follows what it tells.

const API = "/api/v1";
const QUIET_MS = 30000; // the stream tells every few seconds that nothing has happened

export const me = {
  get token() { return sessionStorage.getItem("token") || ""; },
  set token(text) { sessionStorage.setItem("token", text); },
  get caller() { return localStorage.getItem("caller") || ""; },
  set caller(text) { localStorage.setItem("caller", text); },
};

export class Problem extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}

function headers() {
  const told = {};
  if (me.token) told.Authorization = `Bearer ${me.token}`;
  if (me.caller) told["X-Caller"] = me.caller;
  return told;
}

export async function get(path, signal) {
  const response = await fetch(API + path, { headers: headers(), cache: "no-store", signal });
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function told(path) { return (await get(path)).json(); }

export async function ask(method, path, body) {
  const said = { method, headers: headers() };
  if (body !== undefined) {
    said.headers["Content-Type"] = "application/json";
    said.body = JSON.stringify(body);
  }
  const response = await fetch(API + path, said);
  if (!response.ok) throw await problemOf(response);
  return response.status === 204 ? null : response.json();
}

async function problemOf(response) {
  const text = await response.text();
  try { return new Problem(response.status, JSON.parse(text).detail || text); } catch { return new Problem(response.status, text); }
}

export async function* lines(response, heard = () => {}) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts;
  }
}

// EventSource can't send a token, so the stream is read by fetch. Ends when the service is lost.
export async function follow(lane, lastId, stop, opened, happened) {
  const quiet = new AbortController();
  let timer = setTimeout(() => quiet.abort(), QUIET_MS);
  const heard = () => { clearTimeout(timer); timer = setTimeout(() => quiet.abort(), QUIET_MS); };
  const over = () => quiet.abort();
  stop.addEventListener("abort", over);
  try {
    const said = headers();
    if (lastId) said["Last-Event-ID"] = lastId;
    const path = `${API}/events?lane=${encodeURIComponent(lane)}`;
    const response = await fetch(path, { headers: said, cache: "no-store", signal: quiet.signal });
    if (!response.ok) throw await problemOf(response);
    opened();
    let event = {};
    for await (const line of lines(response, heard)) {
      const at = line.indexOf(": ");
      if (at > 0) event[line.slice(0, at)] = line.slice(at + 2);
      else if (!line) {
        if (event.data) happened(event.id, event.event, JSON.parse(event.data));
        event = {};
      }
    }
  } finally {
    clearTimeout(timer);
    stop.removeEventListener("abort", over);
  }
}
