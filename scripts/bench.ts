/** `npm run bench`: what the operations of a homeserver cost on this machine, beside the least they could cost. */
import { existsSync } from 'node:fs'
import { arch, cpus, totalmem } from 'node:os'

import { type Row } from './bench/measure.ts'
import { memoryOf } from './bench/process-tree.ts'
import { delivery } from './bench/scenarios/delivery.ts'
import { directory } from './bench/scenarios/directory.ts'
import { encryption } from './bench/scenarios/encryption.ts'
import { inbound, joins, outbound } from './bench/scenarios/federation.ts'
import { history } from './bench/scenarios/history.ts'
import { initialSync } from './bench/scenarios/initial-sync.ts'
import { media } from './bench/scenarios/media.ts'
import { members } from './bench/scenarios/members.ts'
import { micro } from './bench/scenarios/micro.ts'
import { searching } from './bench/scenarios/searching.ts'
import { sending } from './bench/scenarios/sending.ts'
import { slidingSync } from './bench/scenarios/sliding-sync.ts'
import { space } from './bench/scenarios/space.ts'
import { stateResolution } from './bench/scenarios/state-resolution.ts'
import { waiting } from './bench/scenarios/waiting.ts'
import { type Bench, type Sizes, sizes, withBench } from './bench/setting.ts'
import { tableOf, usageTableOf } from './bench/table.ts'
import { complain, describeOptions, oneOf, type OptionSpec, parseCommandLine } from './command-line.ts'

const scenarios: Readonly<Record<string, (bench: Bench) => AsyncGenerator<Row>>> = {
  send: sending,
  delivery,
  waiting,
  sync: initialSync,
  sliding: slidingSync,
  search: searching,
  history,
  members,
  space,
  directory,
  encryption,
  media,
  micro,
  state: stateResolution,
  inbound,
  joins,
  outbound,
}

const names = Object.keys(scenarios)
const table = {
  size: {
    value: Object.keys(sizes).join('|'),
    help: 'small is a trial that the benchmark works; medium has a tenth of the rooms, people and messages',
    fallback: 'default',
    check: oneOf(...Object.keys(sizes)),
  },
} satisfies Record<string, OptionSpec>

const help = `Measures a homeserver on this machine, started for it and thrown away afterwards.

  npm run bench
  npm run bench -- send sync
  npm run bench -- search --size small

Parts: ${names.join(', ')}; all of them take about half an hour.

${describeOptions(table)}

CPU is that of the server's whole process tree for one operation; it depends on the machine, but hardly on what else
runs there. What a large room or account costs is measured at two sizes, to show what grows. Below are the units that
Cloudflare would bill for one of each, where that was counted. The floor is a Worker that hands its body to a Durable Object, which commits it as one row.
`

const line = parseCommandLine(table, process.argv.slice(2), { words: names.length })
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else {
  const unknown = line.words.find((word) => !names.includes(word))
  if (unknown !== undefined) complain(`there is no part ${JSON.stringify(unknown)}; --help lists them`)
  const { size } = line.options
  const chosen = size === 'small' || size === 'medium' ? sizes[size] : sizes.default
  await bench(chosen, line.words.length > 0 ? line.words : names)
}

async function bench(chosen: Sizes, only: readonly string[]): Promise<void> {
  if (!existsSync('/proc/self/stat')) console.error('Without /proc there are no figures of CPU and memory.')
  const rows: Row[] = []
  const memory = await withBench(chosen, async (setting) => {
    const idle = memoryOf(setting.server.pid)
    for (const name of only) {
      console.error(`${name} ...`)
      const scenario = scenarios[name]
      if (scenario) {
        for await (const row of scenario(setting)) {
          console.error(`  ${row.name}: ${row.p50.toPrecision(3)} ms`)
          rows.push(row)
        }
      }
    }
    return { idle, after: memoryOf(setting.server.pid) }
  })
  console.log(tableOf(rows))
  const usage = usageTableOf(rows)
  if (usage !== '') console.log(`\n${usage}`)
  console.log(
    `\nMemory of the process tree: ${memory.idle.toFixed(0)} MiB idle, ${memory.after.toFixed(0)} MiB afterwards`,
  )
  console.log(
    `${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${arch()}, Node ${process.version}`,
  )
}
