/** A server of ours that can be killed and started again on the same data. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import type { Server } from './run-loss.ts'

export async function restartableServer(): Promise<Server & { end(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-loss-'))
  const port = await freePort()
  const options = [`--port=${port}`, `--data=${folder}`, '--rate-limits=off', '--log-level=error']
  const start = () => startInBackground('scripts/serve.ts', options)
  let running = await start()
  return {
    base: `http://127.0.0.1:${port}`,
    async restart() {
      await running.end('SIGKILL')
      running = await start()
    },
    async end() {
      await running.end('SIGTERM')
      rmSync(folder, { recursive: true })
    },
  }
}
