/** @import { Nabra } from "../nabra.js" */
/** @import { ErrorMessage, NabraEvents, PlaybackPosition, TurnMetrics } from "../types" */
/** @import { FinishedTurn, TurnView } from "./turn-view.js" */
import { Emitter } from "../emitter.js";
import { announce } from "./announcer.js";
import { AutoScroll } from "./auto-scroll.js";
import { find } from "./elements.js";
import { hasText, onLanguageChange, translate } from "./language.js";
import { TurnList } from "./turn-list.js";

/** If so much less was played than sent, the turn was interrupted; less than that is rounding. */
const INTERRUPTED_MS = 150;

/**
 * The turns on the page, from the library's events.
 *
 * Emits "change" when something has changed that the status line shows, "turn" with a turn that is
 * over, and "select" with one whose report the user wants to see.
 *
 * @extends {Emitter<{change: undefined, turn: FinishedTurn, select: FinishedTurn}>}
 */
export class ConversationView extends Emitter {
  /** What the gateway is doing: a status code, or null. @type {string | null} */
  activity = null;
  #nabra;
  #turns = new TurnList((turn) => this.#onSelect(turn));
  /** The turn that the gateway works on. @type {TurnView | null} */
  #runningTurn = null;
  /** @type {TurnView | null} */
  #playingTurn = null;
  #scroll = new AutoScroll(find("conversation"));

