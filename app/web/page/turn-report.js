/** @import { Attempt, TurnMetrics } from "../types" */
/** @import { FinishedTurn } from "./turn-view.js" */
import { find, icon, make } from "./elements.js";
import {
  addTexts, formatNumber, formatSeconds, hasText, onLanguageChange, translate,
} from "./language.js";
import { countSentences, firstAudioTimes, percentile } from "./statistics.js";
import { REPORT_TEXTS } from "./texts-report.js";
import { endOf, outcomeOf, waterfall } from "./waterfall.js";

addTexts(REPORT_TEXTS);

/** "What happened": a turn's waterfall and failures, and the latency over all turns. */
export class TurnReport {
  /** @type {FinishedTurn[]} */
  #turns = [];
  /** @type {FinishedTurn | null} */
  #selected = null;
  #width = 0;
  #root = find("report");

  constructor() {
    // A hidden tab has no width, and one that is shown again may have another.
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width === 0 || contentRect.width === this.#width) return;
      this.#width = contentRect.width;
      this.#render();
    }).observe(this.#root);
    onLanguageChange(() => this.#render());
  }

  get turns() {
    return this.#turns;
  }

  /** Add a turn that is over; show it, if the newest was shown. @param {FinishedTurn} turn */
  add(turn) {
    const isNewestShown = this.#selected === (this.#turns.at(-1) ?? null);
    if (!this.#turns.includes(turn)) this.#turns.push(turn);
    if (isNewestShown) this.#selected = turn;
    this.#render();
  }

  /** @param {FinishedTurn} turn */
  select(turn) {
    this.#selected = turn;
    this.#render();
  }

  #render() {
    const turn = this.#selected;
    if (turn === null) return;
    const isTableOpen = this.#root.querySelector("details")?.open ?? false;
    const active = document.activeElement;
    const step = active instanceof HTMLElement ? active.dataset.step : undefined;
    this.#root.replaceChildren(
      latencyTable(this.#turns),
      this.#heading(turn),
      ...(this.#width > 0 ? [waterfall(turn, this.#width)] : []),
      legend(),
      moments(turn),
      verdict(turn),
      timesTable(turn.metrics, isTableOpen),
    );
    /** @type {HTMLElement | null} */
    const focused = step ? this.#root.querySelector(`[data-step="${step}"]`) : null;
    focused?.focus();
  }

  /** @param {FinishedTurn} turn */
  #heading(turn) {
    const index = this.#turns.indexOf(turn);
    const step = (/** @type {number} */ by, /** @type {string} */ label) => make("button", {
      class: `quiet icon ${by < 0 ? "back" : ""}`,
      type: "button",
      "data-step": by,
      "aria-label": translate(label),
      disabled: this.#turns[index + by] === undefined,
      onclick: () => this.select(this.#turns[index + by]),
    }, icon("next"));
    const title = translate("turn-number", { number: formatNumber(index + 1) });
    const userText = turn.userText ? [": ", make("bdi", {}, turn.userText)] : [];
    const heading = make("h3", {}, make("b", {}, title), ...userText);
    return make("div", { class: "heading" }, heading, step(-1, "earlier"), step(1, "later"));
  }
}

/** @param {FinishedTurn[]} turns */
function latencyTable(turns) {
  const { played, sent } = firstAudioTimes(turns);
  const times = (/** @type {number[]} */ values) =>
    [0.5, 0.95].map((p) => timeOf(percentile(values, p)));
  const count = translate("turns-counted", { count: formatNumber(turns.length) });
  return make(
    "table",
    { class: "spread" },
    make("caption", {}, make("b", {}, translate("to-first-sound")), ` · ${count}`),
    tableHead("", translate("half"), translate("most")),
    make(
      "tbody",
      {},
      tableRow(translate("as-played"), ...times(played)),
      tableRow(translate("as-sent"), ...times(sent)),
    ),
  );
}

/** @param {...string} titles */
function tableHead(...titles) {
  const cell = (/** @type {string} */ title) =>
    make(title ? "th" : "td", { scope: title ? "col" : null }, title);
  return make("thead", {}, make("tr", {}, ...titles.map(cell)));
}

/** @param {string} title @param {...string} values */
function tableRow(title, ...values) {
  const cells = values.map((value) => make("td", {}, value));
  return make("tr", {}, make("th", { scope: "row" }, title), ...cells);
}

/** @param {number | null} ms */
const timeOf = (ms) => (ms === null ? "–" : formatSeconds(ms));

function legend() {
  const entries = ["wait", "work", "selected", "fault", "unused"].map((kind) =>
    make("li", {}, make("i", { class: `swatch ${kind}` }), translate(`key-${kind}`)));
  return make("ul", { class: "key", "aria-hidden": "true" }, ...entries);
}

/** @param {FinishedTurn} turn */
function moments(turn) {
  const { first_sentence_ms: sentence, first_audio_ms: sent } = turn.metrics;
  const entries = Object.entries({ sentence, sent, played: turn.firstSoundMs });
  return make("dl", { class: "moments" }, ...entries.map(([name, ms]) => {
    const swatch = make("i", { class: `swatch mark ${name}` });
    const title = make("dt", {}, swatch, translate(`mark-${name}`));
    return make("div", {}, title, make("dd", {}, timeOf(ms)));
  }));
}

/** Say in words how the turn ended, and what failed. @param {FinishedTurn} turn */
function verdict(turn) {
  const { count, missing, faults } = countSentences([turn]);
  if (count === 0) return make("p", { class: "verdict" });
  const whole = faults ? "whole-repaired" : "all-whole";
  const kind = turn.isIncomplete ? "cut-short" : missing ? "not-whole" : whole;
  const values = {
    count: formatNumber(count),
    missing: formatNumber(missing),
    faults: formatNumber(faults),
  };
  const items = failures(turn.metrics).map((text) => make("li", {}, text));
  const list = faults ? [make("ul", { "aria-label": translate("fault-list") }, ...items)] : [];
  return make("div", { class: `verdict ${kind}` }, make("p", {}, translate(kind, values)), ...list);
}

/** Return a line for each failure; equal ones share a line. @param {TurnMetrics} metrics */
function failures({ sentences }) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { index, attempt_log: attempts } of sentences) {
    for (const attempt of attempts) {
      if (attempt.fault === null) continue;
      const text = translate("fault-in", {
        number: formatNumber(index + 1),
        transport: transportText(attempt),
        fault: faultText(attempt.fault),
      });
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  }
  return Array.from(counts, ([text, count]) =>
    count > 1 ? `${text} ×${formatNumber(count)}` : text);
}

