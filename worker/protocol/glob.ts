/**
 * Glob-style patterns: `*` for any number of characters, `?` for exactly one.
 *
 * Spec: appendices/#glob-style-matching. Patterns come from strangers, so no regular expression is made of them
 * (CVE-2021-29471): the text is read once, and each character costs the same however the pattern is built.
 *
 * The pattern is a row of states, one before each of its characters and one at the end. All states that the text so far
 * can have led to are kept as bits; a character moves every bit on whose state expects it, and `*` lets a bit stay:
 *
 *     pattern  a * b        states  0 -a-> 1 -b-> 2        1 stays on any character
 *     text     a x b        bits    {0} → {1} → {1} → {1, 2}: 2 is the end, so it matches
 */

/** Longer patterns match nothing. What is to be matched is a server name, an event type, a keyword. */
export const maxGlobLength = 1024

export interface Glob {
  /** Whether the pattern matches the whole text. */
  matches(text: string): boolean
  /**
   * Whether it matches "any substring which starts and ends at a word boundary": the ends of the text, and every place but
   * between two of `[A-Za-z0-9_]`. Spec: client-server-api/#push-rules.
   */
  matchesWords(text: string): boolean
}

/** Compiles a pattern. Case counts: whoever wants it ignored lowers both the pattern and the texts. */
export function compileGlob(pattern: string): Glob {
  const compiled = compile(pattern)
  if (compiled === undefined) return { matches: () => false, matchesWords: () => false }
  return {
    matches: (text) => run(compiled, text, false),
    matchesWords: (text) => run(compiled, text, true),
  }
}

/** `compileGlob(pattern).matches(text)`, for a pattern that is needed once. */
export function matchesGlob(pattern: string, text: string): boolean {
  return compileGlob(pattern).matches(text)
}

/** `compileGlob(pattern).matchesWords(text)`, for a pattern that is needed once. */
export function matchesGlobInWords(pattern: string, text: string): boolean {
  return compileGlob(pattern).matchesWords(text)
}

interface Compiled {
  /** Words of 32 states. */
  readonly words: number
  /** The states that a character moves on. */
  readonly movesOn: ReadonlyMap<string, Int32Array>
  /** The states that every character moves on: those at a `?`. */
  readonly movesOnAlways: Int32Array
  /** The states at a `*`. */
  readonly stays: Int32Array
  /** The number of the last state. */
  readonly end: number
}

function compile(pattern: string): Compiled | undefined {
  // By code points: `?` is one character, not half of one.
  const characters = Array.from(pattern.replaceAll(/\*+/g, '*'))
  const end = characters.filter((character) => character !== '*').length
  if (end > maxGlobLength) return undefined
  const words = (end >> 5) + 1
  const movesOn = new Map<string, Int32Array>()
  const movesOnAlways = new Int32Array(words)
  const stays = new Int32Array(words)
  let state = 0
  for (const character of characters) {
    if (character === '*') {
      addBit(stays, state)
      continue
    }
    if (character === '?') {
      addBit(movesOnAlways, state)
      for (const states of movesOn.values()) addBit(states, state)
    } else {
      // A character met for the first time moves on at every `?` so far as well.
      const states = movesOn.get(character) ?? movesOnAlways.slice()
      movesOn.set(character, states)
      addBit(states, state)
    }
    state += 1
  }
  return { words, movesOn, movesOnAlways, stays, end }
}

/** Runs the text through the states. With `anywhere`, a match may begin and end at any word boundary. */
function run({ words, movesOn, movesOnAlways, stays, end }: Compiled, text: string, anywhere: boolean): boolean {
  const states = new Int32Array(words)
  addBit(states, 0)
  let previousIsWord = false
  for (const character of text) {
    if (anywhere) {
      const isWord = wordCharacter.test(character)
      if (!(previousIsWord && isWord)) {
        if (hasBit(states, end)) return true
        addBit(states, 0)
      }
      previousIsWord = isWord
    }
    const moves = movesOn.get(character) ?? movesOnAlways
    let carry = 0
    let alive = 0
    for (let word = 0; word < words; word++) {
      const now = states[word] ?? 0
      const moving = now & (moves[word] ?? 0)
      const next = (moving << 1) | carry | (now & (stays[word] ?? 0))
      carry = moving >>> 31
      states[word] = next
      alive |= next
    }
    if (alive === 0 && !anywhere) return false
  }
  return hasBit(states, end)
}

const wordCharacter = /^[A-Za-z0-9_]$/

function addBit(bits: Int32Array, bit: number): void {
  bits[bit >> 5] = (bits[bit >> 5] ?? 0) | (1 << (bit & 31))
}

function hasBit(bits: Int32Array, bit: number): boolean {
  return ((bits[bit >> 5] ?? 0) & (1 << (bit & 31))) !== 0
}