  /** @param {Nabra} nabra */
  constructor(nabra) {
    super();
    this.#nabra = nabra;
    nabra.on("session", () => this.#turns.beginConnection());
    nabra.on("status", (event) => this.#onStatus(event));
    nabra.on("transcription", (event) => this.#onTranscription(event));
    nabra.on("token", (event) => this.#onToken(event));
    nabra.on("agent_response", (event) => this.#onResponse(event));
    nabra.on("sentence", (event) => this.#onSentence(event));
    nabra.on("playing", (position) => this.#onPlaying(position));
    nabra.on("idle", (position) => this.#onIdle(position));
    nabra.on("interrupted", (event) => this.#onInterrupted(event));
    nabra.on("done", (event) => this.#onDone(event));
    nabra.on("error", (event) => this.#onError(event));
    nabra.on("speech_started", () => this.addPending(null));
    nabra.on("speech_stopped", () => this.finishPending());
    nabra.on("state", ({ state }) => state === "open" || this.#onLost());
    onLanguageChange(() => this.#turns.render());
  }

  /** Whether there is something to interrupt. */
  get isBusy() {
    return this.#runningTurn !== null || this.#playingTurn !== null;
  }

  /** Whether an utterance is being spoken. */
  get isUserSpeaking() {
    return this.#turns.lastPending?.userStoppedAt === null;
  }

  /** Whether the gateway has yet to take up an utterance. */
  get isWaiting() {
    return this.#turns.lastPending !== null && !this.isUserSpeaking;
  }

  /**
   * Show an utterance before the gateway knows of it.
   *
   * @param {string | null} userText null while it is spoken
   */
  addPending(userText) {
    if (!this.isUserSpeaking) this.#turns.addPending(userText);
    else if (userText !== null) this.#turns.lastPending?.setUserText(userText);
    this.#scroll.enable();
    this.#follow();
    this.emit("change", undefined);
  }

  /** Note that the user has finished the utterance: latency counts from here. */
  finishPending() {
    if (this.#turns.lastPending === null) return;
    this.#turns.lastPending.userStoppedAt = performance.now();
    this.emit("change", undefined);
  }

  /** Remove an utterance that is not sent. */
  removePending() {
    if (this.#turns.removePending()) this.emit("change", undefined);
  }

  /** @param {TurnView} turn */
  #onSelect(turn) {
    if (isFinished(turn)) this.emit("select", turn);
  }

  /** Return a turn of this connection; begin it if it is new. @param {number} number */
  #turn(number) {
    const known = this.#turns.find(number);
    if (known !== undefined) return known;
    this.#runningTurn = this.#turns.begin(number);
    return this.#runningTurn;
  }

  /** @param {NabraEvents["status"]} event */
  #onStatus({ code, turn }) {
    if (turn === undefined) return;
    this.#turn(turn);
    this.#setActivity(code);
  }

  /** @param {NabraEvents["transcription"]} event */
  #onTranscription({ turn, text }) {
    this.#turn(turn).setUserText(text);
    this.#follow();
    announce(`${translate("you")} ${text}`);
  }

  /** @param {NabraEvents["token"]} event */
  #onToken({ turn, content }) {
    this.#turn(turn).appendToken(content);
    this.#follow();
  }

  /** @param {NabraEvents["agent_response"]} event */
  #onResponse({ turn: number, text }) {
    const turn = this.#turn(number);
    if (turn.response.text === "") turn.appendToken(text);
    if (this.#nabra.output === null) announce(`${translate("agent")} ${text}`); // it is not spoken
  }

  /** @param {NabraEvents["sentence"]} event */
  #onSentence({ turn, index, text }) {
    this.#turn(turn).response.addSentence(index, text);
    this.#follow();
  }

  /** @param {PlaybackPosition} position */
  #onPlaying({ connection, turn: number, index }) {
    const turn = this.#turns.find(number, connection);
    if (turn === undefined || turn.response.isInterrupted) return;
    if (turn.firstPlayedAt === null) {
      const context = /** @type {AudioContext | undefined} */ (this.#nabra.output?.context);
      turn.firstPlayedAt = performance.now() + (context?.outputLatency ?? 0) * 1000;
      this.#report(turn);
    }
    this.#playingTurn = turn;
    turn.response.setSpeaking(index);
    this.#follow();
    this.#setActivity("speaking");
  }

  /** @param {PlaybackPosition} position */
  #onIdle({ connection, turn: number, playedMs }) {
    const turn = this.#turns.find(number, connection);
    if (turn !== undefined) {
      if (this.#playingTurn === turn) this.#playingTurn = null;
      turn.response.setSpeaking(-1);
      if (turn.metrics !== null) this.#markUnplayed(turn, turn.metrics, playedMs);
    }
    this.#setActivity(this.activity === "speaking" ? null : this.activity);
    this.#follow();
  }

  /**
   * Show that a turn was interrupted after the gateway had sent all of it: then the gateway, which
   * had nothing left to interrupt, sends no "interrupted".
   *
   * @param {TurnView} turn @param {TurnMetrics} metrics @param {number} playedMs
   */
  #markUnplayed(turn, metrics, playedMs) {
    if (turn.response.isInterrupted) return;
    const sentenceMs = metrics.sentences.map((sentence) => sentence.audio_ms);
    const sentMs = sentenceMs.reduce((sum, ms) => sum + ms, 0);
    if (sentMs - playedMs <= INTERRUPTED_MS) return;
    if (turn.response.markInterruptedAt(playedMs, sentenceMs)) this.#setInterrupted(turn);
  }

  /** @param {NabraEvents["interrupted"]} event */
  #onInterrupted({ turn: number, heard_text: playedText, metrics }) {
    const turn = this.#turn(number);
    if (this.#runningTurn === turn) this.#runningTurn = null;
    if (this.#playingTurn === turn) this.#playingTurn = null;
    if (turn.isEmpty) {
      this.#turns.remove(turn);
    } else if (turn.response.markInterrupted(playedText) || turn.metrics === null) {
      this.#setInterrupted(turn);
      turn.isIncomplete = turn.metrics === null;
      turn.metrics ??= metrics ?? null;
      this.#report(turn);
    }
    this.#setActivity(null);
  }

  /** @param {TurnView} turn */
  #setInterrupted(turn) {
    turn.hidePending();
    turn.setInterrupted();
    announce(translate("interrupted"));
  }

  /** @param {NabraEvents["done"]} event */
  #onDone({ turn: number, metrics }) {
    const turn = this.#turn(number);
    turn.finish(metrics);
    turn.hidePending();
    if (this.#runningTurn === turn) this.#runningTurn = null;
    this.#report(turn);
    this.#setActivity(this.#playingTurn === null ? null : "speaking");
    this.#follow();
  }

  /** Show and report the metrics of a turn, if they have come. @param {TurnView} turn */
  #report(turn) {
    if (!isFinished(turn)) return;
    turn.render();
    this.emit("turn", turn);
  }

  /** @param {ErrorMessage} error */
  #onError({ turn, message, code, in_reply_to: cause }) {
    if (turn === undefined) {
      if (cause === undefined) this.#onRefused(message);
      return;
    }
    const advice = hasText(`advice-${code}`) ? ` ${translate(`advice-${code}`)}` : "";
    this.#turn(turn).addError(message + advice);
    this.#follow();
    announce(message + advice);
  }

  /** The gateway has refused the oldest pending utterance. @param {string} message */
  #onRefused(message) {
    for (const turn of this.#turns.takePending(1)) {
      turn.addError(message);
      turn.hidePending();
      announce(message);
    }
  }

  #onLost() {
    for (const turn of this.#turns.takePending()) {
      turn.addError(translate("cut-off"));
      turn.hidePending();
    }
    this.#runningTurn?.abort(translate("cut-off"));
    this.#runningTurn = null;
    this.#setActivity(null);
  }

  /** @param {string | null} activity */
  #setActivity(activity) {
    this.activity = activity;
    this.emit("change", undefined);
  }

  #follow() {
    this.#scroll.follow(this.#playingTurn?.response.speakingElement ?? null);
  }
}

/**
 * @param {TurnView} turn
 * @returns {turn is FinishedTurn}
 */
function isFinished(turn) {
  return turn.metrics !== null;
}
