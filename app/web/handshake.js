/** @import { ProblemCode } from "./problem.js" */
import { NabraProblem } from "./problem.js";

const PROBE_TIMEOUT_MS = 4000;

/** The longest `Retry-After` that is honoured. */
const MAX_RETRY_AFTER_S = 300;

/** @type {Record<number, ProblemCode>} */
const PROBLEM_BY_STATUS = {
  400: "refused", 401: "refused", 403: "refused", 429: "too-busy", 503: "too-busy",
};

/** The characters of a subprotocol. */
const SUBPROTOCOL = /^[\w!#$%&'*+.^`|~-]+$/;

/**
 * Returns the token of a client; it is asked before each connection.
 *
 * @typedef {(sessionId: string) => string | null | undefined | Promise<string | null | undefined>}
 *   TokenSource
 */

/** Opens the sockets of a session: where to, and with which token. */
export class Handshake {
  #endpoint;
  #sessionId;
  /** Whether the session was named to us: until then a token may be for another one. */
  #isSessionKnown;
  #source;
  #token = "";

  /**
   * @param {URL} endpoint without session id
   * @param {{sessionId?: string, token?: string | TokenSource}} [settings]
   */
  constructor(endpoint, { sessionId, token = "" } = {}) {
    this.#endpoint = endpoint;
    this.#sessionId = sessionId ?? randomId();
    this.#isSessionKnown = sessionId !== undefined;
    this.#source = typeof token === "function" ? token : () => token;
  }

  get sessionId() {
    return this.#sessionId;
  }

  /** Keep the id that the gateway greets with. @param {string} sessionId */
  onGreeting(sessionId) {
    this.#sessionId = sessionId;
    this.#isSessionKnown = true;
  }

  /** Ask for the token of the next socket. */
  async prepare() {
    const token = (await this.#source(this.#sessionId)) ?? "";
    if (token !== "" && !SUBPROTOCOL.test(token)) {
      // The browser's own error would quote it.
      const detail = { status: 401, gatewayCode: "token-invalid" };
      throw new NabraProblem("refused", "the token has characters that no token has", detail);
    }
    this.#token = token;
  }

  /** @returns {WebSocket} */
  open() {
    if (this.#token === "") return new WebSocket(this.#url()); // older gateways know no subprotocol
    return new WebSocket(this.#url(), ["nabra", `nabra.token.${this.#token}`]);
  }

  /**
   * Ask by plain HTTP why a handshake failed: browsers do not tell a page the status. A page of
   * another origin gets to know it if `ALLOWED_ORIGINS` names it.
   *
   * @returns {Promise<NabraProblem>}
   */
  async explain() {
    const lost = new NabraProblem("connection-lost", "the handshake failed");
    const url = this.#url();
    url.protocol = url.protocol.replace("ws", "http");
    try {
      const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
      /** @type {HeadersInit} */
      const headers = this.#token === "" ? {} : { Authorization: `Bearer ${this.#token}` };
      return await problemOf(await fetch(url, { cache: "no-store", headers, signal })) ?? lost;
    } catch {
      return lost;
    }
  }

  /** Without a session id the gateway takes the token's. */
  #url() {
    const isOfToken = this.#token !== "" && !this.#isSessionKnown;
    return socketUrl(this.#endpoint, isOfToken ? "" : this.#sessionId);
  }
}

/** @param {Response} response @returns {Promise<NabraProblem | null>} null if it refuses nobody */
async function problemOf(response) {
  const { status } = response;
  if (PROBLEM_BY_STATUS[status] === undefined) return null; // 426: it would be accepted
  const body = await response.json().catch(() => null); // a proxy's page
  const isRestarting = body?.code === "server-restarting";
  const code = isRestarting ? "server-draining" : PROBLEM_BY_STATUS[status];
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  return new NabraProblem(code, String(body?.message ?? `HTTP ${status}`), {
    status,
    gatewayCode: typeof body?.code === "string" ? body.code : undefined,
    retryAfterMs: seconds > 0 ? Math.min(seconds, MAX_RETRY_AFTER_S) * 1000 : undefined,
  });
}

/**
 * Return the WebSocket address of one session; a query, which may carry a token, is kept.
 *
 * @param {URL} endpoint
 * @param {string} sessionId empty for one that the gateway chooses
 */
function socketUrl(endpoint, sessionId) {
  const result = new URL(endpoint);
  result.protocol = result.protocol.replace("http", "ws");
  const session = sessionId === "" ? "" : `${encodeURIComponent(sessionId)}/`;
  result.pathname = `${result.pathname.replace(/\/*$/, "")}/${session}`;
  return result;
}

/** Return a random id; `crypto.randomUUID` exists only with HTTPS, typed turns work without. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
