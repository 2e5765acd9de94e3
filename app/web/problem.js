/**
 * What can go wrong with a conversation on the client's side.
 *
 * @typedef {"no-microphone" | "microphone-denied" | "microphone-busy" | "insecure-context" |
 *   "unsupported-browser" | "audio-locked" | "connection-lost" | "server-draining" | "refused" |
 *   "too-busy" | "closed"} ProblemCode
 */

/** Problems that retrying does not solve: somebody has to change something first. */
const FINAL = new Set(["insecure-context", "unsupported-browser", "refused", "closed"]);

/** A problem with a stable `code`; `recoverable` is false when trying again does not help. */
export class NabraProblem extends Error {
  /**
   * @param {ProblemCode} code
   * @param {string} [message] for a log, in English
   */
  constructor(code, message = code) {
    super(message);
    this.name = "NabraProblem";
    this.code = code;
    this.recoverable = !FINAL.has(code);
  }
}
