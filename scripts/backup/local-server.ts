/** The server of a data folder, run for the time of a backup or a restore: on a port of its own, and off the net. */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'

import { bundleWorker } from '../build/bundle.ts'
import { claimDataFolder, restoredIn } from '../serve/data-folder.ts'
import { parseOptions } from '../serve/options.ts'
import { endOrphansOf, guardAgainstOrphans } from '../serve/orphan-guard.ts'
import { freePort } from '../serve/start-in-background.ts'
import { BackupError } from './failure.ts'
import { newSecret, type Purpose } from './one-time-secret.ts'
import { type ServerApi, serverApi } from './server-api.ts'

interface LocalWork {
  readonly data: string
  readonly serverName: string
  readonly purpose: Purpose
  /** A file that is there as soon as the folder is ours. */
  readonly mark?: string
}

export async function withLocalServer<T>(
  { data, serverName, purpose, mark }: LocalWork,
  work: (api: ServerApi) => Promise<T>,
): Promise<T> {
  const run = randomUUID()
  const folder = claimDataFolder(data, serverName, run)
  const endGuard = guardAgainstOrphans(run)
  try {
    if (folder.crashedRun !== undefined) endOrphansOf(folder.crashedRun)
    const port = await freePort()
    const parsed = parseOptions(
      ['--server-name', serverName, '--data', data, '--port', String(port)],
      {},
      process.cwd(),
    )
    if (!parsed.ok || 'help' in parsed) throw new BackupError(parsed.ok ? 'no options' : parsed.message)
    const { modules } = await bundleWorker()
    folder.settle()
    if (mark !== undefined) writeFileSync(mark, '')
    process.env['CLOUDFLARE_CF_FETCH_ENABLED'] = 'false'
    process.env['WRANGLER_SEND_METRICS'] = 'false'
    const { startRuntime } = await import('../serve/runtime.ts')
    const secret = newSecret(purpose, Date.now())
    const variables = { ...parsed.options.variables, BACKUP_SECRET: secret, LOG_LEVEL: 'error' }
    const runtime = await startRuntime(
      {
        ...parsed.options,
        variables,
        logLevel: 'error',
        rateLimits: 'off',
        registrationSharedSecret: folder.registrationSharedSecret(),
        run,
        restored: restoredIn(data),
        meterToken: undefined,
        isOffline: true,
      },
      modules,
    )
    try {
      return await work(serverApi(parsed.options.publicUrl, secret))
    } finally {
      await runtime.dispose()
    }
  } finally {
    endGuard()
    folder.release()
  }
}
