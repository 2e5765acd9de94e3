/** So near to the end, the user reads the newest. */
const NEAR_END_PX = 80;

/** For this long after our own scrolling, scroll events are our own doing. */
const OWN_SCROLL_MS = 150;

/** Keeps the newest or the spoken text in view, unless the user has scrolled away from it. */
export class AutoScroll {
  #box;
  #enabled = true;
  #scrolledAt = 0;

  /** @param {HTMLElement} box */
  constructor(box) {
    this.#box = box;
    box.addEventListener("scroll", () => this.#onScroll(), { passive: true });
  }

  enable() {
    this.#enabled = true;
  }

  /** @param {Element | null} spoken what to keep in view, or null for the end */
  follow(spoken) {
    if (!this.#enabled) return;
    this.#scrolledAt = performance.now();
    this.#box.scrollTop = this.#box.scrollHeight;
    spoken?.scrollIntoView({ block: "nearest" });
  }

  #onScroll() {
    if (performance.now() - this.#scrolledAt < OWN_SCROLL_MS) return;
    const { scrollHeight, scrollTop, clientHeight } = this.#box;
    this.#enabled = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }
}
