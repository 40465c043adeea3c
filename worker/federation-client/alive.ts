/** A signed request from a server is a sign of life: what it missed is sent at once, not when its back-off is over. */
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import type { Env } from '../env.ts'
import { ExpiringMap } from './expiring-map.ts'
import { federationSender } from './sender.ts'

/** Told within this time: no need to tell the sender again. */
const pauseMs = 3_000
const told = new ExpiringMap<ServerName, true>(2_000)

export async function noteAlive(env: Env, server: ServerName): Promise<void> {
  const now = Date.now()
  if (told.get(server, now)) return
  told.set(server, true, now + pauseMs)
  await federationSender(env).heardFrom(server)
}
