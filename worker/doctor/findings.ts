/** What the doctor says: one line each, and where something is wrong the next step. */

export interface Finding {
  readonly state: 'good' | 'doubt' | 'bad'
  /** What was looked at. */
  readonly about: string
  readonly what: string
  /** Absent where nothing is to be done. */
  readonly next?: string
}

export const good = (about: string, what: string): Finding => ({ state: 'good', about, what })
export const doubt = (about: string, what: string, next: string): Finding => ({ state: 'doubt', about, what, next })
export const bad = (about: string, what: string, next: string): Finding => ({ state: 'bad', about, what, next })

const signs = { good: '✓', doubt: '?', bad: '✗' } as const

export function linesOf({ state, about, what, next }: Finding): string[] {
  return [`${signs[state]} ${about}: ${what}`, ...(next === undefined ? [] : [`    → ${next}`])]
}
