/**
 * What somebody typed into a search box, as the index understands it.
 *
 * Spec: client-server-api/#post_matrixclientv3search `search_term`. All words have to be there, in any order; "several words"
 * in double quotes stand together. A word also finds longer words that begin with it. Whatever is typed is text: nothing of
 * the index's own language gets through.
 */
import { codePoints } from '../identifiers/characters.ts'
import { apart, hasWord, type SearchText } from './search-text.ts'

export interface SearchQuery {
  /** An expression of SQLite's FTS5. */
  readonly match: string
  /** "List of words which should be highlighted." */
  readonly highlights: readonly string[]
}

export type SearchKey = `content.${keyof SearchText}`

/** From this length on a word finds longer words. */
const prefixFrom = 3
const maxWords = 32

/** Undefined where there is no word in it; `too_many` where there are more than anybody types. */
export function parseSearchTerm(
  term: string,
  keys: readonly SearchKey[] | undefined,
): SearchQuery | 'too_many' | undefined {
  const parts = [...term.matchAll(/"([^"]*)"|[^\s"]+/g)].map(([word, phrase]) => ({
    text: (phrase ?? word).replaceAll('\0', ' ').trim(),
    isPhrase: phrase !== undefined,
  }))
  const words = parts.filter(({ text }) => hasWord(text))
  if (words.length === 0) return undefined
  if (words.length > maxWords) return 'too_many'
  const all = words.map(({ text, isPhrase }) => expression(text, isPhrase)).join(' ')
  const columns = keys && [...new Set(keys.map((key) => key.slice('content.'.length)))].join(' ')
  return {
    match: columns === undefined ? all : `{${columns}} : (${all})`,
    highlights: [...new Set(words.map(({ text }) => text.replaceAll('"', '')))],
  }
}

function expression(text: string, isPhrase: boolean): string {
  const spread = apart(text)
  const quoted = `"${spread.replaceAll('"', ' ')}"`
  const findsLonger = !isPhrase && spread === text && codePoints(text) >= prefixFrom && /[\p{L}\p{M}]$/u.test(text)
  return findsLonger ? `${quoted}*` : quoted
}
