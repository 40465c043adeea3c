/** `npm start`, `npm run serve`: a homeserver on this machine, in the foreground. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'

import { buildWorker } from './build.ts'
import { claimDataFolder, messageOf } from './serve/data-folder.ts'
import { guardAgainstOrphans } from './serve/orphan-guard.ts'
import { parseOptions, type ServeOptions } from './serve/options.ts'
import { startRuntime } from './serve/runtime.ts'
import { StartError } from './serve/start-error.ts'
import { listenTls } from './serve/tls.ts'

const parsed = parseOptions(process.argv.slice(2), process.env)
if (!parsed.ok) complain(parsed.message)
else if ('help' in parsed) console.log(parsed.help)
else await serve(parsed.options).catch((error: unknown) => complain(messageOf(error)))

async function serve(options: ServeOptions): Promise<void> {
  if (options.ca && !existsSync(options.ca)) throw new StartError(`${options.ca} cannot be read: no such file`)
  // workerd takes these from Miniflare, which reads them when it starts: no trip to the network before the first client.
  process.env['CLOUDFLARE_CF_FETCH_ENABLED'] = 'false'
  process.env['WRANGLER_SEND_METRICS'] = 'false'
  if (options.ca) process.env['NODE_EXTRA_CA_CERTS'] = options.ca
  await refuseOccupiedPort(options.bind, options.port)
  const release = claimDataFolder(options.data, options.serverName)
  const runtime = await startRuntime(options, await buildWorker())
  const endGuard = guardAgainstOrphans()
  const tls = options.federation && (await listenTls(options.federation, options.bind, options.port))
  announce(options)
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  tls?.close()
  await runtime.dispose()
  endGuard()
  release()
  process.exit(0)
}

/** workerd reports an occupied port in many lines; ask first. */
async function refuseOccupiedPort(bind: string, port: number): Promise<void> {
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', (error) => reject(new StartError(`cannot listen on ${bind}:${port}: ${messageOf(error)}`)))
    probe.listen(port, bind, resolve)
  })
  await new Promise((resolve) => probe.close(resolve))
}

function announce(options: ServeOptions): void {
  console.log(
    `\nHearth is ready: ${options.publicUrl} serves ${options.serverName}\n` +
      `  First account: ${options.registration === 'open' ? 'register in your client' : 'npm run register -- --help'}\n` +
      `  Client: Element Web, Element Desktop, Fractal or any other; as homeserver enter ${options.publicUrl}\n` +
      `  Stop with Ctrl-C; everything is in ${options.data}`,
  )
}

function complain(message: string): void {
  console.error(`hearth: ${message}`)
  process.exit(2)
}
