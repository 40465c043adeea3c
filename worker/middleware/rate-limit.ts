/**
 * How often: token buckets in the memory of the isolate, per client address or user. Never a database query.
 *
 * Spec: client-server-api/#rate-limiting. An isolate sees only its own requests, so these limits shed load rather than
 * count exactly; guesses at one account's password are counted exactly, by its PasswordDO.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { type BucketPolicy, drawToken } from '#protocol/token-bucket.ts'

import { refuseForNow } from '../refusal.ts'
import type { Settings } from '../settings.ts'
import { clientAddress } from './client-address.ts'

interface Policy extends BucketPolicy {
  /** Without room to note a draw it is refused: the limit guards a secret. Else it is let through. */
  readonly failsClosed: boolean
}

const policies = {
  /** What every operation draws on: operation-limits.ts. */
  read: { burst: 2000, every: 10, failsClosed: false },
  write: { burst: 400, every: 40, failsClosed: false },
  heavy: { burst: 100, every: 200, failsClosed: false },
  login: { burst: 20, every: 3_000, failsClosed: true },
  register: { burst: 10, every: 10_000, failsClosed: true },
  /** Asking whether a name is free or a registration token valid. */
  inquiry: { burst: 30, every: 2_000, failsClosed: true },
  /** "Stricter than normal … such as maximum of 1 request per minute." */
  loginToken: { burst: 6, every: 60_000, failsClosed: true },
  /** Letters: each reaches somebody who may not have asked for it. */
  mail: { burst: 10, every: 30_000, failsClosed: true },
  refresh: { burst: 30, every: 2_000, failsClosed: true },
  /** Operations that ask for the password once more. */
  interactiveAuth: { burst: 20, every: 3_000, failsClosed: true },
  /** Events sent by one user. */
  message: { burst: 100, every: 100, failsClosed: false },
  /** Joins, knocks, invites and moderation: each may reach other servers or people. */
  membership: { burst: 100, every: 1_000, failsClosed: false },
  /** Invites by users of one other server, and those that reach one of ours from there: each makes a room known here. */
  invitesFrom: { burst: 200, every: 1_000, failsClosed: false },
  invitesTo: { burst: 20, every: 10_000, failsClosed: false },
  /** New rooms, by creation or upgrade. */
  newRoom: { burst: 20, every: 10_000, failsClosed: false },
  /** Uploads and new media IDs of one user. */
  upload: { burst: 60, every: 1_000, failsClosed: false },
  /** Each fetches a page, and maybe a picture, from anywhere. */
  preview: { burst: 60, every: 3_000, failsClosed: false },
  /** Requests in the name of servers that have to be asked for their keys first: each makes this one ask another. */
  introduction: { burst: 200, every: 500, failsClosed: false },
  /** Calls restart what they delay every few seconds. */
  delayed: { burst: 200, every: 100, failsClosed: false },
  /** Each asks all rooms of a user. */
  search: { burst: 30, every: 1_000, failsClosed: false },
  /** Made without an account, and each is stored. */
  rendezvous: { burst: 10, every: 12_000, failsClosed: true },
  /** What is left there: a sign-in takes some ten messages. */
  rendezvousMessage: { burst: 60, every: 2_000, failsClosed: true },
  report: { burst: 20, every: 10_000, failsClosed: false },
} satisfies Record<string, Policy>
export type RateLimit = keyof typeof policies

const maxBuckets = 10_000
const buckets = new Map<string, number>()

/** Refuses with M_LIMIT_EXCEEDED when too many such requests came from the client's address. */
export function limitAddress(limit: RateLimit, request: Request, settings: Settings): void {
  if (settings.rateLimits) draw(limit, networkOf(clientAddress(request, settings)))
}

/** Refuses with M_LIMIT_EXCEEDED when somebody, as far as it is known who, made us ask too many servers for their keys. */
export function limitIntroduction(request: Request, settings: Settings): void {
  if (clientAddress(request, settings) !== '') limitAddress('introduction', request, settings)
}

/** Refuses with M_LIMIT_EXCEEDED when the user did too much of it. */
export function limitUser(limit: RateLimit, userId: UserId, settings: Settings): void {
  if (settings.rateLimits) draw(limit, userId)
}

/** Refuses with M_LIMIT_EXCEEDED when another server invited too many of our users, or one of them too often. */
export function limitInvites(server: ServerName, target: UserId, settings: Settings): void {
  if (!settings.rateLimits) return
  draw('invitesFrom', server)
  draw('invitesTo', `${server} ${target}`)
}

function draw(limit: RateLimit, whose: string): void {
  const policy: Policy = policies[limit]
  const key = `${limit} ${whose}`
  const now = Date.now()
  const { fullAt, wait } = drawToken(policy, buckets.get(key), now)
  if (wait > 0) refuseForNow(wait)
  if (!buckets.has(key) && buckets.size >= maxBuckets) dropFull(now)
  if (buckets.has(key) || buckets.size < maxBuckets) buckets.set(key, fullAt)
  else if (policy.failsClosed) refuseForNow(policy.every)
}

function dropFull(now: number): void {
  for (const [key, fullAt] of buckets) if (fullAt <= now) buckets.delete(key)
}

/** An IPv6 client has a whole /64 to choose addresses from. */
function networkOf(address: string): string {
  return address.includes(':') && !address.includes('.') ? expandedPrefix(address) : address
}

function expandedPrefix(address: string): string {
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array.from({ length: Math.max(0, missing) }, () => '0'), ...(tail?.split(':') ?? [])]
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':')
}
