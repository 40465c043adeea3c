/**
 * Who asks: the access token of a request, and what may be done with it.
 *
 * Spec: client-server-api/#using-access-tokens, #soft-logout, #guest-access.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { findAccessToken, type KnownToken } from '../accounts/access-tokens.ts'
import { believedForSync, recallToken, rememberToken } from '../accounts/token-cache.ts'
import { hashToken, looksLikeToken } from '../accounts/tokens.ts'
import type { Env } from '../env.ts'
import type { Auth, Requester } from '../operation.ts'
import { refuse } from '../refusal.ts'
import type { Settings } from '../settings.ts'
import { clientAddress } from './client-address.ts'

export interface Demand {
  readonly auth: Auth
  readonly guests?: true
  readonly fresh?: true
  readonly endsWithDevice?: true
  readonly whileLocked?: true
}

/**
 * Whose token the request carries. Undefined only where none is needed: a token that is given must be good. Refuses with
 * M_MISSING_TOKEN, M_UNKNOWN_TOKEN (`soft_logout` when it merely expired), M_USER_LOCKED or M_GUEST_ACCESS_FORBIDDEN.
 */
export async function requesterOf(
  request: Request,
  env: Env,
  settings: Settings,
  demand: Demand,
): Promise<Requester | undefined> {
  const { auth, guests } = demand
  const token = tokenOf(request, settings)
  if (token === undefined) return auth === 'optional' ? undefined : refuse('missing_token')
  if (!looksLikeToken('access', token)) refuse('unknown_token')
  const requester = await requesterOfToken(token, request, env, settings, demand)
  if (requester.isGuest && !guests) refuse('guest_forbidden')
  return requester
}

async function requesterOfToken(token: string, request: Request, env: Env, settings: Settings, demand: Demand) {
  const hash = hashToken(token)
  const now = Date.now()
  const recalled = demand.fresh ? undefined : recallToken(hash, now, demand.endsWithDevice && believedForSync)
  if (recalled) return recalled
  const known: KnownToken =
    (await findAccessToken(env, hash, { now, address: clientAddress(request, settings) })) ?? refuse('unknown_token')
  const { requester, expiresAt } = known
  if (expiresAt !== null && expiresAt <= now) {
    refuse('unknown_token', 'The access token has expired', { soft_logout: true })
  }
  if (known.isLocked) {
    // Never remembered, so that an account is unlocked at once.
    if (!demand.whileLocked) refuse('user_locked', undefined, { soft_logout: true })
    return requester
  }
  rememberToken(hash, requester, expiresAt, now)
  return requester
}

/** The guest who holds this token, by the database and not from memory; undefined for anything else. */
export async function requesterOfGuestToken(env: Env, token: string): Promise<UserId | undefined> {
  if (!looksLikeToken('access', token)) return undefined
  const now = Date.now()
  const known = await findAccessToken(env, hashToken(token), { now, address: '' })
  if (!known?.requester.isGuest || (known.expiresAt !== null && known.expiresAt <= now)) return undefined
  return known.requester.userId
}

/** From the header, or from the query as old clients do, unless that is turned off: addresses end up in logs. */
function tokenOf(request: Request, { queryAccessTokens }: Settings): string | undefined {
  const header = request.headers.get('Authorization')
  const bearer = header === null ? undefined : /^Bearer +(\S+)\s*$/i.exec(header)?.[1]
  if (bearer !== undefined || !queryAccessTokens) return bearer
  return new URL(request.url).searchParams.get('access_token') || undefined
}
