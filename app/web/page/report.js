/** "What happened": a turn's waterfall, what failed in it, and the spread over all turns. */

import { find, icon, make } from "./elements.js";
import { hasWords, learn, number, seconds, whenLanguageChanges, words } from "./language.js";
import { firstSounds, percentile, wholeness } from "./statistics.js";
import { endOf, outcomeOf, waterfall } from "./waterfall.js";
import { REPORT_WORDS } from "./words-report.js";

learn(REPORT_WORDS);

export class Report {
  #turns = [];
  #selected = null;
  #width = 0;
  #root = find("report");

  constructor() {
    // A tab that is not shown has no width; one that is shown again may have another.
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width === 0 || contentRect.width === this.#width) return;
      this.#width = contentRect.width;
      this.#show();
    }).observe(this.#root);
    whenLanguageChanges(() => this.#show());
  }

  get turns() {
    return this.#turns;
  }

  /** Take a turn that is over; show it, if the newest was shown. */
  add(turn) {
    const followed = this.#selected === (this.#turns.at(-1) ?? null);
    if (!this.#turns.includes(turn)) this.#turns.push(turn);
    if (followed) this.#selected = turn;
    this.#show();
  }

  select(turn) {
    this.#selected = turn;
    this.#show();
  }

  #show() {
    const turn = this.#selected;
    if (turn === null) return;
    const isOpen = this.#root.querySelector("details")?.open ?? false;
    const focused = document.activeElement?.dataset.step;
    this.#root.replaceChildren(
      spread(this.#turns),
      this.#heading(turn),
      ...(this.#width > 0 ? [waterfall(turn, this.#width)] : []),
      key(),
      moments(turn),
      verdict(turn),
      table(turn, isOpen),
    );
    if (focused) this.#root.querySelector(`[data-step="${focused}"]`)?.focus();
  }

  #heading(turn) {
    const at = this.#turns.indexOf(turn);
    const step = (by, label) => make("button", {
      class: `quiet icon ${by < 0 ? "back" : ""}`,
      type: "button",
      "data-step": by,
      "aria-label": words(label),
      disabled: this.#turns[at + by] === undefined,
      onclick: () => this.select(this.#turns[at + by]),
    }, icon("next"));
    const title = words("turn-number", { number: number(at + 1) });
    const said = turn.said ? [": ", make("bdi", {}, turn.said)] : [];
    const heading = make("h3", {}, make("b", {}, title), ...said);
    return make("div", { class: "heading" }, heading, step(-1, "earlier"), step(1, "later"));
  }
}

function spread(turns) {
  const { heard, sent } = firstSounds(turns);
  const times = (values) => [0.5, 0.95].map((p) => timeOf(percentile(values, p)));
  const count = words("turns-counted", { count: number(turns.length) });
  return make(
    "table",
    { class: "spread" },
    make("caption", {}, make("b", {}, words("to-first-sound")), ` · ${count}`),
    head("", words("half"), words("most")),
    make("tbody", {}, row(words("as-heard"), ...times(heard)), row(words("as-sent"), ...times(sent))),
  );
}

function head(...titles) {
  const cell = (title) => make(title ? "th" : "td", { scope: title ? "col" : null }, title);
  return make("thead", {}, make("tr", {}, ...titles.map(cell)));
}

function row(title, ...values) {
  const cells = values.map((value) => make("td", {}, value));
  return make("tr", {}, make("th", { scope: "row" }, title), ...cells);
}

const timeOf = (ms) => (ms === null ? "–" : seconds(ms));

function key() {
  const kinds = ["wait", "work", "heard", "fault", "unused"];
  const entry = (kind) => make("li", {}, make("i", { class: `swatch ${kind}` }), words(`key-${kind}`));
  return make("ul", { class: "key", "aria-hidden": "true" }, ...kinds.map(entry));
}

function moments(turn) {
  const { first_sentence_ms: sentence, first_audio_ms: sent } = turn.metrics;
  const entry = ([name, ms]) => {
    const line = make("i", { class: `swatch mark ${name}` });
    return make("div", {}, make("dt", {}, line, words(`mark-${name}`)), make("dd", {}, timeOf(ms)));
  };
  const all = Object.entries({ sentence, sent, heard: turn.heardMs });
  return make("dl", { class: "moments" }, ...all.map(entry));
}

/** Say in words how it ended, and what failed on the way. */
function verdict(turn) {
  const { count, missing, faults } = wholeness([turn]);
  if (count === 0) return make("p", { class: "verdict" });
  const whole = faults ? "whole-repaired" : "all-whole";
  const kind = turn.isCutShort ? "cut-short" : missing ? "not-whole" : whole;
  const values = { count: number(count), missing: number(missing), faults: number(faults) };
  const failed = failures(turn).map((text) => make("li", {}, text));
  const list = faults ? [make("ul", { "aria-label": words("fault-list") }, ...failed)] : [];
  return make("div", { class: `verdict ${kind}` }, make("p", {}, words(kind, values)), ...list);
}

/** A line for each failure; those that are alike share one. */
function failures({ metrics }) {
  const counts = new Map();
  for (const { index, attempt_log: attempts } of metrics.sentences) {
    for (const attempt of attempts.filter(({ fault }) => fault !== null)) {
      const fault = faultText(attempt.fault);
      const text = words("fault-in", { number: number(index + 1), transport: way(attempt), fault });
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  }
  return Array.from(counts, ([text, count]) => (count > 1 ? `${text} ×${number(count)}` : text));
}

function faultText(code) {
  return hasWords(`fault-${code}`) ? words(`fault-${code}`) : code;
}

function way({ transport, connection }) {
  const name = hasWords(`by-${transport}`) ? words(`by-${transport}`) : transport;
  return connection === "new" ? `${name} (${words("new-connection")})` : name;
}

function table(turn, open) {
  const { metrics } = turn;
  const { stt_ms: stt, agent_first_token_ms: first, agent_done_ms: done } = metrics;
  const pause = metrics.endpointing_ms ?? null;
  const rows = [
    [words("row-pause"), pause === null ? null : 0, pause, ""],
    [words("row-stt"), stt === null ? null : (pause ?? 0), stt, ""],
    [words("agent-thinks"), stt ?? 0, first, ""],
    [words("agent-writes"), first, done, ""],
    ...metrics.sentences.flatMap((sentence) => attemptRows(sentence, metrics)),
    [words("turn"), 0, metrics.total_ms, ""],
  ].filter(([, from, to]) => from !== null && to !== null);
  const titles = ["what", "from", "until", "outcome"].map((name) => words(name));
  const body = rows.map(([what, from, to, outcome]) => row(what, seconds(from), seconds(to), outcome));
  const all = make("table", {}, head(...titles), make("tbody", {}, ...body));
  const box = make("div", { class: "scrolls", tabindex: 0 }, all);
  return make("details", { open }, make("summary", {}, words("as-table")), box);
}

function attemptRows({ index, attempt_log: attempts }, metrics) {
  return attempts.map((attempt, at) => {
    const names = { number: number(index + 1), attempt: number(at + 1), transport: way(attempt) };
    return [words("attempt", names), attempt.started_ms, endOf(attempt, metrics), outcomeText(attempt)];
  });
}

function outcomeText(attempt) {
  switch (outcomeOf(attempt)) {
    case "fault":
      return faultText(attempt.fault);
    case "heard":
      return words("attempt-heard", { time: timeOf(attempt.ttfb_ms) });
    default:
      return words("attempt-unused");
  }
}
