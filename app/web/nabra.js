/** @import { TokenSource } from "./handshake.js" */
/** @import { ConnectionState, ConfiguredMessage, MicrophoneFrame, NabraEvents, Options,
 *    PlaybackPosition, ProblemDetail, ServerMessage, StateChange } from "./types" */
import { ClientConfiguration } from "./configuration.js";
import { GatewayConnection } from "./connection.js";
import { Emitter } from "./emitter.js";
import { Handshake } from "./handshake.js";
import { Microphone } from "./microphone.js";
import { toBase64 } from "./pcm.js";
import { PlaybackReporter, REPORT_ID } from "./playback-reporter.js";
import { NabraProblem } from "./problem.js";
import { ResponseAudio } from "./response-audio.js";
import { Speaker } from "./speaker.js";

export { NabraProblem };

/** 4 s of microphone audio may wait for a slow network; beyond that, frames are dropped. */
const MAX_BUFFERED_BYTES = 128 * 1024;

/** The gateway that this library comes from, under whatever path it is served. */
const ENDPOINT = new URL("ws/agent/", import.meta.url);

/**
 * A conversation with a Nabra gateway: connects, listens, plays, and stops when interrupted.
 *
 *     const nabra = new Nabra();
 *     nabra.addEventListener("transcription", ({ detail }) => show(detail.text));
 *     await nabra.connect();
 *     button.onpointerdown = () => nabra.startMicrophone();
 *     button.onpointerup = () => nabra.stopMicrophone();
 *
 * Every message of the gateway is a CustomEvent of its `type`, whose `detail` is the message; all
 * of them also come, in order, as "message". Further events:
 *
 * - "state" `{state, reason, retryInMs}`
 * - "level" `{input, output}`, 0 to 1, 20 to 30 times a second while there is audio
 * - "playing" `{turn, index, playedMs}`: this sentence begins to sound
 * - "idle" `{turn, playedMs}`: all of the turn has been played, or dropped
 * - "problem" `{code, message, recoverable}`: something went wrong by itself. A method that fails
 *   throws a `NabraProblem` instead, which has the same fields. Of a refused handshake both have
 *   the gateway's HTTP `status`, its code as `gatewayCode`, and `retryAfterMs`.
 *
 * After a loss it reconnects, with the same session id and configuration, for as long as it takes.
 * Each connection counts turns from 1. Microphone audio is dropped while there is no connection,
 * and so is what was streamed before the loss but not ended.
 *
 * @extends {Emitter<NabraEvents>}
 */
export class Nabra extends Emitter {
  /** Level of the microphone, 0 to 1. */
  level = 0;
  /** Level of the response, 0 to 1. */
  outputLevel = 0;
  #handshake;
  #connection;
  #configuration;
  #speaker = new Speaker();
  #microphone = new Microphone();
  #audio = new ResponseAudio(this.#speaker, () =>
    this.#reportProblem(new NabraProblem("audio-locked", "unlock() has not been called")));
  #reporter = new PlaybackReporter((message) => this.#send(message));
  #connections = 0;
  /** Frames of the utterance that is being streamed. */
  #streamedFrames = 0;

