/**
 * The loss test at full length: `npm run test:loss -- --events=10000 --seeds=10 --restarts=5 [--seed=1]`. Prints a row for
 * each seed, ready for test/conformance/loss.md; ends with 1 if anything was lost, came twice, or was counted wrong.
 */
import { parseArgs } from 'node:util'

import { restartableServer } from './server.ts'
import { runLoss } from './run-loss.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '10000' },
    seeds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    restarts: { type: 'string', default: '5' },
  },
})
const [events, seeds, first, restarts] = [values.events, values.seeds, values.seed, values.restarts].map(Number)
if (!events || !seeds || first === undefined || restarts === undefined) throw new Error('the options are whole numbers')

const server = await restartableServer()
console.log('| seed | events | restarts | requests cut off | answers lost | old tokens | receipts | seconds | faults |')
console.log('|---|---|---|---|---|---|---|---|---|')
let hasFaults = false
try {
  for (let seed = first; seed < first + seeds; seed++) {
    const { faults, cut, lost, replayed, receipts, seconds } = await runLoss(server, { seed, events, restarts })
    const row = [seed, events, restarts, cut, lost, replayed, receipts, seconds, faults.length]
    console.log(`| ${row.join(' | ')} |`)
    for (const fault of faults.slice(0, 20)) console.log(`  ${fault}`)
    hasFaults ||= faults.length > 0
  }
} finally {
  await server.end()
}
process.exitCode = hasFaults ? 1 : 0
