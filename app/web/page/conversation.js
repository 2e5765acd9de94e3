/** The conversation on the screen, from the library's events. */

import { announce } from "./announcer.js";
import { find } from "./elements.js";
import { hasWords, whenLanguageChanges, words } from "./language.js";
import { TurnView } from "./turn.js";

/** Played so much less than was sent: it was cut, not rounded. */
const CUT_MS = 150;

/** So near to the end one reads the newest; and so long a scroll is our own doing. */
const NEAR_PX = 80;
const OWN_SCROLL_MS = 150;

/**
 * @fires change something that the status line shows; turn a turn is over, `{turn}`;
 *   select somebody wants to see what happened in a turn, `{turn}`
 */
export class Conversation extends EventTarget {
  /** What the gateway does at the moment: a status code, or null. */
  activity = null;
  #nabra;
  #turns = [];
  #byNumber = new Map();
  /** Turns count from 1 on each connection, and sound outlives the one that it came by. */
  #connection = 0;
  /** What the user has said or says now, and the gateway has not taken up yet, in its order. */
  #expected = [];
  #running = null;
  #sounding = null;
  #follows = true;
  #scrolledAt = 0;

  constructor(nabra) {
    super();
    this.#nabra = nabra;
    const on = (type, handle) => nabra.addEventListener(type, ({ detail }) => handle(detail));
    on("session", () => this.#connection++);
    on("status", (event) => this.#status(event));
    on("transcription", (event) => this.#transcribed(event));
    on("token", ({ turn, content }) => this.#change(turn, (view) => view.write(content)));
    on("agent_response", ({ turn, text }) => this.#answered(turn, text));
    on("sentence", (event) => this.#sentence(event));
    on("playing", (event) => this.#play(event));
    on("idle", (event) => this.#silent(event));
    on("interrupted", (event) => this.#interrupt(event));
    on("done", (event) => this.#done(event));
    on("error", (event) => this.#error(event));
    on("speech_started", () => this.expect(null));
    on("speech_stopped", () => this.finishSpeaking());
    on("state", ({ state }) => state === "open" || this.#lost());
    this.#followScrolling();
    whenLanguageChanges(() => this.#turns.forEach((view) => view.translate()));
  }

  /** Whether there is something to interrupt. */
  get isBusy() {
    return this.#running !== null || this.#sounding !== null;
  }

  get isSounding() {
    return this.#sounding !== null;
  }

  /** Whether the gateway hears the user speak, which it finds out by itself. */
  get isListening() {
    return this.#pending !== null && this.#pending.endedAt === null;
  }

  /** Whether the user waits for the gateway to take up what was said. */
  get isWaiting() {
    return this.#pending !== null && this.#pending.endedAt !== null;
  }

  get #pending() {
    return this.#expected.at(-1) ?? null;
  }

  /** Show what the user says, before the gateway knows: null while it is spoken. */
  expect(said) {
    if (this.#pending === null || this.isWaiting) this.#expected.push(this.#add(said));
    if (said !== null) this.#pending.hear(said);
    this.#follows = true;
    this.#follow();
    this.#tell("change");
  }

  /** The user has finished: from here on the time counts. */
  finishSpeaking() {
    if (this.#pending === null) return;
    this.#pending.endedAt = performance.now();
    this.#tell("change");
  }

  /** What was to be said is not said. */
  withdraw() {
    if (this.#pending === null) return;
    this.#remove(this.#expected.pop());
    this.#tell("change");
  }

  #remove(view) {
    view.element.remove();
    this.#turns = this.#turns.filter((each) => each !== view);
  }

  #add(said) {
    const view = new TurnView(said, (turn) => this.#tell("select", { turn }));
    this.#turns.push(view);
    find("turns").append(view.element);
    find("welcome").hidden = true;
    return view;
  }

  /** The view of a turn; a new one takes what the user has just said. */
  #view(number) {
    let view = this.#find(number);
    if (view === undefined) {
      view = this.#expected.shift() ?? this.#add("");
      this.#byNumber.set(`${this.#connection}.${number}`, view);
      this.#running = view;
    }
    return view;
  }

  #find(number, connection = this.#connection) {
    return this.#byNumber.get(`${connection}.${number}`);
  }

  #change(number, change) {
    change(this.#view(number));
    this.#follow();
  }

  #status({ code, turn }) {
    if (turn === undefined) return;
    this.#view(turn);
    this.#become(code);
  }

  #transcribed({ turn, text }) {
    this.#change(turn, (view) => view.hear(text));
    announce(`${words("you")} ${text}`);
  }

  #answered(turn, text) {
    const view = this.#view(turn);
    if (view.answer.text === "") view.write(text);
    if (this.#nabra.output === null) announce(`${words("agent")} ${text}`); // nobody hears it
  }

  #sentence({ turn, index, text }) {
    this.#change(turn, (view) => view.answer.addSentence(index, text));
  }

  #play({ connection, turn, index }) {
    const view = this.#find(turn, connection);
    if (view === undefined || view.answer.isCut) return;
    if (view.heardAt === null) {
      view.heardAt = performance.now() + (this.#nabra.output?.context.outputLatency ?? 0) * 1000;
      if (view.metrics !== null) this.#over(view);
    }
    this.#sounding = view;
    view.answer.speak(index);
    this.#follow();
    this.#become("speaking");
  }

  #silent({ connection, turn, playedMs }) {
    const view = this.#find(turn, connection);
    if (this.#sounding === view) this.#sounding = null;
    view?.answer.speak(-1);
    if (view?.metrics && !view.answer.isCut) {
      // The gateway had sent all before the user broke in, so it had nothing left to interrupt.
      const lengthsMs = view.metrics.sentences.map((sentence) => sentence.audio_ms);
      if (lengthsMs.reduce((sum, ms) => sum + ms, 0) - playedMs > CUT_MS) {
        if (view.answer.cutAfter(playedMs, lengthsMs)) this.#cut(view);
      }
    }
    this.#become(this.activity === "speaking" ? null : this.activity);
    this.#follow();
  }

  #interrupt({ turn, heard_text: heardText, metrics }) {
    const view = this.#view(turn);
    if (this.#running === view) this.#running = null;
    if (this.#sounding === view) this.#sounding = null;
    if (view.isEmpty) {
      this.#remove(view);
    } else if (view.answer.cut(heardText) || view.metrics === null) {
      this.#cut(view);
      view.isCutShort = view.metrics === null;
      view.metrics ??= metrics ?? null; // an older gateway tells none
      if (view.metrics !== null) this.#over(view);
    }
    this.#become(null);
  }

  #cut(view) {
    view.forget();
    view.interrupted();
    announce(words("interrupted"));
  }

  #done({ turn, metrics }) {
    const view = this.#view(turn);
    view.done(metrics);
    view.forget();
    if (this.#running === view) this.#running = null;
    this.#over(view);
    this.#become(this.isSounding ? "speaking" : null);
    this.#follow();
  }

  #over(view) {
    view.translate();
    this.#tell("turn", { turn: view });
  }

  #error({ turn, message, code, in_reply_to: cause }) {
    if (turn === undefined) {
      if (cause === undefined) this.#refused(message);
      return;
    }
    const advice = hasWords(`advice-${code}`) ? ` ${words(`advice-${code}`)}` : "";
    this.#change(turn, (view) => view.fail(message + advice));
    announce(message + advice);
  }

  #refused(message) {
    const refused = this.#expected.shift();
    if (refused === undefined) return;
    refused.fail(message);
    refused.forget();
    announce(message);
  }

  #lost() {
    for (const view of this.#expected.splice(0)) {
      view.fail(words("cut-off"));
      view.forget();
    }
    this.#running?.abandon(words("cut-off"));
    this.#running = null;
    this.#become(null);
  }

  #become(activity) {
    this.activity = activity;
    this.#tell("change");
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Keep what is spoken, or else the newest, in sight, unless the user has scrolled away from it. */
  #followScrolling() {
    const box = find("conversation");
    box.addEventListener("scroll", () => {
      if (performance.now() - this.#scrolledAt < OWN_SCROLL_MS) return;
      this.#follows = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
    }, { passive: true });
  }

  #follow() {
    if (!this.#follows) return;
    this.#scrolledAt = performance.now();
    const spoken = this.#sounding?.answer.spokenElement;
    const box = find("conversation");
    box.scrollTop = box.scrollHeight;
    spoken?.scrollIntoView({ block: "nearest" });
  }
}
