/**
 * A few lines at the end of a terminal that are painted over again and again, and lines that are printed for good above
 * them. Only what changed is written, in one piece, between the marks of synchronized output. The cursor rests, hidden, on
 * the first of the lines: from there a terminal can be erased to its end, whatever a change of its size made of the lines
 * below. Whatever ends the process or stops it, the lines go and the cursor is shown again.
 * Sources: ECMA-48 (CUU, CUD, ED, EL); xterm's control sequences (DECTCEM, DECAWM); synchronized output, mode 2026.
 */
import { readFileSync } from "node:fs";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** How often it is painted at most, in milliseconds; lines for good wait less. */
const paintEveryMs = 100;
const printAfterMs = 25;
/** A build that is over sooner is never drawn. */
const firstPaintMs = 200;
/** Lines for good that wait are written at once when they are more, in characters. */
const mostWaiting = 64 * 1024;

const mark = { begin: "\u001b[?2026h", end: "\u001b[?2026l" };
const cursor = { hide: "\u001b[?25l", show: "\u001b[?25h" };
const wrap = { off: "\u001b[?7l", on: "\u001b[?7h" };
const eraseBelow = "\r\u001b[J";
const eraseLineEnd = "\u001b[K";

export class LiveRegion implements Disposable {
  readonly #stream: NodeJS.WriteStream;
  readonly #draw: (size: Size) => readonly string[];
  #shown: readonly string[] = [];
  #waiting: string[] = [];
  #waitingLength = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = 0;
  #paintedAtMs: number;
  /** The cursor is hidden and lines do not wrap. */
  #isEntered = false;
  #isForeground = isForeground();
  #isOver = false;
  readonly #tick: NodeJS.Timeout;

  constructor(stream: NodeJS.WriteStream, draw: (size: Size) => readonly string[]) {
    this.#stream = stream;
    this.#draw = draw;
    this.#paintedAtMs = performance.now() + firstPaintMs - paintEveryMs;
    this.#tick = setInterval(this.#onTick, 1000).unref();
    stream.on("resize", this.#onResize);
    process.on("SIGTSTP", this.#onStop);
    process.on("SIGCONT", this.#onContinue);
    for (const signal of endingSignals) process.on(signal, this.#onEnd);
    process.on("exit", this.#leave);
    this.refresh();
  }

  /** Something changed: it is drawn again soon. */
  refresh(): void {
    this.#schedule(Math.max(0, this.#paintedAtMs + paintEveryMs - performance.now()));
  }

  /** A line for good. */
  print(line: string): void {
    this.#waiting.push(line);
    this.#waitingLength += line.length;
    if (this.#waitingLength > mostWaiting) this.#paint();
    else this.#schedule(printAfterMs);
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    clearInterval(this.#tick);
    clearTimeout(this.#timer);
    this.#stream.off("resize", this.#onResize);
    process.off("SIGTSTP", this.#onStop);
    process.off("SIGCONT", this.#onContinue);
    for (const signal of endingSignals) process.off(signal, this.#onEnd);
    process.off("exit", this.#leave);
    this.#leave();
    this.#isOver = true;
  }

  #schedule(afterMs: number): void {
    const atMs = performance.now() + afterMs;
    if (this.#timer !== undefined && this.#timerAtMs <= atMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(() => this.#paint(), afterMs);
  }

  #paint(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isOver) return;
    const printed = this.#takeWaiting();
    const isDue = performance.now() >= this.#paintedAtMs + paintEveryMs - 1;
    let wanted: readonly string[] = [];
    // Lines for good may come before it is time for the first picture: then they are all.
    if (this.#isForeground) wanted = isDue || this.#shown.length > 0 ? this.#draw(this.#size()) : [];
    let text = "";
    if (printed !== "") {
      text += this.#isEntered ? eraseBelow + wrap.on + printed + wrap.off : printed;
      this.#shown = [];
    }
    text += this.#difference(wanted);
    if (wanted.length > 0 || isDue) this.#paintedAtMs = performance.now();
    else if (this.#isForeground) this.refresh();
    if (text !== "") this.#write(text, wanted.length > 0);
  }

  /** From the first line to the first line: what makes the lines that are shown the wanted ones. */
  #difference(wanted: readonly string[]): string {
    let text = "";
    let row = 0;
    const moveTo = (to: number): void => {
      if (to > row) text += `\r\u001b[${to - row}B`;
      else if (to < row) text += `\r\u001b[${row - to}A`;
      row = to;
    };
    for (const [index, line] of wanted.entries()) {
      if (this.#shown[index] === line) continue;
      if (index > 0 && index >= this.#shown.length) {
        moveTo(index - 1);
        text += "\r\n"; // makes a line at the end of the screen, by moving all up
        row = index;
      } else {
        moveTo(index);
      }
      text += `\r${line}${eraseLineEnd}`;
    }
    if (wanted.length < this.#shown.length) {
      moveTo(wanted.length);
      text += eraseBelow;
    }
    moveTo(0);
    this.#shown = wanted;
    return text === "" ? "" : `${text}\r`;
  }

  #write(text: string, isPicture: boolean): void {
    const enter = isPicture && !this.#isEntered ? cursor.hide + wrap.off : "";
    if (enter !== "") this.#isEntered = true;
    this.#stream.write(mark.begin + enter + text + mark.end);
  }

  #takeWaiting(): string {
    if (this.#waiting.length === 0) return "";
    const text = `${this.#waiting.join("\n")}\n`;
    this.#waiting = [];
    this.#waitingLength = 0;
    return text;
  }

  /** As if it had never been, but for what was printed for good. */
  readonly #leave = (): void => {
    if (this.#isOver) return;
    const text = (this.#isEntered ? eraseBelow + wrap.on + cursor.show : "") + this.#takeWaiting();
    this.#shown = [];
    this.#isEntered = false;
    if (text !== "") this.#stream.write(text);
  };

  readonly #onTick = (): void => {
    if (!this.#isForeground) this.#isForeground = isForeground();
    this.refresh();
  };

  /** Terminals break long lines anew, or not; all that is below the cursor is ours in both. */
  readonly #onResize = (): void => {
    if (this.#shown.length === 0) return;
    this.#shown = [];
    this.#stream.write(eraseBelow);
    this.#schedule(0);
  };

  /** Ctrl-Z: the shell finds its terminal as it was. */
  readonly #onStop = (): void => {
    this.#leave();
    process.off("SIGTSTP", this.#onStop); // without a listener the signal stops the process
    process.kill(process.pid, "SIGTSTP");
    setImmediate(this.#onContinue);
  };

  readonly #onContinue = (): void => {
    if (this.#isOver) return;
    if (!process.listeners("SIGTSTP").includes(this.#onStop)) process.on("SIGTSTP", this.#onStop);
    this.#leave();
    this.#isForeground = isForeground();
    this.refresh();
  };

  readonly #onEnd = (signal: NodeJS.Signals): void => {
    this[Symbol.dispose]();
    process.kill(process.pid, signal);
  };

  #size(): Size {
    return { columns: this.#stream.columns || 80, rows: this.#stream.rows || 24 };
  }
}

/** Those that end a process at once; SIGINT and SIGTERM cancel what it does first, in an orderly way. */
const endingSignals = ["SIGHUP", "SIGQUIT"] as const;

/** Whether the terminal is this process's: in a shell's background others write there. Source: proc_pid_stat(5). */
function isForeground(): boolean {
  try {
    const text = readFileSync("/proc/self/stat", "utf8");
    const [, , group, , , groupOfTerminal] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return group === groupOfTerminal;
  } catch {
    return true; // where nothing is known of it, it is assumed
  }
}
