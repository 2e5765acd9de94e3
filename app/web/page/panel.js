/** The panel beside the conversation: its tabs; on narrow screens a sheet over it. */

import { find } from "./elements.js";

const NARROW = matchMedia("(max-width: 61rem)");

export class Panel {
  #panel = find("panel");
  #opener = find("open-panel");
  #tabs = [find("tab-report"), find("tab-workbench")];

  constructor() {
    this.#opener.addEventListener("click", () => this.open());
    find("close-panel").addEventListener("click", () => this.close());
    NARROW.addEventListener("change", () => this.close());
    for (const tab of this.#tabs) {
      tab.addEventListener("click", () => this.#choose(tab));
      tab.addEventListener("keydown", (event) => this.#move(event));
    }
  }

  get isSheet() {
    return document.body.classList.contains("sheet");
  }

  /** Show what happened in a turn, wherever the panel is. */
  showReport() {
    this.#choose(find("tab-report"));
    if (NARROW.matches) this.open();
  }

  open() {
    this.#setSheet(true);
    this.#tabs.find((tab) => tab.getAttribute("aria-selected") === "true").focus();
  }

  close() {
    if (!this.isSheet) return;
    this.#setSheet(false);
    this.#opener.focus();
  }

  #setSheet(on) {
    document.body.classList.toggle("sheet", on);
    this.#opener.setAttribute("aria-expanded", String(on));
    for (const beneath of [find("talk"), find("top")]) beneath.inert = on;
    if (on) {
      this.#panel.setAttribute("role", "dialog");
      this.#panel.setAttribute("aria-modal", "true");
    } else {
      this.#panel.removeAttribute("role");
      this.#panel.removeAttribute("aria-modal");
    }
  }

  #choose(chosen) {
    for (const tab of this.#tabs) {
      const on = tab === chosen;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      find(tab.getAttribute("aria-controls")).hidden = !on;
    }
  }

  #move(event) {
    const there = this.#tabs.filter((tab) => !tab.hidden);
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    const at = there.indexOf(event.target);
    const next = { Home: 0, End: there.length - 1 }[event.key] ?? (at + 1) % there.length; // of two
    this.#choose(there[next]);
    there[next].focus();
  }
}
