// Live mode: the microphone to the server, and what it says at once.

import * as api from "./api.js";
import { bars, doubt, dress, make, share } from "./looks.js";
import { Microphone, wav } from "./sound.js";

const STRIP_SECONDS = 60;
const KEPT_PIECES = 18000; // of a tenth of a second
const MOST_WAITING = 4e6; // bytes that may wait to be sent

const part = (id) => document.getElementById(id);

export class Live {
  // Listen until `end` is called or the server ends; then `done(summary, file)` or `failed(error)`.
  constructor(bundle, profile, { done, failed }) {
    Object.assign(this, { bundle, profile, done, failed });
    this.pieces = []; // what was sent, and can be played afterwards: the server's times are of what it got
    this.unsent = [];
    this.lost = 0;
    this.now = null; // the update that says what is heard now
    this.cells = []; // by second: the label, and whether it is uncertain
    this.until = 0; // where the last final window ended
    this.summary = null;
    this.problem = null;
  }

  async begin() {
    this.microphone = await Microphone.open((piece) => this.take(piece));
    this.socket = api.stream({ bundle: this.bundle.name, profile: this.profile, rate: this.microphone.rate });
    this.socket.onopen = () => this.send();
    this.socket.onmessage = (event) => this.hear(JSON.parse(event.data));
    this.socket.onclose = () => this.close();
    this.draw();
    part("live").hidden = false;
  }

  take(piece) {
    this.unsent.push(piece);
    this.send();
  }

  send() {
    if (this.socket?.readyState !== WebSocket.OPEN) {
      return;
    }
    for (const piece of this.unsent.splice(0)) {
      if (this.socket.bufferedAmount >= MOST_WAITING) {
        this.lost += piece.length;
        continue;
      }
      this.socket.send(piece);
      if (this.pieces.length < KEPT_PIECES) {
        this.pieces.push(piece);
      }
    }
  }

  hear(message) {
    if (message.kind === "update") {
      this.place(message);
      // What is final comes late: it stays in the strip, and is the answer only where nothing later is known.
      if (!this.now || message.end >= this.now.end) {
        this.now = message;
      }
      this.draw();
    } else if (message.kind === "summary") {
      this.summary = message;
    } else if (message.kind === "problem") {
      this.problem = new api.Problem(message);
    }
  }

  // A cell a second, as `serotone listen` shows them: a window fills what no final one has heard yet, and what is final
  // replaces what was only provisional; silence fills what is empty.
  place({ start, end, label, uncertain, final }) {
    if (label === null) {
      for (let second = Math.floor(start); second < Math.floor(end); second += 1) {
        this.cells[second] ??= { label, uncertain: false };
      }
      return;
    }
    const first = Math.floor(Math.max(start, Math.min(this.until, end - 1)));
    for (let second = first; second < Math.max(first + 1, Math.round(end)); second += 1) {
      this.cells[second] = { label, uncertain };
    }
    this.until = final ? end : this.until;
  }

  draw() {
    const silent = !this.now || this.now.label === null;
    part("live-label").textContent = this.now ? this.now.label ?? "no speech" : "listening";
    part("live-doubt").textContent = silent ? "" : `probability ${share(this.now.confidence)}, ${doubt(this.now)}`;
    bars(part("live-bars"), this.bundle, silent ? null : this.now);
    const end = Math.max(STRIP_SECONDS, this.cells.length);
    const cells = Array.from({ length: STRIP_SECONDS }, (_, i) => {
      const cell = make("i");
      const said = this.cells[end - STRIP_SECONDS + i];
      if (said?.label) {
        dress(cell, this.bundle, said.label);
        cell.className = doubt(said);
      }
      return cell;
    });
    part("live-strip").replaceChildren(...cells);
  }

  async end() {
    await this.microphone.close();
    if (this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ kind: "end" }));
    }
  }

  async close() {
    await this.microphone.close().catch(() => {}); // it may be closed already
    part("live").hidden = true;
    if (this.summary) {
      if (this.lost) {
        const seconds = (this.lost / this.microphone.rate).toFixed(1);
        this.summary.warnings.push(`${seconds} s were lost: the server or the way to it is too slow`);
      }
      this.done(this.summary, wav(this.pieces, this.microphone.rate));
    } else {
      this.failed(this.problem ?? new Error("the server ended the stream; try again"));
    }
  }
}
