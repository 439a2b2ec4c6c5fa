// The microphone, WAV files, and the outline of a waveform.

const LARGEST = 80e6; // bytes of a file that is decoded for its waveform

export class Microphone {
  // Calls `take` with pieces of Float32 samples until it is closed.
  static async open(take) {
    if (!navigator.mediaDevices) {
      throw new Error("a browser gives the microphone only to pages on this machine or over https");
    }
    const plain = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    let media;
    try {
      media = await navigator.mediaDevices.getUserMedia({ audio: plain });
    } catch (error) {
      const remedy = error.name === "NotFoundError" ? "connect one, then try again" : "allow it for this page";
      throw new Error(`the microphone cannot be used (${error.name}); ${remedy}`);
    }
    const context = new AudioContext();
    const microphone = new Microphone(context, media);
    try {
      await context.audioWorklet.addModule("/page/capture.js");
    } catch (error) {
      await microphone.close(); // or it stays on
      throw error;
    }
    const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    node.port.onmessage = (event) => take(event.data);
    context.createMediaStreamSource(media).connect(node);
    return microphone;
  }

  constructor(context, media) {
    this.context = context;
    this.media = media;
    this.rate = context.sampleRate;
  }

  async close() {
    this.media.getTracks().forEach((track) => track.stop());
    await this.context.close();
  }
}

// Pieces of Float32 samples as a WAV file of 16 bits.
export function wav(pieces, rate) {
  const count = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * count, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const piece of pieces) {
    for (const sample of piece) {
      view.setInt16(at, Math.max(-1, Math.min(1, sample)) * 32767, true);
      at += 2;
    }
  }
  return new Blob([view], { type: "audio/wav" });
}

// The same, with no more samples a second than `most`: a server takes so many bytes, and hears nothing above.
export async function recorded(pieces, rate, most) {
  const count = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (rate <= most || !count) {
    return wav(pieces, rate);
  }
  const whole = new AudioBuffer({ length: count, sampleRate: rate });
  let at = 0;
  for (const piece of pieces) {
    whole.copyToChannel(piece, 0, at);
    at += piece.length;
  }
  const context = new OfflineAudioContext(1, Math.ceil((count * most) / rate), most);
  const source = new AudioBufferSourceNode(context, { buffer: whole });
  source.connect(context.destination);
  source.start();
  return wav([(await context.startRendering()).getChannelData(0)], most);
}

// The lowest and highest samples in `columns` equal stretches of a file; null where this browser cannot decode it.
export async function outline(file, columns) {
  if (file.size > LARGEST) {
    return null;
  }
  let sound;
  try {
    sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(await file.arrayBuffer());
  } catch {
    return null;
  }
  const samples = sound.getChannelData(0);
  const peaks = [];
  for (let column = 0; column < columns; column += 1) {
    let low = 0;
    let high = 0;
    const stop = Math.ceil(((column + 1) * samples.length) / columns);
    for (let i = Math.floor((column * samples.length) / columns); i < stop; i += 1) {
      low = Math.min(low, samples[i]);
      high = Math.max(high, samples[i]);
    }
    peaks.push([low, high]);
  }
  return { peaks, seconds: sound.duration };
}
