/**
 * Nothing of a server outlives it, even when it is killed with SIGKILL: a shell holds the other end of a pipe, and when
 * the pipe breaks it ends workerd, which otherwise keeps the port.
 */
import { execFileSync, spawn } from 'node:child_process'

/** Watches the workerd processes that this process started. Call it once they run; returns what ends the watch. */
export function guardAgainstOrphans(): () => void {
  const children = childrenOf(process.pid)
  if (children.length === 0) return () => {}
  const guard = spawn('sh', ['-c', `trap '' INT TERM; cat >/dev/null; kill -9 ${children.join(' ')} 2>/dev/null`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.on('error', () => {})
  guard.unref()
  return () => guard.kill('SIGKILL')
}

function childrenOf(pid: number): number[] {
  let table: string
  try {
    table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,comm='], { encoding: 'utf8' })
  } catch {
    return []
  }
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, parent, command]) => Number(parent) === pid && command?.includes('workerd'))
    .map(([child]) => Number(child))
}
