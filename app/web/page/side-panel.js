import { find } from "./elements.js";

const NARROW = matchMedia("(max-width: 61rem)");

/** The panel beside the conversation, with its tabs; on narrow screens a sheet over it. */
export class SidePanel {
  #panel = find("panel");
  #opener = find("open-panel");
  #tabs = [find("tab-report"), find("tab-workbench")];

  constructor() {
    this.#opener.addEventListener("click", () => this.open());
    find("close-panel").addEventListener("click", () => this.close());
    NARROW.addEventListener("change", () => this.close());
    for (const tab of this.#tabs) {
      tab.addEventListener("click", () => this.#select(tab));
      tab.addEventListener("keydown", (event) => this.#onKey(event));
    }
  }

  get isSheet() {
    return document.body.classList.contains("sheet");
  }

  /** Show what happened in a turn; on narrow screens, open the sheet for it. */
  showReport() {
    this.#select(find("tab-report"));
    if (NARROW.matches) this.open();
  }

  open() {
    this.#setSheet(true);
    this.#tabs.find((tab) => tab.getAttribute("aria-selected") === "true")?.focus();
  }

  close() {
    if (!this.isSheet) return;
    this.#setSheet(false);
    this.#opener.focus();
  }

  /** @param {boolean} on */
  #setSheet(on) {
    document.body.classList.toggle("sheet", on);
    this.#opener.setAttribute("aria-expanded", String(on));
    for (const covered of [find("conversation-column"), find("top")]) covered.inert = on;
    if (on) {
      this.#panel.setAttribute("role", "dialog");
      this.#panel.setAttribute("aria-modal", "true");
    } else {
      this.#panel.removeAttribute("role");
      this.#panel.removeAttribute("aria-modal");
    }
  }

  /** @param {HTMLElement} selected */
  #select(selected) {
    for (const tab of this.#tabs) {
      const isSelected = tab === selected;
      tab.setAttribute("aria-selected", String(isSelected));
      tab.tabIndex = isSelected ? 0 : -1;
      find(tab === find("tab-report") ? "report" : "workbench").hidden = !isSelected;
    }
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    const visible = this.#tabs.filter((tab) => !tab.hidden);
    const other = (visible.findIndex((tab) => tab === event.target) + 1) % visible.length;
    const index = event.key === "Home" ? 0 : event.key === "End" ? visible.length - 1 : other;
    this.#select(visible[index]);
    visible[index].focus();
  }
}
