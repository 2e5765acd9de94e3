// Records whatever reaches a loudspeaker; put into every page before its own scripts run.
(() => {
  const connect = AudioNode.prototype.connect;
  const taps = new WeakMap();
  const loudspeaker = { rate: 0, blocks: [], now: () => 0 };
  loudspeaker.ready = new Promise((resolve) => (loudspeaker.onReady = resolve));
  globalThis.loudspeaker = loudspeaker;

  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode && target.context instanceof AudioContext) {
      if (!taps.has(target.context)) taps.set(target.context, makeTap(target.context));
      connect.call(this, taps.get(target.context));
    }
    return connect.call(this, target, ...rest);
  };

  function makeTap(context) {
    const bus = new GainNode(context);
    loudspeaker.rate = context.sampleRate;
    loudspeaker.now = () => context.currentTime;
    context.audioWorklet.addModule("tap-worklet.js").then(() => {
      const node = new AudioWorkletNode(context, "tap", { numberOfOutputs: 0 });
      node.port.onmessage = ({ data }) => {
        loudspeaker.blocks.push(data);
        loudspeaker.onReady();
      };
      connect.call(bus, node);
    });
    return bus;
  }

  // Resolves when there was sound (above -50 dB) for so many seconds in total, since a moment.
  loudspeaker.sounded = async (seconds, since) => {
    const energy = (block) => block.reduce((sum, sample) => sum + sample * sample, 0);
    const loud = ({ at, block }) => at >= since && energy(block) > 0.003 ** 2 * block.length;
    while (loudspeaker.blocks.filter(loud).length * 1024 < seconds * loudspeaker.rate) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };

  // Everything up to now: when it began, in seconds of the context, and its samples.
  loudspeaker.recording = async () => {
    const { blocks, rate } = loudspeaker;
    const now = loudspeaker.now();
    while (blocks.at(-1).at < now) await new Promise((resolve) => setTimeout(resolve, 10));
    const samples = new Float32Array(blocks.length * 1024);
    blocks.forEach(({ block }, i) => samples.set(block, i * 1024));
    let text = "";
    const bytes = new Uint8Array(samples.buffer);
    for (let i = 0; i < bytes.length; i += 32768) {
      text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    }
    return { rate, from: blocks[0]?.at ?? 0, samples: btoa(text) };
  };
})();
