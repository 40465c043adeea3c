/**
 * When unread notifications go out by mail. Pure. Spec: client-server-api/#post_matrixclientv3pushersset, kind `email`, which
 * leaves it to the server.
 *
 * Nothing is sent of what is read within ten minutes; and whoever reads none of it gets ever fewer letters about a room.
 */
const minute = 60_000
const hour = 60 * minute
const delay = 10 * minute
const [firstGap, growth, longestGap] = [10 * minute, 6, 24 * hour]
/** Quiet for so long after the gap was over, a room begins anew. */
const calm = 12 * hour

/** When a letter was about a room last, and for how long there is none after that. In ms. */
export interface MailedRoom {
  readonly sentAt: number
  readonly gap: number
}

/** When a room's news may be sent of which the oldest waits since `waitingSince`; in ms since 1970. */
export function mailDue(waitingSince: number, mailed: MailedRoom | undefined): number {
  return Math.max(waitingSince + delay, mailed ? mailed.sentAt + mailed.gap : 0)
}

/** What holds after a letter about the room. */
export function mailedAgain(mailed: MailedRoom | undefined, now: number): MailedRoom {
  const isNew = !mailed || isForgotten(mailed, now)
  return { sentAt: now, gap: isNew ? firstGap : Math.min(mailed.gap * growth, longestGap) }
}

/** Whether a letter is so long ago that it plays no part any more. */
export function isForgotten({ sentAt, gap }: MailedRoom, now: number): boolean {
  return now - sentAt > gap + calm
}
