/** @import { ConnectionEvents, ConnectionState } from "./types" */
/** @import { ProblemCode } from "./problem.js" */
import { Emitter } from "./emitter.js";
import { NabraProblem } from "./problem.js";

const FIRST_RETRY_MS = 400;
const MAX_RETRY_MS = 15000;
const MIN_BUSY_RETRY_MS = 3000;

/** After a connection that lasted this long, the backoff starts again with short waits. */
const STABLE_MS = 5000;

/** For the handshake and the greeting: a proxy may accept where no gateway is behind it. */
const GREETING_TIMEOUT_MS = 15000;

/** After this silence the gateway is pinged; without any message in reply the socket is dead. */
const HEARTBEAT_MS = 20000;
const PONG_TIMEOUT_MS = 3000;
const PROBE_TIMEOUT_MS = 4000;

/** @type {Record<number, ProblemCode>} */
const PROBLEM_BY_CLOSE_CODE = {
  1001: "server-draining",
  1008: "refused",
  1012: "server-draining",
  1013: "too-busy",
};
/** @type {Record<number, ProblemCode>} */
const PROBLEM_BY_STATUS = { 401: "refused", 403: "refused", 429: "too-busy", 503: "too-busy" };

/**
 * A WebSocket that reconnects: with exponential backoff and jitter, so that many clients do not
 * return at once, and immediately when the network comes back or the user asks for it.
 *
 * @extends {Emitter<ConnectionEvents>}
 */
export class GatewayConnection extends Emitter {
  /** @type {ConnectionState} */
  state = "closed";
  #url;
  /** @type {WebSocket | null} */
  #socket = null;
  #attempts = 0;
  #openedAt = 0;
  #lastMessageAt = 0;
  /** @type {PromiseWithResolvers<void> | null} */
  #opening = null;
  /** @type {number | undefined} */
  #retryTimer;
  /** Runs until a message proves that the gateway is there. @type {number | undefined} */
  #livenessTimer;
  /** @type {number | undefined} */
  #heartbeatTimer;

  /** @param {URL} url */
  constructor(url) {
    super();
    this.#url = url;
  }

  /**
   * Connect; resolves when the gateway has greeted, rejects when it refuses or on `close`.
   *
   * @returns {Promise<void>}
   */
  open() {
    if (this.state === "open") return Promise.resolve();
    if (this.#opening === null) {
      this.#opening = Promise.withResolvers ? Promise.withResolvers() : withResolvers();
      this.#opening.promise.catch(() => {}); // the "problem" event reports it as well
    }
    if (this.state === "closed") {
      this.#attempts = 0;
      this.#watchNetwork(true);
      this.#connect();
    } else if (this.state === "waiting") {
      this.#connect();
    }
    return this.#opening.promise;
  }

  close() {
    this.#stop(new NabraProblem("closed"));
  }

  /**
   * Send, or drop what cannot be sent now.
   *
   * @param {string | ArrayBuffer} data
   * @param {{maxBuffered?: number}} [limits] bytes that may wait in the socket already
   * @returns {boolean} whether it was sent
   */
  send(data, { maxBuffered = Infinity } = {}) {
    const socket = this.#socket;
    if (this.state !== "open" || socket === null) return false;
    if (socket.bufferedAmount > maxBuffered) return false;
    socket.send(data);
    return true;
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#setState("connecting");
    this.#livenessTimer = setTimeout(() => this.#onLost("no greeting"), GREETING_TIMEOUT_MS);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#onMessage(data);
    socket.onclose = ({ code }) => socket === this.#socket && this.#onLost(code);
  }

  /** @param {string | ArrayBuffer} data */
  #onMessage(data) {
    this.#lastMessageAt = performance.now();
    clearTimeout(this.#livenessTimer);
    this.#livenessTimer = undefined;
    if (this.state !== "open") {
      this.#openedAt = this.#lastMessageAt;
      this.#setState("open");
      this.#opening?.resolve();
      this.#opening = null;
    }
    this.emit("message", data);
  }

