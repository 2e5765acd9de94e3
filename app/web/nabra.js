import { Configuration } from "./configuration.js";
import { Connection, endpoint, randomId } from "./connection.js";
import { Microphone } from "./microphone.js";
import { decode, fromBase64, toBase64 } from "./pcm.js";
import { NabraProblem } from "./problem.js";
import { REPORT_ID, Reports } from "./reports.js";
import { Speaker } from "./speaker.js";

export { NabraProblem };

/** What the network may be behind by, 4 s of microphone; beyond it frames are dropped. */
const MAX_BEHIND_BYTES = 128 * 1024;

/**
 * A conversation with a Nabra gateway: connects, listens, plays, and stops when interrupted.
 *
 *     const nabra = new Nabra();
 *     nabra.addEventListener("transcription", ({ detail }) => show(detail.text));
 *     await nabra.connect();
 *     button.onpointerdown = () => nabra.startMicrophone();
 *     button.onpointerup = () => nabra.stopMicrophone();
 *
 * Every event of the server is a CustomEvent of its `type`, whose `detail` is the message; all of
 * them, in their order, come as "message" too. Besides there are
 *
 * - "state" `{state, reason, retryInMs}`
 * - "level" `{input, output}`, 0 to 1, 20 to 30 times a second while there is something
 * - "playing" `{turn, index, playedMs}`: this sentence begins to sound now
 * - "idle" `{turn, playedMs}`: all of the turn has been played, or dropped
 * - "problem" `{code, message, recoverable}`: of what happens by itself. What goes wrong in a
 *   method is thrown by it instead, as a `NabraProblem`, which has the same fields.
 *
 * After a loss it connects again, with the same session id and configuration, for as long as it
 * takes. Turns are counted anew by each connection. What the microphone hears meanwhile is dropped,
 * and so is what was streamed but not yet ended.
 */
export class Nabra extends EventTarget {
  /** Keeps the agent's memory; a page that stores it may go on with the conversation later. */
  sessionId;
  /** How loud the microphone and the answer are, 0 to 1. */
  level = 0;
  outputLevel = 0;
  #connection;
  #speaker = new Speaker();
  #microphone = new Microphone();
  #configuration;
  #reports = new Reports((message) => this.#send(message));
  #connections = 0;
  #turn = 0;
  #silenced = 0;
  #audio = null;
  #lockTold = 0;
  #streamed = 0;

