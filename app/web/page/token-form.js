/** @import { ProblemDetail } from "../types" */
import { announce } from "./announcer.js";
import { find } from "./elements.js";
import { onLanguageChange, translate } from "./language.js";

const KEY = "nabra.token";

/** Refusals that another token settles, by the gateway's code; each has a text. */
const REASONS = ["credential-missing", "token-expired", "token-invalid", "session-not-yours"];

/** Asks for a token where the gateway needs one, and keeps it for this tab until it is refused. */
export class TokenForm {
  #token = load();
  #reason = "";

  /** @param {() => void} onSubmit called in the user's gesture */
  constructor(onSubmit) {
    find("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const token = find("token").value.trim();
      find("token").value = "";
      if (token === "") return;
      this.#keep(token);
      this.hide();
      onSubmit();
    });
    onLanguageChange(() => this.#render());
  }

  /** The token of this tab; empty if there is none. */
  get token() {
    return this.#token;
  }

  /** Ask for a token; the conversation starts when it is given. */
  ask() {
    find("start").hidden = true;
    find("token-form").hidden = false;
  }

  hide() {
    this.#reason = "";
    this.#render();
    find("token-form").hidden = true;
  }

  /** Forget the token: the gateway needs none. */
  forget() {
    this.#keep("");
  }

  /**
   * Forget a token that the gateway refused, and ask for another.
   *
   * @param {ProblemDetail} problem
   * @returns {boolean} whether another token can help
   */
  onRefused({ gatewayCode = "", status }) {
    const isOfToken = REASONS.includes(gatewayCode);
    if (!isOfToken && status !== 401) return false;
    this.forget();
    this.#reason = isOfToken ? gatewayCode : "token-invalid";
    this.#render();
    this.ask();
    announce(translate(`refused-${this.#reason}`));
    find("token").focus();
    return true;
  }

  #render() {
    const field = find("token");
    find("token-problem").textContent = this.#reason && translate(`refused-${this.#reason}`);
    field.setAttribute("aria-invalid", String(this.#reason !== ""));
  }

  /** @param {string} token */
  #keep(token) {
    this.#token = token;
    try {
      if (token === "") sessionStorage.removeItem(KEY);
      else sessionStorage.setItem(KEY, token);
    } catch {
      // Private windows: it lasts until the page is left.
    }
  }
}

function load() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
