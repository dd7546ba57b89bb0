/**
 * How many columns a text takes on a terminal, and how much of it fits. Colours (SGR) take none. Where terminals differ,
 * as with emoji that are made of several characters, the larger number counts: a line that is cut a little too early
 * stays one line.
 */
import { eastAsianWidth } from "get-east-asian-width";

export function widthOf(text: string): number {
  let width = 0;
  for (const [piece, isColour] of pieces(text)) if (!isColour) width += widthOfCharacter(piece);
  return width;
}

/** The beginning of a text of one line that fits; a cut ends with "…", and with the end of its colours. Tabs become spaces. */
export function cutToWidth(text: string, columns: number): string {
  if (columns <= 0) return "";
  let width = 0;
  let fitting = "";
  let fittingBeforeMark = "";
  let hasColour = false;
  for (const [piece, isColour] of pieces(text)) {
    hasColour ||= isColour;
    width += isColour ? 0 : widthOfCharacter(piece);
    if (width > columns) return `${fittingBeforeMark}…${hasColour ? "\u001b[0m" : ""}`;
    fitting += piece === "\t" ? " " : piece;
    if (width < columns) fittingBeforeMark = fitting;
  }
  return fitting;
}

/** At its end filled up with spaces, or cut. */
export function padToWidth(text: string, columns: number): string {
  const cut = cutToWidth(text, columns);
  return cut + " ".repeat(Math.max(0, columns - widthOf(cut)));
}

function* pieces(text: string): Generator<readonly [piece: string, isColour: boolean]> {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours that cleaned text may have
  for (const part of text.split(/(\u001b\[[0-9;:]*m)/)) {
    if (part.startsWith("\u001b")) yield [part, true];
    else for (const character of part) yield [character, false];
  }
}

/** Marks that stand above or below another character, joiners, and what is not shown at all. */
const withoutWidth = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}\u1160-\u11ff]$/u;

function widthOfCharacter(character: string): number {
  if (character >= " " && character <= "~") return 1;
  const code = character.codePointAt(0) ?? 0;
  // The first asks for a picture, which is two columns wide, of the character before it; the second is a space.
  if (code === 0xfe0f || code === 0x09) return 1;
  if (code !== 0xad && withoutWidth.test(character)) return 0;
  return eastAsianWidth(code);
}
