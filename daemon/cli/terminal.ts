/**
 * What reaches a terminal. Builders, file names and error details are hostile: colours (SGR) may pass, every other
 * escape sequence and control character is dropped. Source: ECMA-48 for the forms of CSI, OSC, DCS and their ends.
 */

const escape = 0x1b;

type State = "text" | "escape" | "escape-intermediate" | "csi" | "string" | "string-escape";

/** Longest colour sequence that is let through; a longer one is dropped, so that nothing is held back without bound. */
const longestColour = 32;

/** Cleans a stream of bytes piece by piece: an escape sequence cut in two by a border is still recognised. */
export class TerminalCleaner {
  readonly #decoder = new TextDecoder("utf-8");
  readonly #colours: boolean;
  #state: State = "text";
  #sequence = "";

  constructor(options: { colours: boolean }) {
    this.#colours = options.colours;
  }

  /** The text of these bytes that is fit to be shown; invalid UTF-8 becomes U+FFFD. */
  push(bytes: Uint8Array): string {
    return this.#clean(this.#decoder.decode(bytes, { stream: true }));
  }

  /** What the decoder still held back; call it once at the end. */
  end(): string {
    return this.#clean(this.#decoder.decode());
  }

  #clean(text: string): string {
    let shown = "";
    for (const character of text) {
      const code = character.codePointAt(0) as number;
      shown += this.#state === "text" ? this.#inText(character, code) : this.#inSequence(character, code);
    }
    return shown;
  }

  #inText(character: string, code: number): string {
    if (code === escape) {
      this.#state = "escape";
      return "";
    }
    if (code === 0x9b) this.#enterCsi();
    else if (code === 0x90 || code === 0x98 || (code >= 0x9d && code <= 0x9f)) this.#state = "string";
    return isShown(code) ? character : "";
  }

  #inSequence(character: string, code: number): string {
    switch (this.#state) {
      case "escape":
        if (character === "[") this.#enterCsi();
        else if ("]PX^_".includes(character)) this.#state = "string";
        else if (code >= 0x20 && code <= 0x2f) this.#state = "escape-intermediate";
        else if (code !== escape) this.#state = "text";
        return "";
      case "escape-intermediate":
        if (code < 0x20 || code > 0x2f) this.#state = "text";
        return "";
      case "csi":
        return this.#inCsi(character, code);
      case "string":
        if (code === escape) this.#state = "string-escape";
        // A line end closes it too: else one stray "ESC ]" would hide the rest of a log.
        else if (code === 0x07 || code === 0x9c) this.#state = "text";
        else if (code === 0x0a) {
          this.#state = "text";
          return character;
        }
        return "";
      case "string-escape":
        this.#state = character === "\\" ? "text" : "string";
        return "";
      default:
        return "";
    }
  }

  #enterCsi(): void {
    this.#state = "csi";
    this.#sequence = "";
  }

  #inCsi(character: string, code: number): string {
    if (code === 0x0a) {
      this.#state = "text";
      return character;
    }
    if (code >= 0x40 && code <= 0x7e) {
      this.#state = "text";
      const isColour = character === "m" && /^[0-9;:]*$/.test(this.#sequence) && this.#sequence.length <= longestColour;
      return isColour && this.#colours ? `\u001b[${this.#sequence}m` : "";
    }
    if (this.#sequence.length <= longestColour) this.#sequence += character;
    return "";
  }
}

/** One piece of text, cleaned to a single line without colours: for names and details inside our own sentences. */
export function cleanText(text: string): string {
  const cleaner = new TerminalCleaner({ colours: false });
  return cleaner.push(Buffer.from(text, "utf8")).replaceAll("\n", "⏎");
}

/** Our sentences may have several lines, each cleaned. */
export function cleanLines(text: string): string {
  return text.split("\n").map(cleanText).join("\n");
}

/** A line of a build's log, cleaned; its colours end with it. */
export function cleanLogLine(bytes: Uint8Array, options: { colours: boolean }): string {
  const cleaner = new TerminalCleaner(options);
  const text = cleaner.push(bytes) + cleaner.end();
  return text.includes("\u001b") ? `${text}\u001b[0m` : text;
}

function isShown(code: number): boolean {
  if (code === 0x0a || code === 0x09) return true;
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return false;
  // Marks that reorder a line (U+202A to U+202E, U+2066 to U+2069) can make a log read as something else.
  return !((code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069));
}

/** Paints text when colours are wanted; else hands it back as it is. */
export class Painter {
  readonly #colours: boolean;

  constructor(options: { colours: boolean }) {
    this.#colours = options.colours;
  }

  bold(text: string): string {
    return this.#paint("1", text);
  }

  dim(text: string): string {
    return this.#paint("2", text);
  }

  red(text: string): string {
    return this.#paint("31", text);
  }

  green(text: string): string {
    return this.#paint("32", text);
  }

  yellow(text: string): string {
    return this.#paint("33", text);
  }

  #paint(code: string, text: string): string {
    return this.#colours ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}
