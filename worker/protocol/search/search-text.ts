/**
 * What of an event is found by its words.
 *
 * Spec: client-server-api/#server-side-search "room_events": `content.body` of m.room.message, `content.name` of m.room.name,
 * `content.topic` of m.room.topic and the plain text of its `m.topic`. Nothing else is ever searched, encrypted events least
 * of all.
 */
import { isObject, type JsonObject, own } from '../json/json.ts'

/** The texts of an event by the keys that a search may be limited to. */
export interface SearchText {
  readonly body: string
  readonly name: string
  readonly topic: string
}

interface Searchable {
  readonly type: string
  readonly state_key?: string | undefined
  readonly content: JsonObject
}

const nothing: SearchText = { body: '', name: '', topic: '' }

/** The texts of an event; undefined where there is no word to find. */
export function searchTextOf({ type, state_key, content }: Searchable): SearchText | undefined {
  if (type === 'm.room.message' && state_key === undefined) return textIn('body', own(content, 'body'))
  if (state_key !== '') return undefined
  if (type === 'm.room.name') return textIn('name', own(content, 'name'))
  if (type === 'm.room.topic') return textIn('topic', `${plain(own(content, 'topic'))} ${richTopic(content)}`)
  return undefined
}

function textIn(key: keyof SearchText, text: unknown): SearchText | undefined {
  return typeof text === 'string' && hasWord(text) ? { ...nothing, [key]: apart(text) } : undefined
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function richTopic(content: JsonObject): string {
  const rich = own(content, 'm.topic')
  const texts = isObject(rich) ? own(rich, 'm.text') : undefined
  if (!Array.isArray(texts)) return ''
  const text = texts.filter(isObject).find((each) => (own(each, 'mimetype') ?? 'text/plain') === 'text/plain')
  return plain(text && own(text, 'body'))
}

/** Whether there is anything that the index takes for a word. */
export function hasWord(text: string): boolean {
  return /[\p{L}\p{N}\p{Co}]/u.test(text)
}

const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/gu

/** Scripts that are written without spaces: each of their characters counts as a word, and words are found as phrases. */
export function apart(text: string): string {
  return text.replace(unspaced, ' $& ')
}
