/**
 * What can go wrong with a conversation on the client's side.
 *
 * @typedef {"no-microphone" | "microphone-denied" | "microphone-busy" | "insecure-context" |
 *   "unsupported-browser" | "audio-locked" | "connection-lost" | "server-draining" | "refused" |
 *   "too-busy" | "closed"} ProblemCode
 */

/**
 * What the gateway said when it refused a handshake.
 *
 * @typedef {object} Refusal
 * @property {number} [status] the HTTP status
 * @property {string} [gatewayCode] such as `token-expired`; docs/protocol.md lists them
 * @property {number} [retryAfterMs] when to come back
 */

/** Problems that retrying does not solve: somebody has to change something first. */
const FINAL = new Set(["insecure-context", "unsupported-browser", "refused", "closed"]);

/** A problem with a stable `code`; `recoverable` is false when trying again does not help. */
export class NabraProblem extends Error {
  /**
   * @param {ProblemCode} code
   * @param {string} [message] for a log, in English
   * @param {Refusal} [refusal]
   */
  constructor(code, message = code, { status, gatewayCode, retryAfterMs } = {}) {
    super(message);
    this.name = "NabraProblem";
    this.code = code;
    this.recoverable = !FINAL.has(code);
    this.status = status;
    this.gatewayCode = gatewayCode;
    this.retryAfterMs = retryAfterMs;
  }
}
