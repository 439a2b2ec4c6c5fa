// The server's public API. What it refuses is thrown as a Problem; a full queue is asked again when it says.

const RETRIES = 5;

export class Problem extends Error {
  constructor(body) {
    super(body.detail || body.title || "the server gave no reason");
    this.status = body.status;
  }
}

const KEPT = "serotone-token";

let token = sessionStorage.getItem(KEPT) || "";

// Send a token from now on; false where it cannot be one, because no header may hold it.
export function setToken(value) {
  const sendable = /^[\x21-\x7e]+$/.test(value);
  token = sendable ? value : token;
  return sendable;
}

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  for (let attempt = 0; ; attempt += 1) {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch {
      throw new Problem({ status: 0, detail: "the server cannot be reached; is it running?" });
    }
    if (answer.ok) {
      if (token) {
        sessionStorage.setItem(KEPT, token); // the server takes it
      }
      return answer.status === 204 ? null : answer.json();
    }
    if (answer.status === 503 && attempt < RETRIES) {
      const seconds = Number(answer.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      continue;
    }
    throw new Problem(await answer.json().catch(() => ({ status: answer.status, detail: answer.statusText })));
  }
}

function address(path, options) {
  const given = Object.entries(options).filter(([, value]) => value !== null && value !== undefined);
  return `${path}?${new URLSearchParams(given)}`;
}

function form(files) {
  const body = new FormData();
  for (const { file, name } of files) {
    body.append("file", file, name);
  }
  return body;
}

export async function bundles() {
  return (await ask("/v1/bundles")).bundles;
}

export function recognize(recording, { bundle, profile }) {
  const chosen = profile ? { profile } : { bundle };
  return ask(address("/v1/recognize", { timeline: true, ...chosen }), { method: "POST", body: form([recording]) });
}

export function adapt(recordings, { bundle }) {
  return ask(address("/v1/profiles", { bundle }), { method: "POST", body: form(recordings) });
}

export function forget(profile) {
  return ask(`/v1/profiles/${profile}`, { method: "DELETE", keepalive: true }); // also as the page goes away
}

// A WebSocket of a browser cannot send a header: the token goes along as the name of a protocol.
export function stream({ bundle, profile, rate }) {
  const chosen = profile ? { profile } : { bundle };
  const where = new URL(address("/v1/stream", { rate, encoding: "f32le", name: "microphone", ...chosen }), location.href);
  where.protocol = where.protocol.replace("http", "ws");
  const encoded = btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const socket = new WebSocket(where, token ? ["serotone", `bearer.${encoded}`] : []);
  socket.binaryType = "arraybuffer";
  return socket;
}
