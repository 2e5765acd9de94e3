/**
 * @typedef {object} Options what `configure` takes, as docs/protocol.md has it
 * @property {"ar" | "en"} [language]
 * @property {{encoding?: "pcm_s16le" | "mulaw", sample_rate?: number,
 *   framing?: "base64" | "binary"}} [output] default framing here: `binary`
 * @property {"none" | "server_vad"} [turn_detection]
 * @property {{speaker?: string, dialect?: string}} [voice]
 * @property {string} [transport] where the gateway lets clients choose
 */

/** What the microphone's worklet makes. */
const MICROPHONE = { encoding: "pcm_s16le", sample_rate: 16000 };

/** Our own choice: a third less to carry than base64. */
const OURS = { output: { framing: "binary" } };

/**
 * What is configured: on each connection anew, and on any of them changed.
 *
 * The server answers in order: `configured`, which has no id, belongs to the oldest request, and an
 * `error` names its own.
 */
export class Configuration {
  #send;
  #options;
  #requests = [];
  #count = 0;

  /** @param {Options} options @param {(message: object) => boolean} send */
  constructor(options, send) {
    this.#options = merged(OURS, options);
    this.#send = send;
  }

  /** Ask for changes, now or when there is a connection. Resolves with `configured`. */
  change(changes) {
    return new Promise((resolve, reject) => {
      const request = { id: `configure-${++this.#count}`, changes, resolve, reject };
      this.#requests.push(request);
      this.#ask(request);
    });
  }

  /** Let the server forget what was streamed: it does so when the input is named again. */
  forgetInput() {
    this.change({ input: MICROPHONE }).catch(() => {}); // told by "error" as well
  }

  /** Tell a new connection everything. */
  begin() {
    // The input by itself: the microphone works even where the rest is refused.
    this.#requests.unshift(
      { id: "configure-input", changes: { input: MICROPHONE } },
      { id: "configure-options", changes: this.#options },
    );
    for (const request of this.#requests) this.#ask(request);
  }

  /** Keep for the next connection what somebody still waits for. */
  end() {
    this.#requests = this.#requests.filter((request) => request.resolve);
  }

  configured(message) {
    const { changes, resolve } = this.#requests.shift();
    if (!resolve) return;
    this.#options = merged(this.#options, changes);
    resolve(message);
  }

  refused(error) {
    const at = this.#requests.findIndex((request) => request.id === error.in_reply_to);
    if (at >= 0) this.#requests.splice(at, 1)[0].reject?.(error);
  }

  #ask({ id, changes }) {
    this.#send({ type: "configure", id, ...changes });
  }
}

/** The options with changes to the fields of each part. */
function merged(options, changes) {
  const result = { ...options };
  for (const [name, value] of Object.entries(changes)) {
    const isPart = value !== null && typeof value === "object";
    result[name] = isPart ? { ...options[name], ...value } : value;
  }
  return result;
}
