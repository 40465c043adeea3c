/** Starts a script of this project as a process of its own and waits for its ready line: for benchmarks and tests. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'

export interface BackgroundServer {
  readonly pid: number
  /** All it has printed so far. */
  output(): string
  /** Sends a signal and waits for the end. Resolves with the exit code, null where the signal was what ended it. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

const project = join(import.meta.dirname, '../..')

/** Resolves when the script has printed `ready`; rejects with its output where it ends before. */
export async function startInBackground(
  script: string,
  args: readonly string[],
  { ready = 'is ready', env = {} }: { ready?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<BackgroundServer> {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: project,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // It ends with us, however we end.
  const endWithUs = () => child.kill('SIGKILL')
  process.once('exit', endWithUs)
  child.once('exit', () => process.off('exit', endWithUs))
  let printed = ''
  const ended = once(child, 'exit')
  const isReady = new Promise<void>((resolve, reject) => {
    const note = (chunk: Buffer) => {
      printed += chunk.toString()
      if (printed.includes(ready)) resolve()
    }
    child.stdout.on('data', note)
    child.stderr.on('data', note)
    child.once('error', reject)
    child.once('close', (code) => reject(new Error(`${script} ended with ${code}: ${printed}`)))
  })
  await isReady
  return { pid: child.pid ?? 0, output: () => printed, end: (signal) => end(child, ended, signal) }
}

/** A port that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

async function end(child: ChildProcess, ended: Promise<unknown>, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill(signal)
    await ended
  }
  return child.exitCode
}
