/** What login and registration share: what a client says of its device, and the answer with its tokens. */
import { type UserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { signIn } from '../accounts/devices.ts'
import { findUser } from '../accounts/users.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'

/** The client's words about its device. An ID is free text, but goes into paths and keys. */
export const deviceWishes = {
  device_id: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(255))),
  initial_device_display_name: v.optional(v.string()),
  refresh_token: v.optional(v.boolean()),
}

interface DeviceWishes {
  readonly device_id?: string | undefined
  readonly initial_device_display_name?: string | undefined
  readonly refresh_token?: boolean | undefined
}

/**
 * Signs the device in and answers as login and registration do. Whose account is locked "cannot obtain a new access token
 * until the account has been unlocked"; that is told only to those who have shown who they are.
 */
export async function signedIn(env: Env, userId: UserId, wishes: DeviceWishes) {
  if ((await findUser(env, userId))?.isLocked) refuse('user_locked', undefined, { soft_logout: true })
  const tokens = await signIn(env, {
    userId,
    deviceId: wishes.device_id,
    displayName: wishes.initial_device_display_name,
    refreshable: wishes.refresh_token === true,
  })
  // `home_server` is deprecated; clients of before v1.1 read it.
  return { user_id: userId, home_server: serverNameOf(userId), ...tokens }
}
