/** What a process and all its descendants use, as Linux tells it in /proc. Elsewhere there are no figures. */
import { readdirSync, readFileSync } from 'node:fs'

/** Ticks of /proc/PID/stat: USER_HZ is 100 on every Linux that Node runs on. */
const millisecondsPerTick = 10

/** CPU of the tree, in milliseconds. */
export function cpuOf(pid: number): number {
  return sum(treeOf(pid).map((each) => (each.userTicks + each.systemTicks) * millisecondsPerTick))
}

/** Memory of the tree (PSS), in MiB. */
export function memoryOf(pid: number): number {
  const kibibytes = treeOf(pid).map(({ pid: each }) => {
    const [, found] = /^Pss:\s+(\d+) kB/m.exec(readIfThere(`/proc/${each}/smaps_rollup`)) ?? []
    return Number(found ?? 0)
  })
  return sum(kibibytes) / 1024
}

interface Process {
  readonly pid: number
  readonly parent: number
  readonly userTicks: number
  readonly systemTicks: number
}

function treeOf(root: number): Process[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => processOf(Number(name)))
    .filter((each) => each !== undefined)
  const tree = all.filter(({ pid }) => pid === root)
  for (const each of tree) tree.push(...all.filter(({ parent }) => parent === each.pid))
  return tree
}

function processOf(pid: number): Process | undefined {
  const stat = readIfThere(`/proc/${pid}/stat`)
  // Behind the name in parentheses: state, parent, then at 11 and 12 the times.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields.length < 13) return undefined
  return { pid, parent: Number(fields[1]), userTicks: Number(fields[11]), systemTicks: Number(fields[12]) }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
