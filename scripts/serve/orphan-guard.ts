/**
 * Nothing of a server outlives it, even when it is killed with SIGKILL: a shell holds the other end of a pipe, and when the
 * pipe breaks it ends workerd, which would keep the port.
 *
 * workerd is known by a mark in its environment, not by its process ID: so it is found in the first moment of its life, and
 * also after Miniflare has started it anew.
 */
import { execFileSync, spawn } from 'node:child_process'

/** The name of the environment variable that marks the runtime of a run. */
export const runMark = 'HEARTH_RUN'

/** $1 is the mark, NAME=value. The pipe breaks when `cat` ends; nothing else ends it. */
const wait = `trap '' INT TERM HUP; cat >/dev/null`
const endMarked = `
if [ -r /proc/self/environ ]; then
  found=$(grep -las -e "$1" /proc/[0-9]*/environ | cut -d / -f 3)
else
  found=$(ps -axEww -o pid=,command= | grep -F -e "$1" | grep -v grep | awk '{ print $1 }')
fi
for pid in $found; do [ "$pid" = $$ ] || kill -9 "$pid" 2>/dev/null; done
true`

/** Watches over the runtime of a run, from now until this process ends or the answer is called. */
export function guardAgainstOrphans(run: string): () => void {
  const guard = spawn('sh', ['-c', `${wait}; ${endMarked}`, 'hearth-guard', `${runMark}=${run}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  // Without a shell there is no guard; the server runs all the same.
  guard.on('error', () => {})
  guard.unref()
  return () => guard.kill('SIGKILL')
}

/** Ends what a run has left behind although it had a guard: someone killed that as well. */
export function endOrphansOf(run: string): void {
  if (!/^[\w-]+$/.test(run)) return
  execFileSync('sh', ['-c', endMarked, 'hearth-guard', `${runMark}=${run}`], { stdio: 'ignore' })
}
