/** Types that several modules share. For the type checker only: this file is not served. */

import type { NabraProblem, ProblemCode, Refusal } from "./problem.js";

// The wire, as docs/protocol.md describes it

export type Language = "ar" | "en";
export type Encoding = "pcm_s16le" | "mulaw";

/** What `configure` takes. */
export interface Options {
  language?: Language;
  /** The default framing of this library is `binary`. */
  output?: { encoding?: Encoding; sample_rate?: number; framing?: "base64" | "binary" };
  turn_detection?: "none" | "server_vad";
  voice?: { speaker?: string; dialect?: string };
  /** Where the gateway lets clients choose. */
  transport?: string;
}

export interface ConfigureFields extends Options {
  input?: { encoding: Encoding; sample_rate: number };
}

export interface Attempt {
  transport: string;
  connection: "new" | "reused" | null;
  fault: string | null;
  /** Whether the caller got this attempt's audio. */
  heard: boolean;
  started_ms: number;
  ttfb_ms: number | null;
  total_ms: number | null;
}

export interface SentenceMetrics {
  index: number;
  audio_ms: number;
  faults: string[];
  attempt_log: Attempt[];
}

export interface TurnMetrics {
  endpointing_ms?: number | null;
  stt_ms: number | null;
  agent_first_token_ms: number | null;
  agent_done_ms: number | null;
  first_sentence_ms: number | null;
  first_audio_ms: number | null;
  total_ms: number;
  sentences: SentenceMetrics[];
}

export interface ConfiguredMessage {
  type: "configured";
  /** The transport in force and those to choose from; gateways of older releases name none. */
  transport?: string;
  transports?: string[];
}

export interface ErrorMessage {
  type: "error";
  message: string;
  code: string;
  recoverable: boolean;
  turn?: number;
  in_reply_to?: string;
}

interface ServerMessages {
  session: { type: "session"; session_id: string; transport?: string; transports?: string[] };
  configured: ConfiguredMessage;
  status: {
    type: "status"; message: string; code: string; turn?: number; retry_after_ms?: number;
  };
  transcription: { type: "transcription"; turn: number; text: string };
  token: { type: "token"; turn: number; content: string };
  agent_response: { type: "agent_response"; turn: number; text: string };
  data: { type: "data"; turn: number; data: unknown; source?: string };
  tts_start: { type: "tts_start"; turn: number; encoding: Encoding; sample_rate: number };
  sentence: { type: "sentence"; turn: number; index: number; text: string };
  tts_chunk: { type: "tts_chunk"; turn: number; audio_base64: string };
  interrupted: {
    type: "interrupted";
    turn: number;
    heard_text: string;
    /** Gateways of older releases send none. */
    metrics?: TurnMetrics;
  };
  done: {
    type: "done"; turn: number; metrics: TurnMetrics;
    unspoken?: { node: string; chars: number }[];
  };
  error: ErrorMessage;
  speech_started: { type: "speech_started" };
  speech_stopped: { type: "speech_stopped" };
}

export type ServerMessage = ServerMessages[keyof ServerMessages] & { turn?: number };

// The library

export type ConnectionState = "closed" | "connecting" | "open" | "waiting";

export interface StateChange {
  state: ConnectionState;
  reason?: ProblemCode;
  retryInMs?: number;
}

export interface ConnectionEvents {
  state: StateChange;
  message: string | ArrayBuffer;
  problem: NabraProblem;
}

export interface MicrophoneFrame {
  audio: ArrayBuffer;
  /** The peak, 0 to 1. */
  level: number;
}

export interface MicrophoneEvents {
  frame: MicrophoneFrame;
  lost: NabraProblem;
}

/** A sentence of a turn; turns are counted anew by each connection. */
export interface SentencePosition {
  connection: number;
  turn: number;
  index: number;
}

export interface PlaybackPosition extends SentencePosition {
  playedMs: number;
}

export interface AudioChunk extends SentencePosition {
  samples: Float32Array<ArrayBuffer>;
  /** Hz */
  rate: number;
}

export type PlaybackCommand = ({ type: "audio" } & AudioChunk) | { type: "end" | "flush" };

export interface SpeakerEvents {
  playing: PlaybackPosition;
  tick: PlaybackPosition & { level: number };
  idle: PlaybackPosition;
  locked: undefined;
}

export interface ProblemDetail extends Refusal {
  code: ProblemCode;
  message: string;
  recoverable: boolean;
}

export interface NabraEvents extends ServerMessages {
  message: ServerMessage;
  state: StateChange;
  level: { input: number; output: number };
  playing: PlaybackPosition;
  idle: PlaybackPosition;
  problem: ProblemDetail;
}

// The page

/** Each in Arabic and in English, by key. */
export type Texts = Record<string, [arabic: string, english: string]>;

/** What `/about.json` says of the gateway. */
export interface About {
  simulates: { speech: boolean; agent: boolean };
  workbench: boolean;
  /** Gateways of older releases do not say. */
  needs_token?: boolean;
  /** The path under which a proxy serves the gateway; empty for none. */
  root_path?: string;
}

/** What `/workbench` tells, and what it takes: null resets a field. */
export interface SimulatorState {
  config: {
    profile: string;
    faults: Record<string, { probability?: number }>;
    timing: Record<string, number>;
    throttle: object | null;
  };
  timing: Record<string, number>;
  stats: { faults: Record<string, number> };
}

export interface SimulatorChange {
  profile?: string;
  faults?: Record<string, number | null>;
  timing?: Record<string, number | null>;
  throttle?: object | null;
}

/** The elements of index.html, and those that are made later, by their ids. */
export interface PageElements {
  announcer: HTMLElement;
  "close-panel": HTMLButtonElement;
  composer: HTMLElement;
  connection: HTMLElement;
  "connection-text": HTMLElement;
  conversation: HTMLElement;
  "conversation-column": HTMLElement;
  "hands-free": HTMLInputElement;
  language: HTMLButtonElement;
  meter: HTMLElement;
  microphone: HTMLButtonElement;
  notices: HTMLElement;
  "open-panel": HTMLButtonElement;
  panel: HTMLElement;
  report: HTMLElement;
  score: HTMLElement | null;
  simulated: HTMLElement;
  start: HTMLButtonElement;
  status: HTMLElement;
  stop: HTMLButtonElement;
  suggestions: HTMLElement;
  "tab-report": HTMLButtonElement;
  "tab-workbench": HTMLButtonElement;
  text: HTMLInputElement;
  token: HTMLInputElement;
  "token-form": HTMLFormElement;
  "token-problem": HTMLElement;
  top: HTMLElement;
  turns: HTMLElement;
  typed: HTMLFormElement;
  welcome: HTMLElement;
  workbench: HTMLElement;
}
