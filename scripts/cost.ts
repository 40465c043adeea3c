/** `npm run cost`: what each operation of this server uses at Cloudflare, and what a month would cost. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { foreignAuthority } from './bench/foreign/foreign-server.ts'
import { describeOptions, complain, type OptionSpec, parseCommandLine } from './command-line.ts'
import { billOf } from './cost/bill.ts'
import { basePrice, pricesAsOf } from './cost/prices.ts'
import { billTable, usageTable } from './cost/print.ts'
import { profiles } from './cost/profiles.ts'
import { walk } from './cost/walk.ts'
import { freePort, startInBackground } from './serve/start-in-background.ts'

const table = {
  times: {
    value: 'COUNT',
    help: 'how often each operation is done, for the mean',
    fallback: '10',
    check: (value) => (/^[1-9]\d?$/.test(value) ? undefined : 'must be a number from 1 to 99'),
  },
  quiet: {
    value: 'MS',
    help: 'an operation is over when nothing was counted for so long; what can wait is done within 4 seconds',
    fallback: '6000',
    check: (value) => (/^[1-9]\d{1,4}$/.test(value) ? undefined : 'must be milliseconds'),
  },
  rooms: {
    value: 'COUNT',
    help: 'rooms of the account whose first sync is counted',
    fallback: '20',
    check: (value) => (/^[1-9]\d{0,2}$/.test(value) ? undefined : 'must be a number from 1 to 999'),
  },
} satisfies Record<string, OptionSpec>

const help = `Counts what this server would use at Cloudflare: on a server of its own, which is thrown away afterwards.

  npm run cost

${describeOptions(table)}
`

const line = parseCommandLine(table, process.argv.slice(2))
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else await cost(Number(line.options.times), Number(line.options.rooms), Number(line.options.quiet))

async function cost(times: number, rooms: number, quiet: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-cost-'))
  const [port, metricsPort] = [await freePort(), await freePort()]
  const serverName = 'cost.local'
  const server = await startInBackground('scripts/serve.ts', [
    ...'--registration=open --rate-limits=off --log-level=warn --allow-private-addresses=on'.split(' '),
    `--server-name=${serverName}`,
    `--ca=${foreignAuthority}`,
    `--port=${port}`,
    `--metrics-port=${metricsPort}`,
    `--data=${join(folder, 'data')}`,
  ])
  try {
    const [base, metrics] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${metricsPort}/metrics`]
    const measured = await walk({ base, serverName, metrics, quiet, times, rooms: Math.max(rooms, times, 2) })
    console.log(`${usageTable(measured)}\n`)
    for (const profile of profiles) {
      const bill = billOf(profile, measured)
      const free = bill.fitsFree ? ', or nothing: it fits the free plan' : ''
      console.log(`**${bill.profile}**: $ ${bill.total.toFixed(2)} a month on the paid plan${free}\n`)
      console.log(`${billTable(bill)}\n`)
    }
    console.log(
      `Cloudflare's list prices of ${pricesAsOf}, $ ${basePrice} of them for the plan; storage is not counted.`,
    )
  } finally {
    await server.end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
}
