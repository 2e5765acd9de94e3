/** @import { ConfigureFields, ConfiguredMessage, ErrorMessage, Options } from "./types" */

/**
 * @typedef {object} Request
 * @property {string} id
 * @property {ConfigureFields} changes
 * @property {(configured: ConfiguredMessage) => void} [resolve] where a caller waits for it
 * @property {(error: ErrorMessage) => void} [reject]
 */

/** What the capture worklet produces. @type {ConfigureFields["input"]} */
const MICROPHONE_FORMAT = { encoding: "pcm_s16le", sample_rate: 16000 };

/** Binary framing saves the third that base64 adds. @type {Options} */
const DEFAULTS = { output: { framing: "binary" } };

/**
 * Keeps the options of a client, and sends them to each new connection and when they change.
 *
 * The gateway replies in order: `configured`, which has no id, belongs to the oldest request; an
 * `error` names its request.
 */
export class ClientConfiguration {
  #send;
  #options;
  /** @type {Request[]} */
  #requests = [];
  #count = 0;

  /** @param {Options} options @param {(message: object) => boolean} send */
  constructor(options, send) {
    this.#options = merge(DEFAULTS, options);
    this.#send = send;
  }

  /**
   * Ask for changes, now or as soon as there is a connection.
   *
   * @param {ConfigureFields} changes
   * @returns {Promise<ConfiguredMessage>}
   */
  change(changes) {
    return new Promise((resolve, reject) => {
      const request = { id: `configure-${++this.#count}`, changes, resolve, reject };
      this.#requests.push(request);
      this.#sendRequest(request);
    });
  }

  /** Make the gateway discard streamed audio: it does so when the input is configured again. */
  discardInput() {
    this.change({ input: MICROPHONE_FORMAT }).catch(() => {}); // the "error" event reports it
  }

  /** Send all options to a new connection. */
  onConnected() {
    // The input by itself, so that the microphone works even if the options are refused.
    this.#requests.unshift(
      { id: "configure-input", changes: { input: MICROPHONE_FORMAT } },
      { id: "configure-options", changes: this.#options },
    );
    for (const request of this.#requests) this.#sendRequest(request);
  }

  /** Keep only the requests that callers wait for; the next connection gets them. */
  onDisconnected() {
    this.#requests = this.#requests.filter((request) => request.resolve);
  }

  /** @param {ConfiguredMessage} message */
  onConfigured(message) {
    const request = this.#requests.shift();
    if (!request?.resolve) return;
    this.#options = merge(this.#options, request.changes);
    request.resolve(message);
  }

  /** @param {ErrorMessage} error */
  onError(error) {
    const index = this.#requests.findIndex((request) => request.id === error.in_reply_to);
    if (index >= 0) this.#requests.splice(index, 1)[0].reject?.(error);
  }

  /** @param {Request} request */
  #sendRequest({ id, changes }) {
    this.#send({ type: "configure", id, ...changes });
  }
}

/**
 * Return the options with changes to the fields of each part.
 *
 * @param {ConfigureFields} options @param {ConfigureFields} changes
 */
function merge(options, changes) {
  /** @type {Record<string, any>} */
  const result = { ...options };
  for (const [name, value] of Object.entries(changes)) {
    const isPart = value !== null && typeof value === "object";
    result[name] = isPart ? { ...result[name], ...value } : value;
  }
  return /** @type {ConfigureFields} */ (result);
}
