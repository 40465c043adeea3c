/**
 * The words by which people are found: of a name or a user ID, and of what somebody types who looks for them. Pure.
 *
 * Spec: client-server-api/#post_matrixclientv3user_directorysearch: "performed case-insensitively on user IDs and display names
 * preferably using a collation". Here neither case nor accents say anything, whatever the language.
 */

/** Enough of any name, in words and in characters of each. */
const [maxWords, maxLength] = [16, 40]

/** A text as names are compared: without case and accents. */
export function plainName(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
}

/** Each once, in order. None where there is neither a letter nor a digit. */
export function nameWords(text: string): string[] {
  const words = plainName(text).match(/[\p{L}\p{N}]+/gu) ?? []
  return [...new Set(words.map((word) => word.slice(0, maxLength)))].slice(0, maxWords)
}

/** Whether each of these words begins a word of the name. */
export function hasNameWords(name: string, wanted: readonly string[]): boolean {
  const words = nameWords(name)
  return wanted.every((begin) => words.some((word) => word.startsWith(begin)))
}
