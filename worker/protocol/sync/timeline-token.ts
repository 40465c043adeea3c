/**
 * Tokens for points of a room's history: what `/messages` and `/context` give and take, and `prev_batch` of `/sync`.
 *
 * Spec: client-server-api/#get_matrixclientv3roomsroomidmessages; the form is ours. A token names a point *between* two
 * events, so that both directions can start from it:
 * - `p<pos>`: right after the live event at position `pos`, in order of arrival, as `/sync` tells events.
 * - `t<depth>-<nid>`: right after the event of that depth and number, in the order of `/messages`: (depth, nid).
 *   With `_b<pos>` or `_f<pos>` it remembers that paging began at `p<pos>`, backwards or forwards: an event that arrived late
 *   has a low depth, and is skipped by nobody and given to nobody twice only if pages keep to one side of that position.
 */
export interface HistoryPoint {
  readonly depth: number
  readonly nid: number
}

export type TimelineToken =
  | { readonly kind: 'live'; readonly pos: number }
  | { readonly kind: 'history'; readonly at: HistoryPoint; readonly bound?: PagingBound | undefined }

/** Where paging began: backwards it has no event that arrived after `pos`, forwards none that arrived up to there. */
export interface PagingBound {
  readonly dir: 'b' | 'f'
  readonly pos: number
}

const form = /^(?:p(\d{1,15})|t(\d{1,16})-(\d{1,15})(?:_([bf])(\d{1,15}))?)$/

export function formatTimelineToken(token: TimelineToken): string {
  if (token.kind === 'live') return `p${token.pos}`
  const { at, bound } = token
  return `t${at.depth}-${at.nid}${bound ? `_${bound.dir}${bound.pos}` : ''}`
}

/** Undefined for anything that no room of this server gave out. */
export function parseTimelineToken(text: string): TimelineToken | undefined {
  const match = form.exec(text)
  if (!match) return undefined
  const [, live, depth, nid, dir, pos] = match
  if (live !== undefined) return { kind: 'live', pos: Number(live) }
  const at = { depth: Number(depth), nid: Number(nid) }
  if (!Number.isSafeInteger(at.depth)) return undefined
  if (dir !== 'b' && dir !== 'f') return { kind: 'history', at }
  return { kind: 'history', at, bound: { dir, pos: Number(pos) } }
}
