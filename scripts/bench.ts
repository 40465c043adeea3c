/** `npm run bench`: what the operations of a homeserver cost on this machine, beside the least they could cost. */
import { existsSync } from 'node:fs'
import { arch, cpus, totalmem } from 'node:os'

import { type Row } from './bench/measure.ts'
import { memoryOf } from './bench/process-tree.ts'
import { delivery } from './bench/scenarios/delivery.ts'
import { federation } from './bench/scenarios/federation.ts'
import { initialSync } from './bench/scenarios/initial-sync.ts'
import { media } from './bench/scenarios/media.ts'
import { micro } from './bench/scenarios/micro.ts'
import { searching } from './bench/scenarios/searching.ts'
import { sending } from './bench/scenarios/sending.ts'
import { slidingSync } from './bench/scenarios/sliding-sync.ts'
import { stateResolution } from './bench/scenarios/state-resolution.ts'
import { waiting } from './bench/scenarios/waiting.ts'
import { type Bench, sizes, withBench } from './bench/setting.ts'
import { tableOf } from './bench/table.ts'
import { complain, describeOptions, oneOf, type OptionSpec, parseCommandLine } from './command-line.ts'

const scenarios: Readonly<Record<string, (bench: Bench) => AsyncGenerator<Row>>> = {
  send: sending,
  delivery,
  waiting,
  sync: initialSync,
  sliding: slidingSync,
  search: searching,
  media,
  micro,
  state: stateResolution,
  federation,
}

const names = Object.keys(scenarios)
const table = {
  size: {
    value: 'small|default',
    help: 'small is a trial that the benchmark works',
    fallback: 'default',
    check: oneOf(...Object.keys(sizes)),
  },
  only: {
    value: 'LIST',
    help: `some of ${names.join(',')}`,
    fallback: names.join(','),
    check: (value) =>
      value.split(',').every((name) => names.includes(name)) ? undefined : `must be some of ${names.join(',')}`,
  },
} satisfies Record<string, OptionSpec>

const help = `Measures a homeserver on this machine, started for it and thrown away afterwards.

  npm run bench
  npm run bench -- --size small --only send,sync

${describeOptions(table)}

CPU is that of the server's whole process tree for one operation; it depends on the machine, but hardly on what else
runs there. The floor is a Worker that hands its body to a Durable Object, which commits it as one row.
`

const line = parseCommandLine(table, process.argv.slice(2))
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else await bench(sizes[line.options.size === 'small' ? 'small' : 'default'], line.options.only.split(','))

async function bench(chosen: (typeof sizes)['small'], only: readonly string[]): Promise<void> {
  if (!existsSync('/proc/self/stat')) console.error('Without /proc there are no figures of CPU and memory.')
  const rows: Row[] = []
  const memory = await withBench(chosen, async (setting) => {
    const idle = memoryOf(setting.server.pid)
    for (const name of only) {
      console.error(`${name} ...`)
      const scenario = scenarios[name]
      if (scenario) for await (const row of scenario(setting)) rows.push(row)
    }
    return { idle, after: memoryOf(setting.server.pid) }
  })
  console.log(tableOf(rows))
  console.log(
    `\nMemory of the process tree: ${memory.idle.toFixed(0)} MiB idle, ${memory.after.toFixed(0)} MiB afterwards`,
  )
  console.log(
    `${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${arch()}, Node ${process.version}`,
  )
}
