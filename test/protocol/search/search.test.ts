/** What is found by its words, what somebody typed, and where a search goes on. */
import { parseSearchTerm } from '#protocol/search/search-query.ts'
import { searchTextOf } from '#protocol/search/search-text.ts'
import { formatSearchToken, parseSearchToken } from '#protocol/search/search-token.ts'
import { assert, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'

describe('the text of an event', () => {
  test.each([
    [
      { type: 'm.room.message', content: { body: 'hello' } },
      { body: 'hello', name: '', topic: '' },
    ],
    [
      { type: 'm.room.name', state_key: '', content: { name: 'Kitchen' } },
      { body: '', name: 'Kitchen', topic: '' },
    ],
    [
      { type: 'm.room.topic', state_key: '', content: { topic: 'food' } },
      { body: '', name: '', topic: 'food ' },
    ],
    [
      {
        type: 'm.room.topic',
        state_key: '',
        content: { 'm.topic': { 'm.text': [{ mimetype: 'text/html', body: '<b>' }, { body: 'cakes' }] } },
      },
      { body: '', name: '', topic: ' cakes' },
    ],
    [
      { type: 'm.room.message', content: { body: '東京' } },
      { body: ' 東  京 ', name: '', topic: '' },
    ],
  ])('of %j', (event, text) => {
    expect(searchTextOf(event)).toEqual(text)
  })

  test.each([
    { type: 'm.room.encrypted', content: { body: 'hello', ciphertext: 'hello' } },
    { type: 'm.room.message', content: {} },
    { type: 'm.room.message', content: { body: 7 } },
    { type: 'm.room.message', content: { body: '…!' } },
    { type: 'm.room.message', state_key: '', content: { body: 'state' } },
    { type: 'm.room.name', content: { name: 'no state' } },
    { type: 'm.room.name', state_key: 'elsewhere', content: { name: 'Kitchen' } },
    { type: 'm.room.member', state_key: '', content: { body: 'hello', name: 'x', topic: 'y' } },
    { type: 'm.room.topic', state_key: '', content: { 'm.topic': { 'm.text': 'cakes' } } },
  ])('there is none of %j', (event) => {
    expect(searchTextOf(event)).toBeUndefined()
  })
})

describe('what somebody typed', () => {
  test.each([
    ['cake', '"cake"*', ['cake']],
    ['Message 4', '"Message"* "4"', ['Message', '4']],
    ['of a cake', '"of" "a" "cake"*', ['of', 'a', 'cake']],
    ['say "hello world" now', '"say"* "hello world" "now"*', ['say', 'hello world', 'now']],
    ["don't", '"don\'t"*', ["don't"]],
    [
      'body:x OR NEAR(a b) -c * ^d',
      '"body:x"* "OR" "NEAR(a"* "b)" "-c" "^d"',
      ['body:x', 'OR', 'NEAR(a', 'b)', '-c', '^d'],
    ],
    ['東京', '" 東  京 "', ['東京']],
    ['half "open', '"half"* "open"*', ['half', 'open']],
  ])('%s', (term, match, highlights) => {
    expect(parseSearchTerm(term, undefined)).toEqual({ match, highlights })
  })

  test('only in some keys', () => {
    expect(parseSearchTerm('cake', ['content.name', 'content.topic', 'content.name'])).toMatchObject({
      match: '{name topic} : ("cake"*)',
    })
  })

  test.each(['', '   ', '""', '" "', '!!! …', '\0'])('%j has no word', (term) => {
    expect(parseSearchTerm(term, undefined)).toBeUndefined()
  })

  test('has a limit', () => {
    expect(parseSearchTerm('word '.repeat(32), undefined)).toMatchObject({ highlights: ['word'] })
    expect(parseSearchTerm('word '.repeat(33), undefined)).toBe('too_many')
  })

  test('never closes a quote by itself', () => {
    assert(
      property(string(), (term) => {
        const parsed = parseSearchTerm(term, undefined)
        if (parsed === undefined || parsed === 'too_many') return
        expect(parsed.match).toMatch(/^(?:"[^"]*"\*? ?)+$/)
      }),
    )
  })
})

describe('a token', () => {
  const token = { search: 'abc', count: 12, rooms: new Map([['room', { newest: -5, taken: 2 }]]) }

  test('comes back as it went', () => {
    expect(parseSearchToken(formatSearchToken(token))).toEqual(token)
    const grouped = { ...token, group: { key: 'sender', value: '@a:b' } } as const
    expect(parseSearchToken(formatSearchToken(grouped))).toEqual(grouped)
  })

  test.each([
    'p12',
    's1_2',
    '!',
    btoa('{}'),
    btoa('[]'),
    btoa('["a",1]'),
    btoa('["a",-1,[]]'),
    btoa('["a",1,[["r",1.5,0]]]'),
    btoa('["a",1,[["r",1,-1]]]'),
    btoa('["a",1,[[7,1,1]]]'),
    btoa('["a",1,[],["type","x"]]'),
    btoa('["a",1,[],"x"]'),
    btoa('[1,1,[]]'),
  ])('%s is none', (text) => {
    expect(parseSearchToken(text)).toBeUndefined()
  })
})
