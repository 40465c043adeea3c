/** A letter as carriers take it. */
export interface Letter {
  /** One address, as `parseEmailAddress` left it. */
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly html: string
}
