/** `npm start`: a homeserver on this machine, in the foreground. */
import { randomUUID } from 'node:crypto'
import { join, resolve } from 'node:path'

import { bundleWorker, prebuiltWorker, type WorkerModule } from './build/bundle.ts'
import { complain } from './command-line.ts'
import { firstAccountLink, type LinkOutcome } from './register/first-account-link.ts'
import { startClock } from './serve/clock.ts'
import { claimDataFolder, refuseUnrestored, restoredIn } from './serve/data-folder.ts'
import { listenMetrics } from './serve/metrics-port.ts'
import { parseOptions, type ServeOptions } from './serve/options.ts'
import { endOrphansOf, guardAgainstOrphans } from './serve/orphan-guard.ts'
import { refuseOccupiedPort } from './serve/ports.ts'
import { StartError } from './serve/start-error.ts'
import { checkAuthorities, listenTls, readCertificate } from './serve/tls.ts'

// First of all, so that nobody else's listener comes before it.
const toldToStop = new Promise<unknown>((stop) => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, stop)
})

const parsed = parseOptions(process.argv.slice(2), process.env, process.cwd())
// Miniflare takes modules from below the working folder only.
process.chdir(join(import.meta.dirname, '..'))

if (!parsed.ok) complain(parsed.message)
else if ('help' in parsed) console.log(parsed.help)
else {
  try {
    await serve(parsed.options)
    process.exit(0)
  } catch (error) {
    if (error instanceof StartError) complain(error.message)
    console.error(error)
    process.exit(1)
  }
}

async function serve(options: ServeOptions): Promise<void> {
  const run = randomUUID()
  if (options.ca) checkAuthorities(options.ca)
  const certificate = options.federation && readCertificate(options.federation)
  refuseUnrestored(options.data)
  const data = claimDataFolder(options.data, options.serverName, run)
  const endGuard = guardAgainstOrphans(run)
  try {
    if (data.crashedRun !== undefined) endOrphansOf(data.crashedRun)
    const patience = data.crashedRun === undefined ? 0 : 3000
    await refuseOccupiedPort(options.bind, options.port, patience)
    if (options.federation) await refuseOccupiedPort(options.bind, options.federation.port, patience)
    const metrics =
      options.metricsPort === undefined ? undefined : await listenMetrics(options.metricsPort, urlOf(options))
    const modules = await modulesFor(options)
    data.settle()

    prepareEnvironment(options)
    const { startRuntime } = await import('./serve/runtime.ts')
    const secret = options.registrationSharedSecret ?? data.registrationSharedSecret()
    // Before the plain port, since whoever sees that one answer takes the server for ready.
    const tls =
      certificate && options.federation
        ? await listenTls(certificate, options.bind, options.federation.port, options.port)
        : undefined
    let isReady = false
    const runtime = await startRuntime(
      {
        ...options,
        registrationSharedSecret: secret,
        run,
        restored: restoredIn(options.data),
        meterToken: metrics?.token,
        logsRequests: () => isReady,
      },
      modules,
    )
    const stopClock = startClock(runtime)
    try {
      await firstAnswer(options)
      const link = await firstAccountLink(urlOf(options), secret, options.publicUrl)
      isReady = true
      announce(options, link)
      await toldToStop
    } finally {
      stopClock()
      tls?.close()
      metrics?.close()
      // What was acknowledged is on disk already: an object answers only when its writes are.
      await runtime.dispose()
    }
  } finally {
    endGuard()
    data.release()
  }
}

async function modulesFor(options: ServeOptions): Promise<readonly WorkerModule[]> {
  if (!options.prebuilt) return (await bundleWorker()).modules
  const bundle = prebuiltWorker()
  if (!bundle) throw new StartError('there is no dist/worker.js for --prebuilt; npm run build makes it')
  return bundle.modules
}

/** Miniflare takes these from the environment, when it is loaded. */
function prepareEnvironment(options: ServeOptions): void {
  // No trips to the network before the first client.
  process.env['CLOUDFLARE_CF_FETCH_ENABLED'] = 'false'
  process.env['WRANGLER_SEND_METRICS'] = 'false'
  if (options.ca) process.env['NODE_EXTRA_CA_CERTS'] = options.ca
}

/** The first request makes the database and reads the settings: what is wrong there is said now, not to a client. */
async function firstAnswer(options: ServeOptions): Promise<void> {
  const answer = await fetch(`${urlOf(options)}/_matrix/client/versions`)
  if (!answer.ok) throw new StartError(`the server does not start; it says: ${await answer.text()}`)
  await answer.body?.cancel()
}

function announce(options: ServeOptions, first: LinkOutcome): void {
  const { publicUrl, serverName, registration, data } = options
  const elsewhere = [
    options.port === 8008 && options.bind === '127.0.0.1' ? '' : ` --url ${urlOf(options)}`,
    data === resolve('data') ? '' : ` --data ${data}`,
  ].join('')
  const register = `npm run register -- NAME${elsewhere}`
  console.log(
    `Hearth is ready: ${publicUrl} is the homeserver of ${serverName}\n` +
      (first.ok ? `  Make the administrator's account in a browser, once: ${first.link}\n` : '') +
      `  Make an account: ${registration === 'open' ? `at ${publicUrl}, in your client, or ${register}` : register}\n` +
      `  In your client (Element, Fractal, Cinny ...) enter ${publicUrl} as homeserver\n` +
      `  Everything is kept in ${data}; Ctrl-C stops the server`,
  )
}

/** Where this machine reaches the plain port. */
function urlOf({ bind, port }: ServeOptions): string {
  const host = bind === '0.0.0.0' ? '127.0.0.1' : bind === '::' ? '[::1]' : bind.includes(':') ? `[${bind}]` : bind
  return `http://${host}:${port}`
}
