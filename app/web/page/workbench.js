/** The workbench: break the simulated provider, and hear that the gateway does not care. */

import { find, make } from "./elements.js";
import { language, learn, number, seconds, whenLanguageChanges, words } from "./language.js";
import { wholeness } from "./statistics.js";
import { BENCH_WORDS } from "./words-bench.js";

learn(BENCH_WORDS);

const SPEECH = [
  "truncated", "drop", "stall", "late_frames", "rate_limited", "unavailable", "provider_error",
];
const AGENT = ["agent_cut", "agent_slow", "agent_error", "agent_empty"];

const SHARES = { never: 0, tenth: 0.1, third: 0.34, often: 0.5, always: 1 };

const THROTTLE = { limit: 4, window_s: 20 };

const PROFILES = ["instant", "fast", "measured"];

/** What can be set of the timing: the longest, and the steps. */
const TIMES = {
  stt_ms: [5000, 50],
  agent_first_token_ms: [5000, 50],
  first_audio_ms: [2000, 20],
  realtime_factor: [20, 1],
};

export class Workbench {
  #root = find("workbench");
  #about;
  #nabra;
  #turns;
  #state = null;
  #session = { transport: "", transports: [] };
  #problem = null;
  /** One question at a time: answers that overtake each other would show what is past. */
  #asking = Promise.resolve();
  #drawn = "";

  /** @param {() => TurnView[]} turns those that are over */
  constructor(nabra, about, turns) {
    this.#nabra = nabra;
    this.#about = about;
    this.#turns = turns;
    for (const type of ["session", "configured"]) {
      nabra.addEventListener(type, ({ detail }) => this.#choices(detail));
    }
    if (about.workbench) this.refresh();
    whenLanguageChanges(() => this.#show());
  }

  /** Ask how things stand: faults have struck meanwhile. */
  refresh() {
    if (this.#about.workbench) this.#ask();
  }

  #ask(change) {
    this.#asking = this.#asking.then(() => this.#exchange(change));
  }

  async #exchange(change) {
    this.#problem = null;
    try {
      const response = await fetch("/workbench", change && {
        method: "PATCH",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(change),
      });
      const answer = await response.json();
      if (response.ok) this.#state = answer;
      else this.#problem = ["bench-refused", { message: answer.message }];
    } catch {
      this.#problem = ["bench-gone"];
    }
    this.#show();
  }

  #choices({ transport, transports }) {
    if (transports === undefined) return; // a gateway that is older than this page
    this.#session = { transport, transports };
    this.#show();
  }

  /** Draw what has changed: not a menu that is open while turns end. */
  #show() {
    const { config, timing } = this.#state ?? {};
    const now = JSON.stringify([language(), config, timing, this.#session, this.#problem]);
    if (now !== this.#drawn) this.#draw();
    else if (this.#state !== null) find("score")?.replaceWith(this.#score());
    this.#drawn = now;
  }

  #draw() {
    const parts = this.#transports();
    find("tab-workbench").hidden = !this.#about.workbench && parts.length === 0;
    if (this.#about.workbench && this.#state !== null) parts.unshift(...this.#simulator());
    if (this.#problem !== null) {
      parts.unshift(make("p", { class: "notice", role: "alert" }, words(...this.#problem)));
    }
    const focused = document.activeElement?.id;
    this.#root.replaceChildren(...parts);
    if (focused) find(focused)?.focus();
  }

  #simulator() {
    const { simulates } = this.#about;
    const faults = (names) => names.map((name) => this.#fault(name));
    const mend = { id: "mend", class: "small", type: "button", onclick: () => this.#mend() };
    const parts = [make("p", { class: "aside" }, words("bench-text")), this.#score()];
    if (simulates.speech) parts.push(group("faults-speech", ...faults(SPEECH), this.#throttle()));
    if (simulates.agent) parts.push(group("faults-agent", ...faults(AGENT)));
    const times = Object.keys(TIMES).map((name) => this.#time(name));
    parts.push(make("button", mend, words("bench-mend")), group("timing", this.#profiles(), ...times));
    return parts;
  }

  #score() {
    const struck = Object.values(this.#state.stats.faults).reduce((sum, count) => sum + count, 0);
    const { count, missing } = wholeness(this.#turns());
    const values = { struck, heard: count, whole: count - missing };
    for (const name of Object.keys(values)) values[name] = number(values[name]);
    return make("p", { class: "verdict", id: "score" }, words("bench-score", values));
  }

  #fault(name) {
    const id = `fault-${name}`;
    const share = this.#state.config.faults[name]?.probability ?? 0;
    const known = Object.values(SHARES).includes(share);
    const option = (label, value) => make("option", { value, selected: value === share }, label);
    const options = Object.entries(SHARES).map(([label, value]) => option(words(label), value));
    if (!known) options.push(option(words("other-share", { percent: number(share * 100) }), share));
    const select = make("select", {
      id,
      class: share > 0 ? "on" : "",
      onchange: ({ target }) => this.#ask({ faults: { [name]: Number(target.value) || null } }),
    }, ...options);
    return make("div", { class: "line" }, make("label", { for: id }, words(`sim-${name}`)), select);
  }

  #throttle() {
    const input = make("input", {
      id: "throttle",
      type: "checkbox",
      role: "switch",
      checked: this.#state.config.throttle !== null,
      onchange: ({ target }) => this.#ask({ throttle: target.checked ? THROTTLE : null }),
    });
    const text = make("span", {}, words("sim-throttle"));
    return make("label", { class: "switch line" }, text, input, make("span", { class: "track" }));
  }

  #mend() {
    const faults = Object.fromEntries(Object.keys(this.#state.config.faults).map((name) => [name, null]));
    this.#ask({ faults, throttle: null });
  }

  #profiles() {
    const { profile, timing } = this.#state.config;
    const own = Object.fromEntries(Object.keys(timing).map((name) => [name, null]));
    return choice("profile", PROFILES, profile, (name) => this.#ask({ profile: name, timing: own }));
  }

  #time(name) {
    const id = `time-${name}`;
    const [max, step] = TIMES[name];
    const isTime = name.endsWith("_ms");
    const shown = (value) => (isTime ? seconds(value) : words("times", { value: number(value) }));
    const value = this.#state.timing[name];
    const output = make("output", { for: id }, shown(value));
    const input = make("input", { id, type: "range", min: 0, max, step, value });
    input.addEventListener("input", () => {
      output.value = shown(input.value);
      input.setAttribute("aria-valuetext", output.value);
    });
    input.addEventListener("change", () => this.#ask({ timing: { [name]: Number(input.value) } }));
    return make("div", { class: "line" }, make("label", { for: id }, words(`time-${name}`)), input, output);
  }

  #transports() {
    const { transport, transports } = this.#session;
    if (transports.length === 0) return [];
    return [group("bench-transport", choice("transport", transports, transport, (name) => {
      this.#nabra.configure({ transport: name }).catch(({ message }) => {
        this.#problem = ["bench-refused", { message }];
        this.#show();
      });
    }))];
  }
}

function group(title, ...children) {
  return make("fieldset", {}, make("legend", {}, words(title)), ...children);
}

/** One of a few, all in sight. */
function choice(kind, names, chosen, onchoose) {
  const one = (name) => {
    const checked = name === chosen;
    const look = { id: `${kind}-${name}`, type: "radio", name: kind, value: name, checked };
    const input = make("input", { ...look, onchange: () => onchoose(name) });
    return make("label", {}, input, make("span", {}, words(`${kind}-${name}`)));
  };
  return make("div", { class: "choice" }, ...names.map(one));
}