/** @param {string} code */
function faultText(code) {
  return hasText(`fault-${code}`) ? translate(`fault-${code}`) : code;
}

/** @param {Attempt} attempt */
function transportText({ transport, connection }) {
  const name = hasText(`by-${transport}`) ? translate(`by-${transport}`) : transport;
  return connection === "new" ? `${name} (${translate("new-connection")})` : name;
}

/** @typedef {[what: string, from: number | null, to: number | null, outcome: string]} TimesRow */

/** @param {TurnMetrics} metrics @param {boolean} isOpen */
function timesTable(metrics, isOpen) {
  const { stt_ms: stt, agent_first_token_ms: first, agent_done_ms: done } = metrics;
  const pause = metrics.endpointing_ms ?? null;
  /** @type {TimesRow[]} */
  const rows = [
    [translate("row-pause"), pause === null ? null : 0, pause, ""],
    [translate("row-stt"), stt === null ? null : (pause ?? 0), stt, ""],
    [translate("agent-thinks"), stt ?? 0, first, ""],
    [translate("agent-writes"), first, done, ""],
    ...attemptRows(metrics),
    [translate("turn"), 0, metrics.total_ms, ""],
  ];
  const body = rows.flatMap(([what, from, to, outcome]) => {
    if (from === null || to === null) return [];
    return [tableRow(what, formatSeconds(from), formatSeconds(to), outcome)];
  });
  const titles = ["what", "from", "until", "outcome"].map((name) => translate(name));
  const table = make("table", {}, tableHead(...titles), make("tbody", {}, ...body));
  const box = make("div", { class: "scrolls", tabindex: 0 }, table);
  return make("details", { open: isOpen }, make("summary", {}, translate("as-table")), box);
}

/** @param {TurnMetrics} metrics */
function attemptRows(metrics) {
  return metrics.sentences.flatMap(({ index, attempt_log: attempts }) =>
    attempts.map((attempt, at) => attemptRow(attempt, index, at, metrics)));
}

/**
 * @param {Attempt} attempt @param {number} sentence @param {number} index among its attempts
 * @param {TurnMetrics} metrics
 * @returns {TimesRow}
 */
function attemptRow(attempt, sentence, index, metrics) {
  const text = translate("attempt", {
    number: formatNumber(sentence + 1),
    attempt: formatNumber(index + 1),
    transport: transportText(attempt),
  });
  return [text, attempt.started_ms, endOf(attempt, metrics), outcomeText(attempt)];
}

/** @param {Attempt} attempt */
function outcomeText(attempt) {
  if (attempt.fault !== null) return faultText(attempt.fault);
  if (outcomeOf(attempt) === "unused") return translate("attempt-unused");
  return translate("attempt-selected", { time: timeOf(attempt.ttfb_ms) });
}
