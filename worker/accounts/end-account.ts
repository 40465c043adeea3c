/**
 * Ending an account. Spec: client-server-api/#account-deactivation.
 *
 * The user's object plans it first and goes on with it by itself, should anything after that be cut off. Then every way in
 * is closed: whatever fails later, nobody gets in again.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Env } from '../env.ts'
import { remote } from '../remote.ts'
import { endDevices, listDevices } from './devices.ts'
import { eraseAvatar } from './erase-avatar.ts'
import { closeAccount } from './users.ts'

/** Ends an account for ever. `erase`: who comes to its rooms later gets its events as a redaction would leave them. */
export async function endAccount(env: Env, userId: UserId, erase: boolean): Promise<void> {
  const object = remote(env.USER_SYNC, userId)
  await object.planDeparture({ erase })
  // Which file that is stands in the profile, which goes next.
  if (erase) await eraseAvatar(env, userId)
  const devices = await listDevices(env, userId)
  await closeAccount(env, userId)
  await endDevices(
    env,
    userId,
    devices.map(({ deviceId }) => deviceId),
  )
  await object.depart()
}
