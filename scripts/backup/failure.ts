/** A backup or a restore cannot go on: a sentence, and what to do. */
export class BackupError extends Error {
  constructor(what: string, next?: string) {
    super(next === undefined ? what : `${what}\n  → ${next}`)
  }
}