  /**
   * @param {object} [settings]
   * @param {string | URL} [settings.url] endpoint without session id; default: ws/agent/ beside
   *   this file
   * @param {string} [settings.sessionId] default: a new one, or the token's
   * @param {string | TokenSource} [settings.token] where the gateway needs one: a token, or an
   *   async function that returns one for a session id; it is called before each connection
   * @param {Options} [settings.options]
   */
  constructor({ url = ENDPOINT, sessionId, token, options = {} } = {}) {
    super();
    this.#configuration = new ClientConfiguration(options, (message) => this.#send(message));
    const endpoint = new URL(url, globalThis.location?.href);
    this.#handshake = new Handshake(endpoint, { sessionId, token });
    this.#connection = new GatewayConnection(this.#handshake);
    this.#connection.on("state", (change) => this.#onState(change));
    this.#connection.on("problem", (problem) => this.#reportProblem(problem));
    this.#connection.on("message", (data) => this.#onData(data));
    this.#speaker.on("playing", (position) => this.emit("playing", position));
    this.#speaker.on("tick", (position) => this.#onTick(position));
    this.#speaker.on("idle", (position) => this.#onIdle(position));
    this.#speaker.on("locked", () => this.#reportProblem(new NabraProblem("audio-locked")));
    this.#microphone.on("frame", (frame) => this.#onFrame(frame));
    this.#microphone.on("lost", (problem) => {
      this.#endUtterance(false);
      this.#reportProblem(problem);
    });
  }

  /** Identifies the agent's memory: a page that stores it can continue the conversation later. */
  get sessionId() {
    return this.#handshake.sessionId;
  }

  /** @returns {ConnectionState} */
  get state() {
    return this.#connection.state;
  }

  /** Whether the microphone is on, or about to be. */
  get listening() {
    return this.#microphone.isOn;
  }

  /** The node that carries what is played; null before `unlock`. @returns {AudioNode | null} */
  get output() {
    return this.#speaker.output;
  }

  /** Connect; resolves when the gateway has greeted, rejects when it refuses or on `close`. */
  connect() {
    this.#speaker.resume();
    return this.#connection.open();
  }

  /** End the connection, the microphone and the sound. `connect` starts again. */
  close() {
    this.#silence();
    this.#connection.close();
    this.#speaker.suspend();
  }

  /**
   * Change the configuration, now and for all connections to come.
   *
   * @param {Options} changes fields left out stay as they are
   * @returns {Promise<ConfiguredMessage>} rejects with the gateway's `error`; nothing changes then
   */
  configure(changes) {
    return this.#configuration.change(changes);
  }

  /** Start the audio. Call it in a user's gesture, because browsers allow it only there. */
  async unlock() {
    await this.#speaker.unlock();
  }

  /**
   * Turn the microphone on and stream it. The browser may ask the user; call it in a gesture.
   *
   * With `turn_detection: "server_vad"` the gateway finds where utterances begin and end; without
   * it, `stopMicrophone` ends the utterance.
   */
  async startMicrophone() {
    await this.#microphone.start(() => this.#speaker.unlock());
  }

  /**
   * Turn the microphone off.
   *
   * @param {{send?: boolean}} [how] `send: false` discards what was streamed
   * @returns {Promise<boolean>} whether there was anything to send or to discard
   */
  async stopMicrophone({ send = true } = {}) {
    if (!this.listening) return false;
    await this.#microphone.stop();
    return this.#endUtterance(send);
  }

  /**
   * Send a typed utterance, and stop the current response.
   *
   * @param {string} text
   * @returns {boolean} whether it was sent: without a connection it is not
   */
  say(text) {
    return this.#sendUtterance({ type: "text", text });
  }

  /**
   * Send a recorded utterance: WAV, WebM, Ogg, MP3 or M4A.
   *
   * @param {Blob | BufferSource} recording
   */
  async sendRecording(recording) {
    const body = new Response(/** @type {BodyInit} */ (recording));
    const bytes = new Uint8Array(await body.arrayBuffer());
    return this.#sendUtterance({ type: "audio", audio_base64: toBase64(bytes) });
  }

  /** Stop the response: its sound at once, the gateway's work as soon as it is told. */
  interrupt() {
    this.#silence();
    return this.#send({ type: "interrupt" });
  }

  /** @param {object} message */
  #sendUtterance(message) {
    if (this.state !== "open") return false;
    this.#silence();
    return this.#send(message);
  }

  /** @param {object} message */
  #send(message) {
    return this.#connection.send(JSON.stringify(message));
  }

  /** @param {boolean} send */
  #endUtterance(send) {
    this.level = 0;
    this.#emitLevel();
    const isStreamed = this.#streamedFrames > 0 && this.state === "open";
    this.#streamedFrames = 0;
    if (isStreamed && send) this.#send({ type: "audio_end" });
    else if (isStreamed) this.#configuration.discardInput();
    return isStreamed;
  }

  /** @param {MicrophoneFrame} frame */
  #onFrame({ audio, level }) {
    this.level = level;
    this.#emitLevel();
    const isSent = this.#connection.send(audio, { maxBuffered: MAX_BUFFERED_BYTES });
    if (isSent) this.#streamedFrames++;
  }

  /** @param {StateChange} change */
  #onState(change) {
    if (change.state === "open") {
      this.#connections++;
      this.#streamedFrames = 0;
      this.#audio.reset(this.#connections);
      this.#reporter.reset(this.#connections);
      this.#configuration.onConnected();
    } else if (change.state !== "connecting") {
      this.#speaker.end(); // what has arrived is played; no more will come
      this.#configuration.onDisconnected();
      if (change.state === "closed") this.#microphone.stop();
    }
    this.emit("state", change);
  }

  /** @param {string | ArrayBuffer} data */
  #onData(data) {
    if (typeof data === "string") this.#onMessage(JSON.parse(data));
    else this.#audio.play(new Uint8Array(data));
  }

  /** @param {ServerMessage} message */
  #onMessage(message) {
    if (message.type === "error" && message.in_reply_to === REPORT_ID) {
      this.#reporter.disable();
      return;
    }
    if (message.type === "session") this.#handshake.onGreeting(message.session_id);
    if (message.type === "status") this.#connection.onStatus(message);
    this.#audio.onMessage(message);
    if (message.type === "configured") this.#configuration.onConfigured(message);
    if (message.type === "error") this.#configuration.onError(message);
    this.emit("message", message);
    this.emit(message.type, message);
  }

  #silence() {
    this.#reporter.reportNow(); // before the message that ends the turn
    this.#audio.interrupt();
  }

  /** @param {PlaybackPosition & {level: number}} position */
  #onTick(position) {
    this.outputLevel = position.level;
    this.#reporter.update(position);
    this.#emitLevel();
  }

  /** @param {PlaybackPosition} position */
  #onIdle(position) {
    this.outputLevel = 0;
    this.#reporter.finish(position);
    this.#emitLevel();
    this.emit("idle", position);
  }

  #emitLevel() {
    this.emit("level", { input: this.level, output: this.outputLevel });
  }

  /** @param {ProblemDetail} problem */
  #reportProblem({ code, message, recoverable, status, gatewayCode, retryAfterMs }) {
    this.emit("problem", { code, message, recoverable, status, gatewayCode, retryAfterMs });
  }
}
