/**
 * `npm run test:rust`: builds the story that is told with matrix-rust-sdk, and tells it to a server started for it, which is
 * restarted in the middle. Needs cargo; the first build takes some minutes. CARGO_TARGET_DIR says where it goes.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { newClient } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const target = process.env['CARGO_TARGET_DIR'] ?? join(tmpdir(), 'hearth-rust-sdk')
const cargo = spawnSync('cargo', ['build', '--locked', '--target-dir', target], {
  cwd: import.meta.dirname,
  stdio: 'inherit',
})
if (cargo.status !== 0) {
  console.error(cargo.error ? `cargo cannot be run: ${cargo.error.message}` : 'The story cannot be built.')
  process.exit(1)
}

const folder = mkdtempSync(join(tmpdir(), 'hearth-rust-'))
const port = await freePort()
const url = `http://127.0.0.1:${port}`
const options = ['--server-name=rust.example', '--registration=open', '--rate-limits=off']
const start = (): Promise<BackgroundServer> =>
  startInBackground('scripts/serve.ts', [`--port=${port}`, `--data=${join(folder, 'data')}`, ...options])

let server = await start()
try {
  // newClient gives all the same password.
  for (const name of ['alice', 'bob']) await newClient(url, name)
  const program = join(target, 'debug', 'hearth-rust-sdk-story')
  const child = spawn(program, [url, 'alice', 'bob', 'the password of all'], { stdio: ['pipe', 'pipe', 'inherit'] })
  process.once('exit', () => child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  for await (const chunk of child.stdout) {
    const text = String(chunk)
    process.stdout.write(text)
    if (!/^restart$/m.test(text)) continue
    await server.end('SIGTERM')
    server = await start()
    child.stdin.write('\n')
  }
  const [code] = await ended
  process.exitCode = code === 0 ? 0 : 1
} finally {
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
}