  /** @param {number | string} cause a close code, or why we gave the socket up */
  async #onLost(cause) {
    const wasOpen = this.state === "open";
    const socket = this.#dropSocket();
    if (wasOpen && performance.now() - this.#openedAt > STABLE_MS) this.#attempts = 0;
    let code = PROBLEM_BY_CLOSE_CODE[Number(cause)] ?? "connection-lost";
    if (!wasOpen && cause === 1006) {
      this.#socket = socket; // kept during the probe, so that `close` is noticed
      code = await this.#probe();
      if (this.#socket !== socket) return;
      this.#socket = null;
    }
    const problem = new NabraProblem(code, `the connection ended with ${cause}`);
    if (code === "refused") this.#stop(problem);
    else this.#retryLater(code);
    this.emit("problem", problem);
  }

  /** @param {ProblemCode} code */
  #retryLater(code) {
    const backoffMs = FIRST_RETRY_MS * 2 ** this.#attempts++;
    const minMs = code === "too-busy" ? MIN_BUSY_RETRY_MS : 0;
    const waitMs = Math.min(MAX_RETRY_MS, Math.max(minMs, backoffMs));
    const retryInMs = Math.round(waitMs * (0.5 + Math.random() / 2));
    this.#setState("waiting", code, retryInMs);
    this.#retryTimer = setTimeout(() => this.#connect(), retryInMs);
  }

  /**
   * Ask by plain HTTP why a handshake failed: browsers do not tell a page the status.
   *
   * @returns {Promise<ProblemCode>}
   */
  async #probe() {
    const url = new URL(this.#url);
    url.protocol = url.protocol.replace("ws", "http");
    if (url.origin !== globalThis.location?.origin) return "connection-lost";
    try {
      const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
      const { status } = await fetch(url, { cache: "no-store", signal });
      return PROBLEM_BY_STATUS[status] ?? "connection-lost";
    } catch {
      return "connection-lost";
    }
  }

  /** Ignore the socket from now on, and close it. @param {number} [code] */
  #dropSocket(code) {
    clearTimeout(this.#livenessTimer);
    this.#livenessTimer = undefined;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(code);
    return socket;
  }

  /** @param {NabraProblem} problem */
  #stop(problem) {
    clearTimeout(this.#retryTimer);
    this.#watchNetwork(false);
    this.#dropSocket(1000);
    this.#setState("closed", problem.code);
    this.#opening?.reject(problem);
    this.#opening = null;
  }

  /** @param {ConnectionState} state @param {ProblemCode} [reason] @param {number} [retryInMs] */
  #setState(state, reason, retryInMs) {
    if (state === this.state) return;
    this.state = state;
    this.emit("state", { state, reason, retryInMs });
  }

  /** @param {boolean} on */
  #watchNetwork(on) {
    const change = on ? "addEventListener" : "removeEventListener";
    globalThis[change]("online", this.#onNetworkChange);
    globalThis[change]("offline", this.#onNetworkChange);
    document[change]("visibilitychange", this.#onNetworkChange);
    clearInterval(this.#heartbeatTimer);
    if (on) {
      this.#heartbeatTimer = setInterval(() => {
        if (performance.now() - this.#lastMessageAt > HEARTBEAT_MS) this.#checkLiveness();
      }, HEARTBEAT_MS);
    }
  }

  /** @param {Event} event */
  #onNetworkChange = ({ type }) => {
    if (type === "visibilitychange" && document.hidden) return;
    if (this.state === "waiting" && navigator.onLine) this.#connect();
    else this.#checkLiveness();
  };

  /** Ping: a socket does not notice by itself that its network is gone. */
  #checkLiveness() {
    if (this.#livenessTimer !== undefined) return;
    if (!this.send(JSON.stringify({ type: "ping", id: "heartbeat" }))) return;
    this.#livenessTimer = setTimeout(() => this.#onLost(1006), PONG_TIMEOUT_MS);
  }
}

/**
 * Return the WebSocket address of one session; a query, which may carry a token, is kept.
 *
 * @param {string | URL} url an endpoint without the session id
 * @param {string} sessionId
 */
export function sessionUrl(url, sessionId) {
  const result = new URL(url, globalThis.location?.href);
  result.protocol = result.protocol.replace("http", "ws");
  result.pathname = `${result.pathname.replace(/\/*$/, "")}/${encodeURIComponent(sessionId)}/`;
  return result;
}

/** Return a random id; `crypto.randomUUID` exists only with HTTPS, typed turns work without. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Stand in for `Promise.withResolvers` in browsers before 2024. */
function withResolvers() {
  const result = /** @type {PromiseWithResolvers<void>} */ ({});
  result.promise = new Promise((resolve, reject) => Object.assign(result, { resolve, reject }));
  return result;
}
