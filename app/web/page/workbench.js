/** @import { Nabra } from "../nabra.js" */
/** @import { About, SimulatorChange, SimulatorState } from "../types" */
/** @import { FinishedTurn } from "./turn-view.js" */
import { find, make } from "./elements.js";
import {
  addTexts, formatNumber, formatSeconds, language, onLanguageChange, translate,
} from "./language.js";
import { countSentences } from "./statistics.js";
import { WORKBENCH_TEXTS } from "./texts-workbench.js";

addTexts(WORKBENCH_TEXTS);

const SPEECH_FAULTS = [
  "truncated", "drop", "stall", "late_frames", "rate_limited", "unavailable", "provider_error",
];
const AGENT_FAULTS = ["agent_cut", "agent_slow", "agent_error", "agent_empty"];

const PROBABILITIES = { never: 0, tenth: 0.1, third: 0.34, often: 0.5, always: 1 };

const THROTTLE = { limit: 4, window_s: 20 };

const PROFILES = ["instant", "fast", "measured"];

/** The timing that can be set: the longest, and the step. @type {Record<string, number[]>} */
const TIMES = {
  stt_ms: [5000, 50],
  agent_first_token_ms: [5000, 50],
  first_audio_ms: [2000, 20],
  realtime_factor: [20, 1],
};

/** @typedef {{key: string, values?: Record<string, string>}} Problem `key` is that of a text */

/** Breaks and slows the simulated providers, to show that the conversation does not suffer. */
export class Workbench {
  #root = find("workbench");
  #nabra;
  #about;
  #turns;
  /** @type {SimulatorState | null} */
  #state = null;
  /** @type {{transport?: string, transports: string[]}} */
  #session = { transports: [] };
  /** @type {Problem | null} */
  #problem = null;
  /** The last request: one at a time, or a late response would show an old state. */
  #request = Promise.resolve();
  #rendered = "";

