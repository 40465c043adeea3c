/**
 * The partition test: `npm run test:partition -- --seed=1 --seeds=20 --rounds=200 [--keep]`. Prints a row for each seed,
 * ready for test/conformance/partition.md; ends with 1 if the servers did not come to the same or something was lost.
 */
import { parseArgs } from 'node:util'

import { runPartition } from './run-partition.ts'

// The servers end with us, however we end.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1))

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '200' },
    keep: { type: 'boolean', default: false },
  },
})
const [first, seeds, rounds] = [values.seed, values.seeds, values.rounds].map(Number)
if (first === undefined || !Number.isInteger(first) || !seeds || !rounds) {
  throw new Error('--seed, --seeds and --rounds are whole numbers')
}

console.log(
  '| seed | rounds | events | event IDs given | refused | no answer | cuts | kills | soft-failed | rejected | parted | seconds to heal | seconds | faults |',
)
console.log('|---|---|---|---|---|---|---|---|---|---|---|---|---|---|')
let hasFaults = false
for (let seed = first; seed < first + seeds; seed++) {
  const run = await runPartition({
    seed,
    rounds,
    keep: values.keep,
    say: (line) => console.error(`seed ${seed}: ${line}`),
  })
  const { events, promised, refused, unanswered, cuts, kills, softFailed, rejected, parted } = run
  const { healing, seconds, faults } = run
  const counts = [events, promised, refused, unanswered, cuts, kills, softFailed, rejected, parted]
  console.log(`| ${[seed, rounds, ...counts, healing, seconds, faults.length].join(' | ')} |`)
  for (const fault of faults.slice(0, 30)) console.log(`  ${fault}`)
  if (values.keep) console.log(`  kept in ${run.folder}`)
  hasFaults ||= faults.length > 0
}
process.exitCode = hasFaults ? 1 : 0
