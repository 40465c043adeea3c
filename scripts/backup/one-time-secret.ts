/**
 * The secret by which a deployed Worker gives out its content or takes one in: made for this run, put there by wrangler, and
 * taken away at its end. It says itself until when it is good, so one that a run left behind opens nothing for long.
 */
import { randomBytes } from 'node:crypto'

import { deleteSecret, DeployError, putSecret, readDeployed, readLogin } from '../deploy/account.ts'
import type { Wrangler } from '../deploy/wrangler.ts'
import { BackupError } from './failure.ts'
import { type ServerApi, serverApi } from './server-api.ts'

export const secretName = 'BACKUP_SECRET'
/** Milliseconds. */
const lifetime = 12 * 60 * 60 * 1000

export type Purpose = 'backup' | 'restore'

export function newSecret(purpose: Purpose, now: number): string {
  return `${purpose}.${now + lifetime}.${randomBytes(32).toString('base64url')}`
}

export interface Asking {
  readonly worker: string
  readonly purpose: Purpose
  readonly say: (line: string) => void
  /** Milliseconds between two looks whether the secret has arrived. */
  readonly wait?: number
}

/** Does `work` with a deployed Worker; whatever becomes of it, the secret is gone afterwards. */
export async function withDeployed<T>(
  wrangler: Wrangler,
  { worker, purpose, say, wait = 3000 }: Asking,
  work: (api: ServerApi) => Promise<T>,
): Promise<T> {
  if (!(await readLogin(wrangler))) {
    throw new BackupError('you are not logged in to Cloudflare', 'npx wrangler login, or set CLOUDFLARE_API_TOKEN')
  }
  const deployed = await readDeployed(wrangler, worker)
  if (!deployed?.classes.includes('RoomDO')) {
    const next =
      purpose === 'restore' ? 'npm run deploy makes one' : 'give its name with --worker; npm run deploy prints it'
    throw new BackupError(`the account has no homeserver ${worker}`, next)
  }
  const url = deployed.variables.PUBLIC_URL
  if (!url) throw new BackupError(`the Worker ${worker} has no PUBLIC_URL`, 'npm run deploy sets it')
  const secret = newSecret(purpose, Date.now())
  await putSecret(wrangler, worker, secretName, secret)
  const takeAway = async () => {
    await deleteSecret(wrangler, worker, secretName)
  }
  const stopped = () => {
    say('\nStopped; the same command again goes on. The secret is being taken away …')
    const end = () => process.exit(130)
    takeAway().then(end, end)
  }
  process.once('SIGINT', stopped)
  try {
    await untilKnown(url.replace(/\/+$/, ''), secret, { purpose, wait })
    return await work(serverApi(url.replace(/\/+$/, ''), secret))
  } finally {
    process.off('SIGINT', stopped)
    await takeAway().catch((error: unknown) => {
      const why = error instanceof DeployError ? error.what : String(error)
      say(`The secret ${secretName} is still there, and void in ${lifetime / 3_600_000} hours: ${why}`)
      say(`  → npx wrangler secret delete ${secretName} --name ${worker}`)
    })
  }
}

/** A new secret takes some seconds to reach every place where the Worker runs. */
async function untilKnown(url: string, secret: string, { purpose, wait }: { purpose: Purpose; wait: number }) {
  const path = purpose === 'backup' ? '/_hearth/backup' : '/_hearth/restore/media-list'
  for (let attempt = 1; ; attempt++) {
    const status = await fetch(url + path, { headers: { Authorization: `Bearer ${secret}` } }).then(
      async (answer) => {
        await answer.arrayBuffer()
        return answer.status
      },
      (error: unknown) =>
        error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error),
    )
    // 403: the secret is known, and no restore is under way yet.
    if (status === 200 || (status === 403 && purpose === 'restore')) return
    if (attempt === 20) {
      const why =
        status === 404
          ? 'does not know this program’s backups'
          : typeof status === 'number'
            ? `answers ${status}`
            : `does not answer: ${status}`
      throw new BackupError(`${url} ${why}`, 'npm run deploy brings it up to date; npm run doctor looks at it')
    }
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
}
