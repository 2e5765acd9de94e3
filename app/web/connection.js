/** @import { ConnectionEvents, ConnectionState, ServerMessages } from "./types" */
/** @import { Handshake } from "./handshake.js" */
/** @import { ProblemCode } from "./problem.js" */
import { Emitter } from "./emitter.js";
import { NabraProblem } from "./problem.js";

const FIRST_RETRY_MS = 400;
const MAX_RETRY_MS = 15000;
const MAX_RESTART_MS = 60000;
const MIN_BUSY_RETRY_MS = 3000;

/** After a connection that lasted this long, the backoff starts again with short waits. */
const STABLE_MS = 5000;

/** For the handshake and the greeting: a proxy may accept where no gateway is behind it. */
const GREETING_TIMEOUT_MS = 15000;

/** After this silence the gateway is pinged; without any message in reply the socket is dead. */
const HEARTBEAT_MS = 20000;
const PONG_TIMEOUT_MS = 3000;

/** @type {Record<number, ProblemCode>} */
const PROBLEM_BY_CLOSE_CODE = {
  1001: "server-draining",
  1008: "refused",
  1012: "server-draining",
  1013: "too-busy",
};

/**
 * A WebSocket that reconnects: with exponential backoff and jitter, so that many clients do not
 * return at once, and immediately when the network comes back or the user asks for it.
 *
 * @extends {Emitter<ConnectionEvents>}
 */
export class GatewayConnection extends Emitter {
  /** @type {ConnectionState} */
  state = "closed";
  #handshake;
  /** @type {WebSocket | null} */
  #socket = null;
  /** Counts the sockets that were tried or dropped: what an older one waited for is void. */
  #generation = 0;
  #attempts = 0;
  /** When the gateway, being full, wants us back at the earliest. */
  #retryNotBefore = 0;
  /** What the gateway asked for before it restarts. @type {number | undefined} */
  #restartRetryMs;
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

  /** @param {Handshake} handshake */
  constructor(handshake) {
    super();
    this.#handshake = handshake;
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
    if (socket.readyState !== WebSocket.OPEN) return false; // closing, which is told a moment later
    if (socket.bufferedAmount > maxBuffered) return false;
    socket.send(data);
    return true;
  }

  /** Keep when to come back: the gateway restarts. @param {ServerMessages["status"]} status */
  onStatus({ retry_after_ms: retryAfterMs }) {
    if (retryAfterMs !== undefined) this.#restartRetryMs = Math.min(retryAfterMs, MAX_RESTART_MS);
  }

  async #connect() {
    clearTimeout(this.#retryTimer);
    const generation = ++this.#generation;
    this.#setState("connecting");
    this.#livenessTimer = setTimeout(() => this.#onLost("no greeting"), GREETING_TIMEOUT_MS);
    try {
      await this.#handshake.prepare();
      if (generation === this.#generation) this.#listen(this.#handshake.open());
    } catch (error) {
      if (generation === this.#generation) this.#onNoSocket(error);
    }
  }

  /** @param {WebSocket} socket */
  #listen(socket) {
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onmessage = ({ data }) => socket === this.#socket && this.#onMessage(data);
    socket.onclose = ({ code }) => socket === this.#socket && this.#onLost(code);
  }

  /** There is no token now, or none that can be sent. @param {unknown} error */
  #onNoSocket(error) {
    this.#dropSocket();
    if (error instanceof NabraProblem) return this.#end(error);
    const problem = new NabraProblem("connection-lost", "no token, or no socket, could be had");
    problem.cause = error; // its text may quote the address
    this.#end(problem);
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
    this.#dropSocket();
    if (wasOpen && performance.now() - this.#openedAt > STABLE_MS) this.#attempts = 0;
    const generation = this.#generation;
    let problem = new NabraProblem(
      PROBLEM_BY_CLOSE_CODE[Number(cause)] ?? "connection-lost",
      `the connection ended with ${cause}`,
      { retryAfterMs: this.#restartRetryMs },
    );
    this.#restartRetryMs = undefined;
    if (!wasOpen && cause === 1006) {
      problem = await this.#handshake.explain();
      if (generation !== this.#generation) return; // closed meanwhile
    }
    this.#end(problem);
  }

  /** @param {NabraProblem} problem */
  #end(problem) {
    if (problem.recoverable) this.#retryLater(problem);
    else this.#stop(problem);
    this.emit("problem", problem);
  }

  /** @param {NabraProblem} problem */
  #retryLater({ code, retryAfterMs = 0 }) {
    const backoffMs = FIRST_RETRY_MS * 2 ** this.#attempts++;
    const minMs = code === "too-busy" ? MIN_BUSY_RETRY_MS : 0;
    const waitMs = Math.min(MAX_RETRY_MS, Math.max(minMs, backoffMs));
    // Half of the wait is random; nobody comes before the gateway wants it.
    const retryInMs = Math.round(
      Math.max(retryAfterMs, waitMs / 2) + (Math.random() * waitMs) / 2,
    );
    this.#retryNotBefore = performance.now() + retryAfterMs;
    this.#setState("waiting", code, retryInMs);
    this.#retryTimer = setTimeout(() => this.#connect(), retryInMs);
  }

  /** Ignore the socket from now on, and close it. @param {number} [code] */
  #dropSocket(code) {
    clearTimeout(this.#livenessTimer);
    this.#livenessTimer = undefined;
    this.#generation++;
    this.#socket?.close(code);
    this.#socket = null;
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
    if (this.state !== "waiting") this.#checkLiveness();
    else if (navigator.onLine && performance.now() >= this.#retryNotBefore) this.#connect();
  };

  /** Ping: a socket does not notice by itself that its network is gone. */
  #checkLiveness() {
    if (this.#livenessTimer !== undefined) return;
    if (!this.send(JSON.stringify({ type: "ping", id: "heartbeat" }))) return;
    this.#livenessTimer = setTimeout(() => this.#onLost(1006), PONG_TIMEOUT_MS);
  }
}

/** Stand in for `Promise.withResolvers` in browsers before 2024. */
function withResolvers() {
  const result = /** @type {PromiseWithResolvers<void>} */ ({});
  result.promise = new Promise((resolve, reject) => Object.assign(result, { resolve, reject }));
  return result;
}
