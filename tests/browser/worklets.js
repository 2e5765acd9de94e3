// Stands in for the audio thread: runs the processors as fast as it can.
const processors = {};
let posted = [];

globalThis.AudioWorkletProcessor = class {
  port = { postMessage: (message) => posted.push(message) };
};
globalThis.registerProcessor = (name, processor) => (processors[name] = processor);
globalThis.sampleRate = 0; // read when a processor is made

await import("/playback.js");
await import("/capture.js");

const QUANTUM = 128;

globalThis.play = (rate, steps) => {
  const processor = make("nabra-playback", rate);
  const played = [];
  for (const step of steps) {
    if (step === "mark") {
      posted.push({ type: "mark" });
    } else if (typeof step === "number") {
      for (let frames = (step * rate) / 1000; frames > 0; frames -= QUANTUM) {
        const output = new Float32Array(QUANTUM);
        processor.process([], [[output]]);
        played.push(...output);
      }
    } else {
      const samples = step.samples && Float32Array.from(step.samples);
      processor.port.onmessage({ data: { ...step, samples } });
    }
  }
  return { samples: toText(Float32Array.from(played).buffer), posted };
};

globalThis.capture = (rate, text) => {
  const processor = make("nabra-capture", rate);
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const samples = new Float32Array(bytes.buffer);
  for (let at = 0; at < samples.length; at += QUANTUM) {
    processor.process([[samples.subarray(at, at + QUANTUM)]]);
  }
  processor.port.onmessage({ data: "stop" });
  return posted.map(({ audio }) => toText(audio));
};

function make(name, rate) {
  globalThis.sampleRate = rate;
  posted = [];
  return new processors[name]();
}

function toText(buffer) {
  let text = "";
  for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}
