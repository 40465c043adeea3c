/** A letter as carriers take it. */
export interface Letter {
  /** One address, as `parseEmailAddress` left it. */
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly html: string
  /** Where one click ends letters of this kind; only of those that come by themselves. */
  readonly unsubscribe?: string
}

/** RFC 8058: what mail programs make a button of. */
export function unsubscribeHeaders(url: string): Readonly<Record<string, string>> {
  return { 'List-Unsubscribe': `<${url}>`, 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }
}