  /**
   * @param {object} [how]
   * @param {string | URL} [how.url] the endpoint without the id; default: /ws/agent/ of this origin
   * @param {string} [how.sessionId] default: a new one
   * @param {import("./configuration.js").Options} [how.options]
   */
  constructor({ url = "/ws/agent/", sessionId = randomId(), options = {} } = {}) {
    super();
    this.sessionId = sessionId;
    this.#configuration = new Configuration(options, (message) => this.#send(message));
    this.#connection = new Connection(endpoint(url, sessionId));
    this.#on(this.#connection, "state", (detail) => this.#changed(detail));
    this.#on(this.#connection, "problem", (problem) => this.#problem(problem));
    this.#on(this.#connection, "message", (data) => this.#receive(data));
    this.#on(this.#speaker, "playing", (now) => this.#emit("playing", now));
    this.#on(this.#speaker, "tick", (now) => this.#ticked(now));
    this.#on(this.#speaker, "idle", (now) => this.#finished(now));
    this.#on(this.#speaker, "locked", () => this.#problem(new NabraProblem("audio-locked")));
    this.#on(this.#microphone, "frame", (frame) => this.#stream(frame));
    this.#on(this.#microphone, "lost", (problem) => {
      this.#endUtterance(false);
      this.#problem(problem);
    });
  }

  /** @returns {"closed" | "connecting" | "open" | "waiting"} */
  get state() {
    return this.#connection.state;
  }

  /** Whether the microphone is on, or about to be. */
  get listening() {
    return this.#microphone.isOn;
  }

  /** What is played, to listen in to; null before `unlock`. @returns {AudioNode | null} */
  get output() {
    return this.#speaker.output;
  }

  /** Connect; resolves when the server has greeted. Rejects only when it refuses, or by `close`. */
  connect() {
    this.#speaker.wake();
    return this.#connection.open();
  }

  /** End it all: connection, microphone and sound. `connect` begins anew. */
  close() {
    this.#silence();
    this.#connection.close();
    this.#speaker.rest();
  }

  /**
   * Change what was configured, now and for all connections to come.
   *
   * @param {import("./configuration.js").Options} changes what is left out stays as it is
   * @returns {Promise<object>} the server's `configured`; rejects with its `error`, and then all
   *   stays as it was
   */
  configure(changes) {
    return this.#configuration.change(changes);
  }

  /** Let the page sound. Call it in a user's gesture, or the browser will not have it. */
  async unlock() {
    await this.#speaker.unlock();
  }

  /**
   * Listen, and stream what is heard. The first time the user is asked; call it in a gesture.
   *
   * With `turn_detection: "server_vad"` the server finds where an utterance begins and ends; else
   * `stopMicrophone` ends it.
   */
  async startMicrophone() {
    await this.#microphone.start(async () => {
      await this.#speaker.unlock();
      return this.#speaker.context;
    });
  }

  /**
   * Turn the microphone off.
   *
   * @param {{send?: boolean}} [how] `send`: what was streamed is to be answered, else forgotten
   * @returns {Promise<boolean>} whether there was anything to send or to forget
   */
  async stopMicrophone({ send = true } = {}) {
    if (!this.listening) return false;
    await this.#microphone.stop();
    return this.#endUtterance(send);
  }

  /** Say it by text; tells whether there was a connection to send it by. */
  say(text) {
    return this.#begin({ type: "text", text });
  }

  /** Say it by a recording: WAV, WebM, Ogg, MP3 or M4A. @param {Blob | BufferSource} recording */
  async sendRecording(recording) {
    const bytes = new Uint8Array(await new Response(recording).arrayBuffer());
    return this.#begin({ type: "audio", audio_base64: toBase64(bytes) });
  }

  /** Stop the answer: its sound at once, its making as soon as the server is told. */
  interrupt() {
    this.#silence();
    return this.#send({ type: "interrupt" });
  }

  #begin(message) {
    if (this.state !== "open") return false;
    this.#silence();
    return this.#send(message);
  }

  #send(message) {
    return this.#connection.send(JSON.stringify(message));
  }

  #endUtterance(send) {
    this.level = 0;
    this.#emitLevel();
    const isAny = this.#streamed > 0 && this.state === "open";
    this.#streamed = 0;
    if (isAny && send) this.#send({ type: "audio_end" });
    else if (isAny) this.#configuration.forgetInput();
    return isAny;
  }

  #stream({ audio, level }) {
    this.level = level;
    this.#emitLevel();
    this.#streamed += Number(this.#connection.send(audio, { maxBuffered: MAX_BEHIND_BYTES }));
  }

  #changed(detail) {
    if (detail.state === "open") {
      this.#turn = this.#silenced = this.#lockTold = this.#streamed = 0;
      this.#audio = null;
      this.#reports.begin(++this.#connections);
      this.#configuration.begin();
    } else if (detail.state !== "connecting") {
      this.#speaker.end(); // what has come is played; more of it will not come
      this.#configuration.end();
      if (detail.state === "closed") this.#microphone.stop();
    }
    this.#emit("state", detail);
  }

  #receive(data) {
    if (typeof data !== "string") {
      this.#play(new Uint8Array(data));
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "error" && message.in_reply_to === REPORT_ID) {
      this.#reports.refused();
      return;
    }
    if (message.turn > this.#turn) {
      this.#turn = message.turn;
      this.#speaker.flush(); // an old turn's sound does not reach into this one
    }
    this.#follow(message);
    this.#emit("message", message);
    this.#emit(message.type, message);
  }

  #follow(message) {
    switch (message.type) {
      case "configured":
        this.#configuration.configured(message);
        break;
      case "error":
        this.#configuration.refused(message);
        break;
      case "tts_start": {
        const { turn, encoding, sample_rate: rate } = message;
        this.#audio = { turn, index: 0, encoding, rate };
        break;
      }
      case "sentence":
        this.#audio = { ...this.#audio, index: message.index };
        break;
      case "tts_chunk":
        this.#play(fromBase64(message.audio_base64));
        break;
      case "interrupted":
        this.#silenced = message.turn;
        this.#speaker.flush();
        break;
      case "done":
        this.#speaker.end();
        break;
    }
  }

  #play(bytes) {
    if (this.#audio === null || this.#audio.turn <= this.#silenced || bytes.length === 0) return;
    const { turn, index, rate, encoding } = this.#audio;
    if (this.#speaker.isOpen) {
      const of = { connection: this.#connections, turn, index, rate };
      this.#speaker.play(decode(bytes, encoding), of);
    } else if (this.#lockTold !== turn) {
      this.#lockTold = turn;
      this.#problem(new NabraProblem("audio-locked", "unlock() has not been called"));
    }
  }

  #silence() {
    this.#silenced = this.#turn;
    this.#reports.report(); // before what ends the turn
    this.#speaker.flush();
  }

  #ticked(now) {
    this.outputLevel = now.level;
    this.#reports.take(now);
    this.#emitLevel();
  }

  #finished(now) {
    this.outputLevel = 0;
    this.#reports.finish(now);
    this.#emitLevel();
    this.#emit("idle", now);
  }

  #emitLevel() {
    this.#emit("level", { input: this.level, output: this.outputLevel });
  }

  #problem({ code, message, recoverable }) {
    this.#emit("problem", { code, message, recoverable });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #on(target, type, handle) {
    target.addEventListener(type, ({ detail }) => handle(detail));
  }
}
