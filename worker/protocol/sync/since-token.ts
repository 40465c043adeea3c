/**
 * The token that `/sync` gives as `next_batch` and takes as `since`: `s<read>_<served>_<toDevice>_<epoch>`.
 *
 * Spec: client-server-api/#syncing; the form is ours. All numbers are positions in one user's stream:
 * - `read`: where the stream stood when the answer was read. Everything up to there has reached the holder.
 * - `served`: the position of the marks that say how far the answer went in rooms which went further than `read` knows;
 *   0 when there was none. See durable-objects/user-sync/marks.ts.
 * - `toDevice`: the newest send-to-device message in the answer or before it. Less than `read` when not all fitted.
 * - `epoch`: names the stream. Another user's stream has another, and so has a stream that was restored from a backup.
 */
export interface SinceToken {
  readonly read: number
  readonly served: number
  readonly toDevice: number
}

/** A token of this stream; one of some other stream or server, whose holder needs everything anew; or no token at all. */
export type ParsedSinceToken =
  | { readonly kind: 'ours'; readonly token: SinceToken }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'malformed' }

const form = /^s(0|[1-9][0-9]{0,15})_(0|[1-9][0-9]{0,15})_(0|[1-9][0-9]{0,15})_([a-z0-9]{1,16})$/
/** Tokens of Synapse begin alike: a client that comes from another server gets a full answer, not an error for ever. */
const otherForm = /^s[0-9][\x21-\x7e]{0,254}$/

export function formatSinceToken({ read, served, toDevice }: SinceToken, epoch: string): string {
  return `s${read}_${served}_${toDevice}_${epoch}`
}

/** Reads a token for a stream with this epoch, now at this position. A position that lies ahead of it is foreign too. */
export function parseSinceToken(text: string, stream: { epoch: string; position: number }): ParsedSinceToken {
  const match = form.exec(text)
  if (!match) return { kind: otherForm.test(text) ? 'foreign' : 'malformed' }
  const [read, served, toDevice] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (match[4] !== stream.epoch || Math.max(read, served, toDevice) > stream.position) return { kind: 'foreign' }
  return { kind: 'ours', token: { read, served, toDevice } }
}
