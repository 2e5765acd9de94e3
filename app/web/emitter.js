/**
 * An `EventTarget` of `CustomEvent`s, whose details are typed.
 *
 * @template {object} Events maps the type of an event to its detail
 */
export class Emitter extends EventTarget {
  /**
   * Call `handle` with the detail of every event of one type.
   *
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {(detail: Events[Type]) => void} handle
   */
  on(type, handle) {
    this.addEventListener(type, (event) => handle(/** @type {CustomEvent} */ (event).detail));
  }

  /**
   * @protected
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {Events[Type]} detail
   */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
