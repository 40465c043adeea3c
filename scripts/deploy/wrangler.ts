/**
 * wrangler, as a function: the only place from which this project speaks to an account at Cloudflare. Tests put recorded
 * answers in its place. It judges nothing; `failures.ts` says what an answer means.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Ran {
  /** Exit code; undefined where wrangler could not be started. */
  readonly code: number | undefined
  readonly output: string
  readonly errors: string
}

export interface RunOptions {
  /** What it reads from its standard input: secrets, which must not stand in a list of processes. */
  readonly input?: string
  /** What it prints is shown as it comes. */
  readonly show?: true
  /** It may ask the person at the terminal. */
  readonly terminal?: true
}

export type Wrangler = (args: readonly string[], options?: RunOptions) => Promise<Ran>

/** Commands about an account must not look into wrangler.toml, which knows no IDs. */
export function wranglerFor({ worker, account }: { worker: string; account: string | undefined }): Wrangler {
  const folder = join('dist', 'deploy')
  const emptyConfig = join(folder, 'account.json')
  mkdirSync(folder, { recursive: true })
  writeFileSync(emptyConfig, JSON.stringify({ name: worker, compatibility_date: '2026-10-20' }))
  const run = realWrangler(account)
  return (args, how) => run(args.includes('--config') ? args : [...args, '--config', emptyConfig], how)
}

/** The real one; `account`: which of several. */
export function realWrangler(account: string | undefined): Wrangler {
  return (args, { input, show, terminal } = {}) =>
    new Promise((resolve) => {
      const child = spawn(join('node_modules', '.bin', 'wrangler'), args, {
        stdio: terminal ? 'inherit' : ['pipe', 'pipe', 'pipe'],
        env: {
          ...process.env,
          WRANGLER_SEND_METRICS: 'false',
          NO_COLOR: '1',
          FORCE_COLOR: '0',
          ...(account && { CLOUDFLARE_ACCOUNT_ID: account }),
        },
      })
      let [output, errors] = ['', '']
      child.stdout?.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        if (show) process.stdout.write(chunk)
      })
      child.stderr?.on('data', (chunk: Buffer) => {
        errors += chunk.toString()
        if (show) process.stderr.write(chunk)
      })
      child.once('error', (error) => resolve({ code: undefined, output, errors: error.message }))
      child.once('close', (code) => resolve({ code: code ?? 1, output, errors }))
      // It may have ended without reading: then its answer says why.
      child.stdin?.on('error', () => undefined)
      child.stdin?.end(input ?? '')
    })
}
