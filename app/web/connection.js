import { NabraProblem } from "./problem.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 15000;

/** A connection that lasted so long was a good one: the next loss begins anew with short waits. */
const STABLE_MS = 5000;

/** How long a handshake may take, with the greeting: a proxy may open where no server is behind. */
const GREETING_MS = 15000;

/** Silence after which the server is asked whether it is there; and how long it may take to say. */
const HEARTBEAT_MS = 20000;
const PONG_MS = 3000;
const PROBE_MS = 4000;

const BY_CLOSE_CODE = {
  1001: "server-draining",
  1008: "refused",
  1012: "server-draining",
  1013: "too-busy",
};
const BY_STATUS = { 401: "refused", 403: "refused", 429: "too-busy", 503: "too-busy" };

/**
 * A WebSocket that comes back: with growing waits, at random within a half so that a crowd of
 * clients does not return as one, and at once when the network or the user does.
 *
 * @fires state `{state, reason, retryInMs}`; `message` with its data; `problem`
 */
export class Connection extends EventTarget {
  /** @type {"closed" | "connecting" | "open" | "waiting"} */
  state = "closed";
  #url;
  #socket = null;
  #attempts = 0;
  #openedAt = 0;
  #heardAt = 0;
  #opening = null;
  #retry;
  #deadline;
  #heartbeat;

  /** @param {URL} url */
  constructor(url) {
    super();
    this.#url = url;
  }

  /** Resolves when the server has greeted; rejects when it refuses, or by `close`. */
  open() {
    if (this.state === "open") return Promise.resolve();
    if (this.#opening === null) {
      this.#opening = Promise.withResolvers ? Promise.withResolvers() : withResolvers();
      this.#opening.promise.catch(() => {}); // told by `problem` as well: nobody has to wait here
    }
    if (this.state === "closed") {
      this.#attempts = 0;
      this.#watch(true);
      this.#connect();
    } else if (this.state === "waiting") {
      this.#connect(); // somebody does not care to wait
    }
    return this.#opening.promise;
  }

  close() {
    this.#end(new NabraProblem("closed"));
  }

  /** Send, or drop what cannot be sent now; tells which. */
  send(data, { maxBuffered = Infinity } = {}) {
    if (this.state !== "open" || this.#socket.bufferedAmount > maxBuffered) return false;
    this.#socket.send(data);
    return true;
  }

  #connect() {
    clearTimeout(this.#retry);
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#become("connecting");
    this.#deadline = setTimeout(() => this.#lose("no greeting"), GREETING_MS);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#hear(data);
    socket.onclose = ({ code }) => socket === this.#socket && this.#lose(code);
  }

  #hear(data) {
    this.#heardAt = performance.now();
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    if (this.state !== "open") {
      this.#openedAt = this.#heardAt;
      this.#become("open");
      this.#opening?.resolve();
      this.#opening = null;
    }
    this.dispatchEvent(new CustomEvent("message", { detail: data }));
  }

  async #lose(code) {
    const wasOpen = this.state === "open";
    const socket = this.#leave();
    if (wasOpen && performance.now() - this.#openedAt > STABLE_MS) this.#attempts = 0;
    let cause = BY_CLOSE_CODE[code] ?? "connection-lost";
    if (!wasOpen && code === 1006) {
      this.#socket = socket; // still ours: `close` may come while we ask
      cause = await this.#ask();
      if (this.#socket !== socket) return;
      this.#socket = null;
    }
    const problem = new NabraProblem(cause, `the connection ended with ${code}`);
    if (cause === "refused") {
      this.#end(problem);
    } else {
      const rest = LONGEST_WAIT_MS * (cause === "too-busy" ? 0.2 : 0);
      const wait = Math.min(LONGEST_WAIT_MS, Math.max(rest, FIRST_WAIT_MS * 2 ** this.#attempts++));
      const retryInMs = Math.round(wait * (0.5 + Math.random() / 2));
      this.#become("waiting", cause, retryInMs);
      this.#retry = setTimeout(() => this.#connect(), retryInMs);
    }
    this.dispatchEvent(new CustomEvent("problem", { detail: problem }));
  }

  /** A page is not told why a handshake failed, but plain HTTP to the same place may tell. */
  async #ask() {
    const url = new URL(this.#url);
    url.protocol = url.protocol.replace("ws", "http");
    if (url.origin !== globalThis.location?.origin) return "connection-lost";
    try {
      const signal = AbortSignal.timeout(PROBE_MS);
      const { status } = await fetch(url, { cache: "no-store", signal });
      return BY_STATUS[status] ?? "connection-lost";
    } catch {
      return "connection-lost"; // nobody is there
    }
  }

  /** Take leave of the socket, which may be beyond hearing. */
  #leave(code) {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(code);
    return socket;
  }

  #end(problem) {
    clearTimeout(this.#retry);
    this.#watch(false);
    this.#leave(1000);
    this.#become("closed", problem.code);
    this.#opening?.reject(problem);
    this.#opening = null;
  }

  #become(state, reason, retryInMs) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, reason, retryInMs } }));
  }

  #watch(on) {
    const change = on ? "addEventListener" : "removeEventListener";
    globalThis[change]("online", this.#networkChanged);
    globalThis[change]("offline", this.#networkChanged);
    document[change]("visibilitychange", this.#networkChanged);
    clearInterval(this.#heartbeat);
    if (on) {
      this.#heartbeat = setInterval(() => {
        if (performance.now() - this.#heardAt > HEARTBEAT_MS) this.#check();
      }, HEARTBEAT_MS);
    }
  }

  #networkChanged = ({ type }) => {
    if (type === "visibilitychange" && document.hidden) return;
    if (this.state === "waiting" && navigator.onLine) this.#connect();
    else this.#check();
  };

  /** A socket does not notice that its network is gone: ask, and leave when nobody answers. */
  #check() {
    if (this.#deadline !== undefined) return;
    if (!this.send(JSON.stringify({ type: "ping", id: "heartbeat" }))) return;
    this.#deadline = setTimeout(() => this.#lose(1006), PONG_MS);
  }
}

/** The address of one session: an endpoint's, by `ws:`; a query, with a token perhaps, stays. */
export function endpoint(url, sessionId) {
  const whole = new URL(url, globalThis.location?.href);
  whole.protocol = whole.protocol.replace("http", "ws");
  whole.pathname = `${whole.pathname.replace(/\/*$/, "")}/${encodeURIComponent(sessionId)}/`;
  return whole;
}

/** `crypto.randomUUID` is missing where there is no HTTPS, and there one may still type. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function withResolvers() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
