/**
 * Presence: who is there. Pure.
 *
 * Spec: client-server-api/#presence, server-server-api/#presence. A user is what the liveliest of their devices is.
 */
import { parseUserId, serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

/** From the least to the most there, as the specification has them. */
export const presenceStates = ['offline', 'unavailable', 'online'] as const
/** MSC3026 (unstable): there, and not to be disturbed. */
export const busy = 'org.matrix.msc3026.busy'
/** What a user may say to be. */
export const sayableStates = [...presenceStates, busy] as const
export type PresenceState = (typeof sayableStates)[number]

// A type alias, since an interface has no index signature and so is no JSON.
export type Presence = {
  readonly presence: PresenceState
  /** Milliseconds since 1970; undefined if it was never known. */
  readonly lastActive: number | undefined
  readonly statusMsg: string | undefined
}

export const maxStatus = 1_000
/** Users in one EDU; what comes after them is left out. */
const maxPushed = 100

export function parsePresenceState(value: unknown): PresenceState | undefined {
  return sayableStates.find((state) => state === value)
}

/** The state of a user with these devices: busy if any is, else "online" if any is; "offline" without any. */
export function strongest(states: Iterable<PresenceState>): PresenceState {
  return [...states].reduce<PresenceState>(
    (best, state) => (sayableStates.indexOf(state) > sayableStates.indexOf(best) ? state : best),
    'offline',
  )
}

/** The content of `m.presence`; `now` in ms. */
export function presenceContent({ presence, lastActive, statusMsg }: Presence, now: number): JsonObject {
  return {
    presence,
    ...(lastActive === undefined ? {} : { last_active_ago: Math.max(0, now - lastActive) }),
    ...(statusMsg === undefined ? {} : { status_msg: statusMsg }),
    ...(presence === 'online' ? { currently_active: true } : {}),
  }
}

/** The EDU that tells other servers. */
export function presenceEdu(userId: UserId, presence: Presence, now: number): JsonObject {
  const { last_active_ago = 0, ...content } = presenceContent(presence, now)
  return { edu_type: 'm.presence', content: { push: [{ user_id: userId, last_active_ago, ...content }] } }
}

/** What an EDU says of users of its origin; of nobody else's can a server say anything. */
export function parsePresenceEdu(origin: string, content: JsonObject, now: number): [UserId, Presence][] {
  const push = own(content, 'push')
  return (Array.isArray(push) ? push : []).slice(0, maxPushed).flatMap((each): [UserId, Presence][] => {
    if (!isObject(each)) return []
    const userId = parseUserId(own(each, 'user_id'))
    const presence = parsePresenceState(own(each, 'presence'))
    if (!userId || !presence || serverNameOf(userId) !== origin) return []
    const [ago, status] = [own(each, 'last_active_ago'), own(each, 'status_msg')]
    const lastActive = typeof ago === 'number' && ago >= 0 ? Math.max(0, Math.floor(now - ago)) : undefined
    const statusMsg = typeof status === 'string' && status !== '' ? status.slice(0, maxStatus) : undefined
    return [[userId, { presence, lastActive, statusMsg }]]
  })
}
