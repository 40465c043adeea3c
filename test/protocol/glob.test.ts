import { array, assert, constantFrom, property } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesGlob as matches, matchesGlobInWords as matchesWords, maxGlobLength } from '#protocol/glob.ts'

describe('a glob', () => {
  it.each([
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['*', 'anything at all', true],
    ['**', '', true],
    ['?', '', false],
    ['?', 'a', true],
    ['?', 'ab', false],
    ['lunc?*', 'lunch plans', true],
    ['lunc?*', 'lunch', true],
    ['lunc?*', ' lunch', false],
    ['lunc?*', 'lunc', false],
    ['lunc?*', 'LUNCH', false],
    ['*.example.org', 'matrix.example.org', true],
    ['*.example.org', 'example.org', false],
    ['*.example.org', 'matrix.example.org.evil', false],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'a--b--c', true],
    ['a*b*c', 'acb', false],
    ['?*?', 'a', false],
    ['?*?', 'ab', true],
    ['*aab', 'aaab', true],
    ['m.room.*', 'm.room.message', true],
    ['a.c', 'abc', false],
    ['[ab]', 'a', false],
    ['[ab]', '[ab]', true],
    ['a\\*', 'a\\bc', true],
    ['^a$', 'a', false],
    ['a\nb', 'a\nb', true],
    ['*', 'line\nline', true],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected)
  })

  it('takes an emoji for one character', () => {
    expect(matches('?', '\u{1f600}')).toBe(true)
    expect(matches('??', '\u{1f600}')).toBe(false)
    expect(matches('\u{1f600}*', '\u{1f600}!')).toBe(true)
    // Half an emoji is a character of its own, and not the other half.
    expect(matches('\ud83d*', '\u{1f600}')).toBe(false)
  })

  it('agrees with a plain recursive matcher, also across the 32 states that share a word', () => {
    const slow = (pattern: string, text: string): boolean => {
      if (pattern === '') return text === ''
      if (pattern[0] === '*') return slow(pattern.slice(1), text) || (text !== '' && slow(pattern, text.slice(1)))
      return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && slow(pattern.slice(1), text.slice(1))
    }
    const word = (letters: string[], maxLength: number) =>
      array(constantFrom(...letters), { maxLength }).map((all) => all.join(''))
    assert(
      property(
        word(['a', 'b', '*', '?'], 8),
        word(['a', 'b'], 10),
        constantFrom(0, 28, 30, 32, 62),
        (pattern, text, shift) => {
          const prefix = 'ab'.repeat(shift / 2)
          const padding = '?'.repeat(prefix.length)
          expect(matches(prefix + pattern, prefix + text)).toBe(slow(pattern, text))
          expect(matches(padding + pattern, prefix + text)).toBe(slow(pattern, text))
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('of the hostile kind ends as soon as any other', () => {
    const text = 'a'.repeat(60_000)
    expect(matches(`${'a*'.repeat(500)}b`, text)).toBe(false)
    expect(matches(`${'*?'.repeat(500)}b`, text)).toBe(false)
    expect(matchesWords(`${'a*'.repeat(500)}b`, text)).toBe(false)
    expect(matches(`${'*'.repeat(60_000)}a`, text)).toBe(true)
  })

  it('that is too long matches nothing', () => {
    expect(matches('a'.repeat(maxGlobLength), 'a'.repeat(maxGlobLength))).toBe(true)
    expect(matches('a'.repeat(maxGlobLength + 1), 'a'.repeat(maxGlobLength + 1))).toBe(false)
    expect(matchesWords('a'.repeat(maxGlobLength + 1), 'a'.repeat(maxGlobLength + 1))).toBe(false)
  })
})

describe('a glob between word boundaries', () => {
  it.each([
    ['ex*ple', 'An example event.', true],
    ['ex*ple', 'exciting triple-whammy', true],
    ['ex*ple', 'anexample', false],
    ['ex*ple', 'examples', false],
    ['alice', 'alice', true],
    ['alice', 'hi alice!', true],
    ['alice', 'hi,alice', true],
    ['alice', 'malice', false],
    ['alice', 'alice_2', false],
    ['alice', 'alice2', false],
    ['alice', 'al ice', false],
    ['alice', 'malice and alice', true],
    ['al?ce', 'hi al-ce.', true],
    ['@alice', 'hello@alice', true],
    ['coffee', 'caf\u00e9coffee', true],
    ['\u{1f600}', 'yes\u{1f600}no', true],
    ['a*', 'b a', true],
    ['', 'anything', true],
    ['a', '', false],
  ])('%j in %j: %s', (pattern, text, expected) => {
    expect(matchesWords(pattern, text)).toBe(expected)
  })
})