  /** @param {Nabra} nabra @param {About} about @param {() => FinishedTurn[]} turns */
  constructor(nabra, about, turns) {
    this.#nabra = nabra;
    this.#about = about;
    this.#turns = turns;
    nabra.on("session", (message) => this.#setTransports(message));
    nabra.on("configured", (message) => this.#setTransports(message));
    this.refresh();
    onLanguageChange(() => this.#render());
  }

  /** Load the simulator's state, which counts the faults. */
  refresh() {
    if (this.#about.workbench) this.#send();
  }

  /** @param {SimulatorChange} [change] */
  #send(change) {
    this.#request = this.#request.then(() => this.#fetch(change));
  }

  /** @param {SimulatorChange} [change] */
  async #fetch(change) {
    this.#problem = null;
    try {
      const response = await fetch("workbench", change && {
        method: "PATCH",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(change),
      });
      const body = await response.json();
      if (response.ok) this.#state = body;
      else if (response.status === 403) this.#state = null; // it needs a key, which pages have not
      else this.#problem = { key: "change-refused", values: { message: body.message } };
    } catch {
      this.#problem = { key: "simulator-unreachable" };
    }
    this.#render();
  }

  /** @param {{transport?: string, transports?: string[]}} message */
  #setTransports({ transport, transports }) {
    if (transports === undefined) return; // a gateway that is older than this page
    this.#session = { transport, transports };
    this.#render();
  }

  /** Render what has changed; otherwise only the score, so that an open menu stays open. */
  #render() {
    const { config, timing } = this.#state ?? {};
    const now = JSON.stringify([language(), config, timing, this.#session, this.#problem]);
    if (now !== this.#rendered) this.#renderAll();
    else if (this.#state !== null) find("score")?.replaceWith(this.#score(this.#state));
    this.#rendered = now;
  }

  #renderAll() {
    const parts = this.#transports();
    if (this.#state !== null) parts.unshift(...this.#simulator(this.#state));
    if (this.#problem !== null) {
      const { key, values } = this.#problem;
      parts.unshift(make("p", { class: "notice", role: "alert" }, translate(key, values)));
    }
    find("tab-workbench").hidden = parts.length === 0;
    const focused = document.activeElement?.id;
    this.#root.replaceChildren(...parts);
    if (focused) document.getElementById(focused)?.focus();
  }

  /** @param {SimulatorState} state @returns {HTMLElement[]} */
  #simulator(state) {
    const { simulates } = this.#about;
    const faults = (/** @type {string[]} */ names) => names.map((name) => this.#fault(name, state));
    const onclick = () => this.#clearFaults(state);
    const clear = { id: "clear-faults", class: "small", type: "button", onclick };
    const intro = make("p", { class: "aside" }, translate("workbench-intro"));
    const parts = [intro, this.#score(state)];
    if (simulates.speech) {
      parts.push(group("faults-speech", ...faults(SPEECH_FAULTS), this.#throttle(state)));
    }
    if (simulates.agent) parts.push(group("faults-agent", ...faults(AGENT_FAULTS)));
    const times = Object.keys(TIMES).map((name) => this.#time(name, state));
    const timing = group("timing", this.#profiles(state), ...times);
    return [...parts, make("button", clear, translate("clear-faults")), timing];
  }

  /** @param {SimulatorState} state @returns {HTMLElement} */
  #score({ stats }) {
    const faults = Object.values(stats.faults).reduce((sum, count) => sum + count, 0);
    const { count, missing } = countSentences(this.#turns());
    const values = {
      faults: formatNumber(faults),
      received: formatNumber(count),
      whole: formatNumber(count - missing),
    };
    return make("p", { class: "verdict", id: "score" }, translate("score", values));
  }

  /** @param {string} name @param {SimulatorState} state */
  #fault(name, { config }) {
    const id = `fault-${name}`;
    const current = config.faults[name]?.probability ?? 0;
    const option = (/** @type {string} */ label, /** @type {number} */ value) =>
      make("option", { value, selected: value === current }, label);
    const options = Object.entries(PROBABILITIES).map(([key, value]) =>
      option(translate(key), value));
    if (!Object.values(PROBABILITIES).includes(current)) {
      const percent = formatNumber(current * 100);
      options.push(option(translate("other-share", { percent }), current));
    }
    const select = make("select", { id, class: current > 0 ? "on" : "" }, ...options);
    select.addEventListener("change", () => {
      this.#send({ faults: { [name]: Number(select.value) || null } });
    });
    const label = make("label", { for: id }, translate(`sim-${name}`));
    return make("div", { class: "line" }, label, select);
  }

  /** @param {SimulatorState} state */
  #throttle({ config }) {
    const checked = config.throttle !== null;
    const input = make("input", { id: "throttle", type: "checkbox", role: "switch", checked });
    input.addEventListener("change", () => {
      this.#send({ throttle: input.checked ? THROTTLE : null });
    });
    const text = make("span", {}, translate("sim-throttle"));
    return make("label", { class: "switch line" }, text, input, make("span", { class: "track" }));
  }

  /** @param {SimulatorState} state */
  #clearFaults({ config }) {
    this.#send({ faults: allNull(config.faults), throttle: null });
  }

  /** @param {SimulatorState} state */
  #profiles({ config: { profile, timing } }) {
    return choice("profile", PROFILES, profile, (name) => {
      this.#send({ profile: name, timing: allNull(timing) });
    });
  }

  /** @param {string} name @param {SimulatorState} state */
  #time(name, { timing }) {
    const id = `time-${name}`;
    const [max, step] = TIMES[name];
    const format = (/** @type {number} */ value) => {
      if (name.endsWith("_ms")) return formatSeconds(value);
      return translate("times", { value: formatNumber(value) });
    };
    const value = timing[name];
    const output = make("output", { for: id }, format(value));
    const input = make("input", { id, type: "range", min: 0, max, step, value });
    input.addEventListener("input", () => {
      output.value = format(Number(input.value));
      input.setAttribute("aria-valuetext", output.value);
    });
    input.addEventListener("change", () => this.#send({ timing: { [name]: Number(input.value) } }));
    const label = make("label", { for: id }, translate(`time-${name}`));
    return make("div", { class: "line" }, label, input, output);
  }

  /** @returns {HTMLElement[]} */
  #transports() {
    const { transport, transports } = this.#session;
    if (transports.length === 0) return [];
    const choices = choice("transport", transports, transport, (name) => {
      this.#nabra.configure({ transport: name }).catch(({ message }) => {
        this.#problem = { key: "change-refused", values: { message } };
        this.#render();
      });
    });
    return [group("conversation-transport", choices)];
  }
}

/** @param {Record<string, unknown>} fields @returns {Record<string, null>} */
function allNull(fields) {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, null]));
}

/** @param {string} title @param {...HTMLElement} children */
function group(title, ...children) {
  return make("fieldset", {}, make("legend", {}, translate(title)), ...children);
}

/**
 * Make radio buttons.
 *
 * @param {string} kind @param {string[]} names @param {string | undefined} selected
 * @param {(name: string) => void} onSelect
 */
function choice(kind, names, selected, onSelect) {
  const buttons = names.map((name) => {
    const checked = name === selected;
    const look = { id: `${kind}-${name}`, type: "radio", name: kind, value: name, checked };
    const input = make("input", { ...look, onchange: () => onSelect(name) });
    return make("label", {}, input, make("span", {}, translate(`${kind}-${name}`)));
  });
  return make("div", { class: "choice" }, ...buttons);
}
