/** @import { Encoding, SentencePosition, ServerMessage } from "./types" */
/** @import { Speaker } from "./speaker.js" */
import { decode, fromBase64 } from "./pcm.js";

/** Plays the audio of responses, by the messages around it; drops that of interrupted turns. */
export class ResponseAudio {
  #speaker;
  #onLocked;
  #connection = 0;
  /** The newest turn. */
  #turn = 0;
  /** The newest turn that is not to be played any more; nor are those before it. */
  #interruptedTurn = 0;
  /** The format of the audio that comes next, and its place. */
  /** @type {{turn: number, index: number, encoding: Encoding, rate: number} | null} */
  #stream = null;
  #lockedTurn = 0;

  /** @param {Speaker} speaker @param {() => void} onLocked called once a turn that cannot sound */
  constructor(speaker, onLocked) {
    this.#speaker = speaker;
    this.#onLocked = onLocked;
  }

  /** Begin a connection, where turns are counted anew. @param {number} connection */
  reset(connection) {
    this.#connection = connection;
    this.#turn = this.#interruptedTurn = this.#lockedTurn = 0;
    this.#stream = null;
  }

  /** @param {ServerMessage} message */
  onMessage(message) {
    if (message.turn !== undefined && message.turn > this.#turn) {
      this.#turn = message.turn;
      this.#speaker.flush(); // a new turn ends the sound of the one before
    }
    switch (message.type) {
      case "tts_start": {
        const { turn, encoding, sample_rate: rate } = message;
        this.#stream = { turn, index: 0, encoding, rate };
        break;
      }
      case "sentence":
        if (this.#stream !== null) this.#stream.index = message.index;
        break;
      case "tts_chunk":
        this.play(fromBase64(message.audio_base64));
        break;
      case "interrupted":
        this.#interruptedTurn = message.turn;
        this.#speaker.flush();
        break;
      case "done":
        this.#speaker.end();
        break;
    }
  }

  /** Play raw audio of the current sentence. @param {Uint8Array} bytes */
  play(bytes) {
    if (this.#stream === null || bytes.length === 0) return;
    const { turn, index, rate, encoding } = this.#stream;
    if (turn <= this.#interruptedTurn) return;
    if (this.#speaker.isOpen) {
      const samples = decode(bytes, encoding);
      this.#speaker.play({ connection: this.#connection, turn, index, rate, samples });
    } else if (this.#lockedTurn !== turn) {
      this.#lockedTurn = turn;
      this.#onLocked();
    }
  }

  /** Silence the current turn, and whatever still comes of it. */
  interrupt() {
    this.#interruptedTurn = this.#turn;
    this.#speaker.flush();
  }
}
